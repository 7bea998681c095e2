import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { WorkLimits } from "../../src-protocol/rules.ts";
import { descendants } from "./core-limits.ts";

/** Of a second's worth of one processor, in the microseconds that the kernel counts in. */
const PERIOD_US = 100_000;

/** Where the kernel tells of groups; tests have folders of their own. */
export interface GroupPlaces {
  /** The mounted hierarchy. */
  readonly root: string;
  readonly proc: string;
  readonly pid: number;
}

/**
 * The kernel's own group (cgroup v2) for all workers: what it allows, nothing in it goes beyond, whatever
 * runs there. It takes a group of ours alone that the system has handed over, as the service's unit asks for
 * (`Delegate=`); elsewhere, `why` not.
 */
export class WorkGroup {
  readonly #folder: string | null;
  readonly #proc: string;
  /** Null: it holds. */
  readonly why: string | null;

  private constructor(folder: string | null, why: string | null, proc: string) {
    this.#folder = folder;
    this.why = why;
    this.#proc = proc;
  }

  static open({ root, proc, pid }: GroupPlaces): WorkGroup {
    const none = (why: string): WorkGroup => new WorkGroup(null, why, proc);
    if (!existsSync(join(root, "cgroup.controllers"))) return none("this system has no cgroup v2");
    try {
      const own = /^0::(.*)$/m.exec(readFileSync(join(proc, String(pid), "cgroup"), "utf8"))?.[1];
      if (own === undefined) return none("this process is in no cgroup");
      const base = join(root, own);
      const members = (): number[] =>
        (readFileSync(join(base, "cgroup.procs"), "utf8").match(/\d+/g) ?? []).map(Number);
      // What it has started by now (a network of its own) is in its group too.
      const hasStranger = (): boolean => members().some((member) => !isOf(member, pid, proc));
      // Asked twice: who has just ended is nobody's any more.
      if (own === "/" || (hasStranger() && hasStranger()))
        return none("it was not started as a service, in a group of its own (`tah service install`)");
      for (const name of ["cgroup.procs", "cgroup.subtree_control"])
        accessSync(join(base, name), constants.W_OK);
      const offered = readFileSync(join(base, "cgroup.controllers"), "utf8").trim().split(/\s+/);
      if (!["cpu", "memory"].every((name) => offered.includes(name)))
        return none("its group may not limit processor and memory (`Delegate=cpu memory` in its unit)");
      // A group that hands on to others holds no process itself.
      const daemon = join(base, "daemon");
      const workers = join(base, "workers");
      for (const folder of [daemon, workers]) mkdirSync(folder, { recursive: true });
      for (const member of members()) moved(member, daemon);
      writeFileSync(join(base, "cgroup.subtree_control"), "+cpu +memory");
      return new WorkGroup(workers, null, proc);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      return none(`its group is not its own to use (${code})`);
    }
  }

  /** What all in it may use together; `of`: how many processors there are. */
  limit(
    { cores, quiet, memoryMegabytes }: Pick<WorkLimits, "cores" | "quiet" | "memoryMegabytes">,
    of: number,
  ): void {
    const allowed = Math.min(cores ?? of, quiet ? Math.max(1, Math.floor(of / 2)) : of);
    this.#write("cpu.max", allowed >= of ? `max ${PERIOD_US}` : `${allowed * PERIOD_US} ${PERIOD_US}`);
    this.#write("memory.max", memoryMegabytes === null ? "max" : String(memoryMegabytes * 1e6));
  }

  /** Puts a process and all that it has started into it. */
  take(pid: number): void {
    for (const one of [pid, ...descendants(pid, this.#proc)]) this.#write("cgroup.procs", String(one));
  }

  #write(name: string, value: string): void {
    if (this.#folder === null) return;
    try {
      writeFileSync(join(this.#folder, name), value);
    } catch {
      // The process has ended, or its group was taken from us: the other means still hold.
    }
  }
}

/** Whether a process is this one, or was started by it or one of its own. */
function isOf(member: number, pid: number, proc: string): boolean {
  if (member === pid || member <= 1) return member === pid;
  try {
    const status = readFileSync(join(proc, String(member), "status"), "utf8");
    return isOf(Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1] ?? 0), pid, proc);
  } catch {
    return false;
  }
}

function moved(pid: number, group: string): void {
  try {
    writeFileSync(join(group, "cgroup.procs"), String(pid));
  } catch (error) {
    // It has ended in the meantime.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

let own: WorkGroup | null = null;

/** Of this daemon; found at its first use. */
export function ownWorkGroup(): WorkGroup {
  own ??= WorkGroup.open({ root: "/sys/fs/cgroup", proc: "/proc", pid: process.pid });
  return own;
}
