import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { memoryOf } from "../src-daemon/supervision/memory-folder.ts";
import { innermost } from "./inner-process.ts";

/** One process of a network, by what it is for. */
export interface Process {
  readonly name: string;
  readonly pid: number;
}

export interface ProcessUse {
  readonly rssBytes: number;
  /** That it has caused to be sent to the disk since it began (`write_bytes` of proc(5)): pages written over before that count once. */
  readonly writtenBytes: number;
}

/** Of the daemon's list; a worker in a box of its own is the innermost process of it. Linux. */
export function processesOf(home: string): Process[] {
  const listed = JSON.parse(readFileSync(join(home, "processes.json"), "utf8")) as {
    daemon: number;
    orchestrator: number;
    workers: { name: string; pid: number }[];
  };
  return [
    { name: "daemon", pid: listed.daemon },
    { name: "orchestrator", pid: listed.orchestrator },
    ...listed.workers.map(({ name, pid }) => ({ name, pid: innermost(pid) })),
  ];
}

/** Null: it has ended. */
export function useOf({ pid }: Process): ProcessUse | null {
  try {
    return {
      rssBytes: field(readFileSync(`/proc/${pid}/status`, "utf8"), "VmRSS") * 1024,
      writtenBytes: field(readFileSync(`/proc/${pid}/io`, "utf8"), "write_bytes"),
    };
  } catch {
    return null;
  }
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
}

const BYTES_PER_BLOCK = 512;
const IN_MEMORY = "in memory";
const TENTHS = 10;

/** Bytes below a data folder, and of its processes in the file system in memory, by kind of file: what differs only by a number or a digest is summed. */
export function filesOf(home: string): Map<string, number> {
  const found = new Map<string, number>();
  const add = (folder: string, path: string, bytes: number): void => {
    const kind = join(folder, path)
      .replaceAll(/[0-9a-f]{16,}/g, "*")
      .replaceAll(/(?<![a-z])[0-9a-f]{2}(?=\/)|(?<![a-z0-9])\d+/g, "N");
    found.set(kind, (found.get(kind) ?? 0) + bytes);
  };
  for (const [path, bytes] of bytesBelow(home)) add("", path, bytes);
  for (const [folder, of] of memoryOf(home))
    for (const [path, bytes] of bytesBelow(folder)) add(join(IN_MEMORY, relative(home, of)), path, bytes);
  return found;
}

/** Files come and go meanwhile. */
function bytesBelow(folder: string): [string, number][] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    if (!entry.isFile()) return [];
    const path = join(entry.parentPath, entry.name);
    const bytes = (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * BYTES_PER_BLOCK;
    return [[relative(folder, path), bytes]];
  });
}

/** How a value grows that goes up and down by itself, as memory between two collections does: by the lowest of each tenth of the time. */
export interface Trend {
  readonly slope: number;
  /** Three times the slope's standard error: a slope within it may be none. */
  readonly doubt: number;
  /** From the first tenth to the last. */
  readonly rise: number;
}

export function trendOf(points: readonly (readonly [number, number])[]): Trend {
  const each = Math.ceil(points.length / TENTHS);
  const lows = Array.from({ length: TENTHS }, (_, i) => points.slice(i * each, (i + 1) * each)).flatMap(
    (part) => part.toSorted((a, b) => a[1] - b[1]).slice(0, 1),
  );
  const [first, last] = [lows[0], lows.at(-1)];
  if (lows.length < 3 || first === undefined || last === undefined)
    return { slope: 0, doubt: Infinity, rise: 0 };
  const middle = (of: 0 | 1): number => lows.reduce((sum, low) => sum + low[of], 0) / lows.length;
  const [x, y] = [middle(0), middle(1)];
  const its = slope(lows);
  const left = lows.reduce((sum, low) => sum + (low[1] - y - its * (low[0] - x)) ** 2, 0);
  const spread = lows.reduce((sum, low) => sum + (low[0] - x) ** 2, 0);
  const doubt = spread === 0 ? Infinity : 3 * Math.sqrt(left / (lows.length - 2) / spread);
  return { slope: its, doubt, rise: last[1] - first[1] };
}

/** Of points (x, y), by least squares; 0 for less than two. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  const common = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  return spread === 0 || points.length < 2 ? 0 : common / spread;
}
