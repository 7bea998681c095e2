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
