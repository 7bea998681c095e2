import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism, setPriority } from "node:os";
import type { WorkLimits } from "../../src-protocol/rules.ts";

const QUIET_NICENESS = 19;

/** What one worker process is held to. */
export interface CoreShare {
  readonly threads: number;
  /** Processors that it may run on, as `taskset` writes them; null: all. */
  readonly cpus: string | null;
  readonly quiet: boolean;
  /** Null: what the computer has. */
  readonly memoryBytes: number | null;
}

/** What each of `workers` processes may use, of which each would like `threads`. */
export function coreShare(
  { cores, quiet, memoryMegabytes }: Pick<WorkLimits, "cores" | "quiet" | "memoryMegabytes">,
  threads: number,
  workers: number,
  cpus: readonly number[],
): CoreShare {
  const all = cpus.length;
  const half = Math.max(1, Math.floor(all / 2));
  const allowed = Math.max(1, Math.min(cores ?? all, quiet ? half : all, all));
  return {
    threads: Math.max(1, Math.min(threads, Math.floor(allowed / workers))),
    // The last ones: the first handles what the computer's devices want.
    cpus: allowed === all ? null : cpus.slice(all - allowed).join(","),
    quiet,
    memoryBytes: memoryMegabytes === null ? null : Math.floor((memoryMegabytes * 1e6) / workers),
  };
}

/** Processors that this process may run on. */
export function ownCpus(): number[] {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (list !== undefined) return parseCpuList(list);
  } catch {
    // Not Linux.
  }
  return Array.from({ length: availableParallelism() }, (_, index) => index);
}

/** `0-3,6` → 0, 1, 2, 3, 6. */
export function parseCpuList(list: string): number[] {
  return list.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Number.isInteger(first) && Number.isInteger(last) && last - first < 4096
      ? Array.from({ length: last - first + 1 }, (_, index) => first + index)
      : [];
  });
}

/**
 * Holds a process, those that it has started and all their threads to its share. Where the system cannot (macOS has no such call,
 * `taskset` may be missing) the number of threads is what limits it.
 */
export function holdTo(pid: number, share: Pick<CoreShare, "cpus" | "quiet">): void {
  for (const one of [pid, ...descendants(pid)]) holdOne(one, share);
}

/** Whether a process can be held to some of the processors here. */
export function canPin(): boolean {
  return process.platform === "linux" && TASKSET.some((path) => existsSync(path));
}

const TASKSET = ["/usr/bin/taskset", "/bin/taskset"];

function holdOne(pid: number, { cpus, quiet }: Pick<CoreShare, "cpus" | "quiet">): void {
  if (quiet) {
    // The main thread sends the heartbeats: it stays ahead of what computes.
    for (const thread of threadsOf(pid).filter((one, _, all) => one !== pid || all.length === 1)) {
      try {
        setPriority(thread, QUIET_NICENESS);
      } catch {
        // It has ended in between.
      }
    }
  }
  if (cpus !== null && process.platform === "linux")
    execFile("taskset", ["-a", "-p", "-c", cpus, String(pid)], { timeout: 2000 }, () => {});
}

/** In a box the worker is a child of the box's own process. */
export function descendants(pid: number, proc = "/proc"): number[] {
  return threadsOf(pid, proc)
    .flatMap((thread) => childrenOf(pid, thread, proc))
    .flatMap((child) => [child].concat(descendants(child, proc)));
}

function childrenOf(pid: number, thread: number, proc: string): number[] {
  try {
    const children = readFileSync(`${proc}/${pid}/task/${thread}/children`, "utf8");
    return [...children.matchAll(/\d+/g)].map(([number]) => Number(number));
  } catch {
    return [];
  }
}

function threadsOf(pid: number, proc = "/proc"): number[] {
  try {
    return readdirSync(`${proc}/${pid}/task`).map(Number);
  } catch {
    return [pid];
  }
}
