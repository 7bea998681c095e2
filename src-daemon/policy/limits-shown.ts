import { limitText, mbitText } from "../../src-protocol/line-limits.ts";
import type { LimitRow } from "../../src-protocol/limits-report.ts";
import type { Limits, Rules } from "../../src-protocol/policy.ts";
import type { TrafficState } from "../../src-protocol/line-limits.ts";
import type { Held } from "../supervision/supervisor.ts";

/** All that is known of limits here. */
export interface LimitsSeen {
  readonly limits: Limits;
  readonly rules: Pick<Rules, "monthlyMegabytes" | "diskMegabytes">;
  readonly traffic: TrafficState;
  /** The network is on this computer alone: what is sent and received stays within it. */
  readonly isAlone: boolean;
  readonly monthBytes: number | null;
  readonly folderBytes: number | null;
  /** What the workers of the network are held to; null: none is open. */
  readonly held: Held | null;
  /** Processors of this computer, and its memory in bytes. */
  readonly cores: number;
  readonly memoryBytes: number;
  /** Whether processes can be held to some processors. */
  readonly pins: boolean;
  /** Why the kernel's groups hold nothing here; null: they do. */
  readonly noGroup: string | null;
  /** What the worker computes with. */
  readonly provider: string;
  /** Of the computer or its processor; `why` it cannot be read. */
  readonly power: { readonly watts: number; readonly of: string } | { readonly why: string };
  readonly platform: NodeJS.Platform;
}

/** Each limit, what is asked of it, and what holds. */
export function limitsShown(seen: LimitsSeen): LimitRow[] {
  return [cores(seen), priority(seen), memory(seen), disk(seen), ...line(seen), card(seen), power(seen)];
}

function cores({ limits, held, cores: all, pins, noGroup }: LimitsSeen): LimitRow {
  const asked = limits.cores === null ? `all ${all}` : `${limits.cores} of ${all}`;
  const base = { what: "cores", asked, used: null } as const;
  if (held === null) return { ...base, enforced: null, by: NO_WORKERS };
  const { share, workers } = held;
  const threads = `${share.threads} ${share.threads === 1 ? "thread" : "threads"}${workers === 1 ? "" : ` in each of ${workers} workers`}`;
  const processors =
    share.cpus === null || !pins
      ? ""
      : `, on ${share.cpus.includes(",") ? "processors" : "processor"} ${share.cpus}`;
  const means = [
    "number of threads",
    ...(pins ? ["taskset"] : []),
    ...(noGroup === null ? ["cgroup cpu.max"] : []),
  ];
  const left = pins || noGroup === null ? "" : "; nothing of the system's holds it to processors here";
  return { ...base, enforced: threads + processors, by: means.join(", ") + left };
}

function priority({ limits, held }: LimitsSeen): LimitRow {
  return {
    what: "priority",
    asked: limits.quiet ? "quiet: half of the cores, lowest priority" : "below what you do",
    enforced: held === null ? null : limits.quiet ? "nice 19" : "nice 10, and 15 for what computes",
    by: held === null ? NO_WORKERS : "the system's priorities",
    used: null,
  };
}

function memory({ limits, held, memoryBytes, noGroup, platform }: LimitsSeen): LimitRow {
  const { memoryMegabytes: most } = limits;
  const base = {
    what: "memory",
    asked: most === null ? `what the computer has (${gb(memoryBytes)})` : `at most ${gb(most * 1e6)}`,
    used: held === null || held.memoryBytes === null ? null : gb(held.memoryBytes),
  } as const;
  if (held === null) return { ...base, enforced: null, by: NO_WORKERS };
  const room = "a slice is taken only where it has room";
  if (most === null) return { ...base, enforced: room, by: "the worker's budget" };
  const each = `${gb(held.share.memoryBytes ?? 0)}${held.workers === 1 ? "" : ` for each of ${held.workers} workers`}`;
  const watch = platform === "linux" ? ["a worker that holds more is ended"] : [];
  const group = noGroup === null ? ["cgroup memory.max"] : [];
  return { ...base, enforced: each, by: ["the worker's budget", ...watch, ...group].join(", ") };
}

function disk({ rules, folderBytes }: LimitsSeen): LimitRow {
  const { diskMegabytes: most } = rules;
  return {
    what: "disk",
    asked: most === null ? "no quota" : `at most ${gb(most * 1e6)}`,
    enforced: most === null ? null : `it stops at ${gb(most * 1e6 * 0.95)}`,
    by: most === null ? "nothing is asked" : "the data folder is measured every minute",
    used: folderBytes === null ? null : gb(folderBytes),
  };
}

function line({ limits, traffic, isAlone, rules, monthBytes }: LimitsSeen): LimitRow[] {
  const where = isAlone ? ", all of it within this computer" : "";
  const rate = (what: "upload" | "download", most: number | null, used: number): LimitRow => ({
    what,
    asked: limitText(most),
    enforced: most === null ? null : limitText(most),
    by: most === null ? "nothing is asked" : "the workers' own throttle",
    used: `${mbitText(used)} Mbit/s in the last ten seconds${where}`,
  });
  const { monthlyMegabytes: most } = rules;
  return [
    rate("upload", limits.uploadMbit, traffic.uploadMbit),
    rate("download", limits.downloadMbit, traffic.downloadMbit),
    {
      what: "monthly-data",
      asked: most === null ? "no cap" : `at most ${gb(most * 1e6)}`,
      enforced: most === null ? null : "it stops for the rest of the month",
      by: most === null ? "nothing is asked" : "what the workers have sent and received is counted",
      used: monthBytes === null ? null : gb(monthBytes),
    },
  ];
}

function card({ limits, provider, held }: LimitsSeen): LimitRow {
  const cards = held?.onCards ?? 0;
  return {
    what: "graphics-card",
    asked: limits.gpu ? "may be used" : "left alone",
    enforced: limits.gpu ? null : "the processor computes",
    by: limits.gpu ? "nothing is asked" : "the worker loads no driver of a card",
    used: cards > 1 ? `${provider}, on ${cards} cards with a worker each` : provider,
  };
}

function power({ power: seen }: LimitsSeen): LimitRow {
  return {
    what: "power",
    asked: "no limit",
    enforced: null,
    by: "watts are shown, not limited: “quiet” and fewer cores lower them",
    used: "watts" in seen ? `${seen.watts.toFixed(1)} W (${seen.of})` : `not known: ${seen.why}`,
  };
}

const NO_WORKERS = "no network is open now, so nothing computes";

function gb(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${mbitText(bytes / 1e9)} GB`;
}
