import { statfs } from "node:fs/promises";
import type { Restorable } from "../../src-protocol/control.ts";
import type { Failure } from "../../src-protocol/failure.ts";
import { RESTORABLE_LIMIT, Snapshots, digestToBe } from "./snapshots.ts";
import type { SavedSnapshot, StageOfRun } from "./snapshots.ts";

/**
 * Two steps are granted beyond the last that all are known to have finished, and are made also while the network's
 * orchestrator is away: the one that it knows of when it is back has to be there yet.
 */
export const STATES_IN_MEMORY = 3;
/** Where the memory was full, it is asked again after so long. */
const ASK_AGAIN_MS = 60_000;

/**
 * The states of stages that this computer can return to: on its disk, and, where the system has a file system
 * that lies in memory, the newest ones there: they outlive the process, and wear no disk.
 */
export class StoredStates {
  readonly disk: Snapshots;
  readonly #memory: Snapshots | null;
  readonly #memoryFolder: string | null;
  readonly #now: () => number;
  #keeps = false;
  /** It was full when a state was put there, and is asked again then. */
  #full: { readonly askAt: number } | null = null;
  #hasRoom: () => boolean = () => true;

  private constructor(
    disk: Snapshots,
    memory: Snapshots | null,
    memoryFolder: string | null,
    now: () => number,
  ) {
    this.disk = disk;
    this.#memory = memory;
    this.#memoryFolder = memoryFolder;
    this.#now = now;
  }

  /**
   * `memoryFolder`: in such a file system; null: there is none. `report` hears of files of the disk set aside.
   * `now`: milliseconds of a clock that nobody sets.
   */
  static async open(
    folder: string,
    memoryFolder: string | null,
    report: (failure: Failure) => void,
    now: () => number = () => performance.now(),
  ): Promise<StoredStates> {
    const disk = await Snapshots.open(folder, report);
    const memory =
      memoryFolder === null
        ? null
        : // What it would save is on the disk too, only older.
          await Snapshots.open(memoryFolder, () => undefined, "memory").catch(() => null);
    return new StoredStates(disk, memory, memoryFolder, now);
  }

  /** Whether every state is put in memory that outlives the process, of the stage that is held now. */
  get keeps(): boolean {
    return this.#keeps;
  }

  /** In memory, beside what the process itself holds. */
  get bytesInMemory(): number {
    return this.#memory?.bytes ?? 0;
  }

  /**
   * Whether states of so many bytes have room there, and so much `beside` them; whether the computer has as much left is
   * asked elsewhere.
   */
  async hasPlaces(bytes: number, beside = 0): Promise<boolean> {
    if (this.#memory === null || this.#memoryFolder === null) return false;
    try {
      const { bavail, bsize } = await statfs(this.#memoryFolder);
      return STATES_IN_MEMORY * bytes + beside < bavail * bsize + this.#memory.bytes;
    } catch {
      return false;
    }
  }

  /** The newest states lie in memory, all that can be gone back to. */
  get isWhole(): boolean {
    return this.#keeps && this.#memory?.restorable()[0]?.steps.length === STATES_IN_MEMORY;
  }

  /** The memory was full; until it has room again, states go to the disk alone. */
  get isFull(): boolean {
    return this.#full !== null;
  }

  /**
   * From now on this stage is held: what lies in memory of others goes to the disk, and all of it where nothing is
   * kept. `hasRoom`: whether the computer has as much left when the memory was full and is asked again.
   */
  async hold({ spec, stage: index }: StageOfRun, keeps: boolean, hasRoom: () => boolean): Promise<void> {
    const isOfOther = ({ runId, stage }: Restorable): boolean => runId !== spec.runId || stage !== index;
    if (!keeps || this.#memory?.restorable().some(isOfOther) === true) await this.release();
    this.#keeps = keeps;
    this.#full = null;
    this.#hasRoom = hasRoom;
  }

  /** Puts what lies in memory on the disk, and frees the memory. Rejects as `Snapshots.save` does. */
  async release(): Promise<void> {
    if (this.#memory === null) return;
    await this.disk.take(this.#memory);
    await this.#memory.clear();
    this.#keeps = false;
  }

  /** What this node can return to by itself, for `hello`. */
  restorable(): Restorable[] {
    const found = new Map<string, Restorable>();
    for (const each of this.#all().flatMap((place) => place.restorable())) {
      const key = JSON.stringify([each.runId, each.stage]);
      const steps = new Map(found.get(key)?.steps.map(({ step, digest }) => [step, digest]));
      for (const { step, digest } of each.steps) if (!steps.has(step)) steps.set(step, digest);
      const sorted = [...steps].sort(([a], [b]) => a - b).map(([step, digest]) => ({ step, digest }));
      found.set(key, { ...each, steps: sorted });
    }
    return [...found.values()].slice(0, RESTORABLE_LIMIT);
  }

  /** The newest step of a run, of any stage. */
  newest(runId: string): { readonly step: number; readonly writtenAt: number } | null {
    const [newest] = this.#all()
      .flatMap((place) => place.newest(runId) ?? [])
      .sort((a, b) => b.step - a.step);
    return newest ?? null;
  }

  /** Writes a state to the disk, as `Snapshots.save` does. */
  async save(
    stage: StageOfRun,
    step: number,
    memory: SharedArrayBuffer,
    link?: string,
  ): Promise<SavedSnapshot> {
    await this.#keepAhead(stage, step);
    const saved = await this.disk.save(stage, step, memory, link);
    await this.#memory?.drop(stage, step);
    return saved;
  }

  /** `snapshotDigest` of the state after `step` steps, which it keeps in memory where it does that. */
  async keep(stage: StageOfRun, step: number, memory: SharedArrayBuffer, link: string): Promise<string> {
    await this.#keepAhead(stage, step);
    await this.#askAgain(memory.byteLength);
    if (!this.#keeps || this.#memory === null) return digestToBe(stage, step, memory, link);
    try {
      return (await this.#memory.save(stage, step, memory, link)).digest;
    } catch {
      // It is full, or was emptied. What lies there goes to the disk, and this state too: one step back stays possible.
      this.#full = { askAt: this.#now() + ASK_AGAIN_MS };
      this.#keeps = false;
      // What the disk has no room for stays where it is.
      await this.release().catch(() => undefined);
      return (await this.disk.save(stage, step, memory, link)).digest;
    }
  }

  /** What lies in memory, far ahead of this step, is kept on the disk before it is written over. */
  async #keepAhead({ spec, stage }: StageOfRun, step: number): Promise<void> {
    if (this.#memory !== null) await this.disk.keepAhead(spec.runId, stage, step, this.#memory);
  }

  async #askAgain(bytes: number): Promise<void> {
    if (this.#full === null || this.#now() < this.#full.askAt) return;
    this.#keeps = this.#hasRoom() && (await this.hasPlaces(bytes));
    this.#full = this.#keeps ? null : { askAt: this.#now() + ASK_AGAIN_MS };
  }

  /** Fills `memory` with the state of this digest; gives its chain's link. Null: it is not here. */
  async restore(
    stage: StageOfRun,
    step: number,
    digest: string,
    memory: SharedArrayBuffer,
  ): Promise<{ readonly link: string | null } | null> {
    for (const place of this.#all()) {
      if (place.digestOf(stage, step) !== digest) continue;
      const link = place.linkAt(stage, step);
      if (await place.restore(stage, step, memory)) return { link };
    }
    return null;
  }

  /** Whether the state of this digest outlives the process. */
  has(stage: StageOfRun, step: number, digest: string): boolean {
    return this.#all().some((place) => place.digestOf(stage, step) === digest);
  }

  /** Takes the stage's newest state out of its place and keeps it on the disk: another history comes, at `step`. */
  async keepNewest(stage: StageOfRun, step: number): Promise<void> {
    const { keeps } = this;
    await this.release();
    this.#keeps = keeps;
    await this.disk.keepNewest(stage, step);
  }

  /** Where a state is looked for first. */
  #all(): Snapshots[] {
    return this.#memory === null ? [this.disk] : [this.#memory, this.disk];
  }
}
