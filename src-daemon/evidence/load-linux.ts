import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { names, text } from "./system-files.ts";

const FIRST_SPAN_MS = 500;

interface Look {
  readonly busy: number;
  readonly all: number;
  /** Ticks that each process of ours has used. */
  readonly own: ReadonlyMap<number, number>;
}

/** Busy and all ticks of the first line of /proc/stat. */
export function parseStat(text: string): { busy: number; all: number } | null {
  const [label, ...fields] = (text.split("\n")[0] ?? "").trim().split(/\s+/);
  const ticks = fields.map(Number);
  if (label !== "cpu" || ticks.length < 5 || ticks.some((value) => !Number.isFinite(value))) return null;
  // Guests are counted in user and nice already; steal is another computer's, not our owner's.
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = ticks;
  const busy = user + nice + system + irq + soft;
  return { busy, all: busy + idle + wait + steal };
}

/** Parent, and ticks used, of /proc/PID/stat; the name in it may hold anything. */
export function parseProcess(text: string): { parent: number; ticks: number } | null {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [parent, user, system] = [fields[1], fields[11], fields[12]].map(Number);
  if (parent === undefined || user === undefined || system === undefined) return null;
  return Number.isFinite(parent + user + system) ? { parent, ticks: user + system } : null;
}

/**
 * Percent of the whole processor that others than the process `self` and all it has started use, since
 * the last look. The first one looks twice: until it has an answer, its owner's work waits.
 */
export function linuxLoad(proc: string, self: number): () => Promise<number | null> {
  let before: Look | null = null;
  return async () => {
    if (before === null) {
      before = await look(proc, self);
      await wait(FIRST_SPAN_MS);
    }
    const now = await look(proc, self);
    const then = before;
    before = now;
    if (now === null || then === null || now.all <= then.all) return null;
    let own = 0;
    for (const [pid, ticks] of now.own) own += Math.max(0, ticks - (then.own.get(pid) ?? 0));
    const others = now.busy - then.busy - own;
    return Math.max(0, Math.min(100, (others / (now.all - then.all)) * 100));
  };
}

async function look(proc: string, self: number): Promise<Look | null> {
  const total = parseStat(await text(join(proc, "stat")));
  if (total === null) return null;
  const processes = new Map<number, { parent: number; ticks: number }>();
  for (const name of await names(proc)) {
    if (!/^\d+$/.test(name)) continue;
    const parsed = parseProcess(await text(join(proc, name, "stat")));
    if (parsed !== null) processes.set(Number(name), parsed);
  }
  const own = new Map<number, number>();
  for (const [pid, { ticks }] of processes) if (descends(pid, self, processes)) own.set(pid, ticks);
  return { ...total, own };
}

function descends(
  pid: number,
  ancestor: number,
  processes: ReadonlyMap<number, { parent: number }>,
): boolean {
  for (let at = pid, steps = 0; at > 0 && steps < 64; steps += 1) {
    if (at === ancestor) return true;
    at = processes.get(at)?.parent ?? 0;
  }
  return false;
}
