import { readFileSync, readlinkSync } from "node:fs";

/** A process of this computer, told from a later one that was given the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it began, in the kernel's ticks since the computer did. */
  readonly begun: string;
  /** The namespaces of processes and of mounts in which its number and its paths hold. */
  readonly seenFrom: string;
}

/** This process; null: the system does not tell (only Linux does). */
export function processHere(): ProcessIdentity | null {
  const begun = beginOf(process.pid);
  const seenFrom = namespaces();
  return begun === null || seenFrom === null ? null : { pid: process.pid, begun, seenFrom };
}

/** Null: it is of another container, so that its number says nothing here. */
export function livingProcess({ pid, begun, seenFrom }: ProcessIdentity): boolean | null {
  return seenFrom === namespaces() ? beginOf(pid) === begun : null;
}

function namespaces(): string | null {
  try {
    return ["pid", "mnt"].map((kind) => readlinkSync(`/proc/self/ns/${kind}`)).join(" ");
  } catch {
    return null;
  }
}

/** Null: there is no such process. */
function beginOf(pid: number): string | null {
  try {
    // The name in brackets may hold anything; the time of its begin is the 20th word behind it (proc(5)).
    const [, rest = ""] = /^.*\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return rest.split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
