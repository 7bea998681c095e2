import { readFileSync } from "node:fs";
import { CONTROL_PROTOCOL } from "../../src-protocol/control.ts";
import type { OrchestratorMessage } from "../../src-protocol/control.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { JournalFile } from "../stores/journal-file.ts";
import type { NetworkState, Row } from "./network-state.ts";
import { RunMemory } from "./run-memory.ts";
import type { Happened, KeptMemory } from "./run-memory.ts";

/** To be counted on whenever what is in a journal, or how it is done again, changes. */
const FORMAT = 8;
/** Whoever waited for longer has gone on in another way: all begins as after any other end. */
const STALE_MS = 60_000;

/** What the store has of the run's generations. */
export interface StoredGenerations {
  /** The newest; 0: none was formed. */
  readonly newest: number;
  /** And so many of its steps. */
  readonly finishedStep: number;
}

interface First {
  readonly header: string;
  readonly life: number;
  readonly stored: StoredGenerations;
  readonly memory: KeptMemory;
}

export interface JournalPorts {
  readonly file: JournalFile;
  /** Of the product. */
  readonly version: string;
  /** Of the folder: see `Identity`. */
  readonly genesis: number;
  readonly life: number;
  /** All rows that were given to the store are in it. */
  readonly stored: () => StoredGenerations;
}

export interface Restored {
  /** Null: too long ago for anybody to go on from there. */
  readonly memory: RunMemory | null;
  /** What the store may not have of them. */
  readonly rows: readonly Row[];
}

/**
 * What happens to a run is written down before anything of it is done, so that the process after one that was killed
 * knows all that it knew: nobody is given anything anew. What is not of the same program, run and folder, of now,
 * and whole, is nothing.
 */
export class RunJournal {
  readonly #ports: JournalPorts;
  readonly #header: string;

  /** `fresh`: the network as it would begin. */
  constructor(ports: JournalPorts, fresh: NetworkState) {
    this.#ports = ports;
    const { run, needs, sums, flops, tied, network, mostReplicas, isAsking } = fresh;
    const asked = [run, needs, sums, flops, [...tied], network, mostReplicas, isAsking];
    this.#header = JSON.stringify({
      format: FORMAT,
      version: ports.version,
      protocol: CONTROL_PROTOCOL,
      node: process.version,
      boot: bootId(),
      genesis: ports.genesis,
      run: sha256(JSON.stringify(asked)),
      // A program under development may not say that it is another one.
      state: Object.keys(fresh).sort().join(),
    });
  }

  /** As it was when the process before this one was killed; null: nothing is known of that. */
  restore(date: number, textOf: (message: OrchestratorMessage) => string): Restored | null {
    try {
      return this.#restored(date, textOf);
    } catch {
      // Of another program after all, or damaged where no checksum tells it.
      return null;
    }
  }

  #restored(date: number, textOf: (message: OrchestratorMessage) => string): Restored | null {
    const { file, life } = this.#ports;
    const [first, ...happened] = (file.read() ?? []) as [First?, ...Happened[]];
    if (first === undefined || first.header !== this.#header || first.life >= life) return null;
    const memory = new RunMemory(first.memory, textOf);
    const rows = happened.flatMap((each) =>
      memory.take(each).effects.flatMap((effect) => (effect.type === "store" ? [effect.row] : [])),
    );
    if (!fits(this.#ports.stored(), first.stored, memory.state)) return null;
    return { memory: Math.abs(date - memory.date) > STALE_MS ? null : memory, rows };
  }

  /** All that happened so far, as it came to. */
  begin(memory: RunMemory): void {
    const { file, life, stored } = this.#ports;
    file.begin({ header: this.#header, life, stored: stored(), memory: memory.toKept() } satisfies First);
  }

  note(happened: Happened): void {
    this.#ports.file.append(happened);
  }

  /** Time to `begin` it again. */
  get isFull(): boolean {
    return this.#ports.file.isFull;
  }

  /** False: it could not be written. */
  get isOpen(): boolean {
    return this.#ports.file.isOpen;
  }

  close(): void {
    this.#ports.file.close();
  }

  remove(): void {
    this.#ports.file.remove();
  }
}

/** The store is neither older than what was written down first nor newer than all of it. */
function fits(now: StoredGenerations, then: StoredGenerations, state: NetworkState): boolean {
  const isBefore = (a: StoredGenerations, b: StoredGenerations): boolean =>
    a.newest < b.newest || (a.newest === b.newest && a.finishedStep < b.finishedStep);
  return !isBefore(now, then) && !isBefore({ newest: state.generation, finishedStep: state.step }, now);
}

/** Null: this system does not say. */
function bootId(): string | null {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return null;
  }
}
