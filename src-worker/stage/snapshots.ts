import { createHash, randomUUID } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { copyFile, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { Restorable } from "../../src-protocol/control.ts";
import { roundnessOf } from "../../src-protocol/disk-steps.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { runDigest } from "../../src-protocol/run-digest.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { isSoundState, snapshotDigest } from "../../src-protocol/snapshot.ts";
import type { SnapshotHeader } from "../../src-protocol/snapshot.ts";
import { ageMs, copyWithDate, exists, unusedName } from "../disk/dated-file.ts";
import { diskFailure } from "../disk/disk-failure.ts";
import { isKeptAside, keepAside } from "./asides.ts";
import {
  copySnapshotFile,
  copyToDisk,
  openSource,
  readSnapshotHeader,
  readSnapshotPayload,
  snapshotHeaderOf,
  writeSnapshotFile,
} from "./snapshot-file.ts";
import type { Place, SnapshotName, SnapshotSource } from "./snapshot-file.ts";

/** The pipeline's stages are never more than one snapshot apart: the last two are never written over. */
const NEWEST = 2;
/** On a disk with two of before, and what is written just now. */
const SLOTS = { disk: 4, memory: 3 } as const;
const SLOT = /^slot-(\d)\.snapshot$/;
/** Of copies that are being uploaded. */
const CHECKPOINT_SUFFIX = ".checkpoint";
const PIECE_BYTES = 1024 * 1024;
/** Of 9 MB a step has 2 % more tokens a second by it, of 38 MB 1 % less: this thread has other things to do. */
const AT_ONCE_BYTES = 16 * 1024 * 1024;
/** As many as a hello may name. */
export const RESTORABLE_LIMIT = 64;

/** Which stage of which run. */
export interface StageOfRun {
  readonly spec: RunSpec;
  readonly stage: number;
}

/** What is uploaded; it stays as it is until it is removed. */
export interface CheckpointFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  remove(): Promise<void>;
}

/** So many steps are done again whenever a pipeline is formed anew: what was granted and not finished by all. */
const DONE_AGAIN = 2;
/** And so much of work where states go to the disk now and then: as much as may be lost with the power. */
const DONE_AGAIN_MS = 600_000;

interface Slot {
  readonly path: string;
  readonly header: SnapshotHeader;
  /** Milliseconds of `performance.now()`, which nobody sets; may be before this process. */
  readonly writtenAt: number;
}

export interface SavedSnapshot {
  readonly path: string;
  /** `snapshotDigest`. */
  readonly digest: string;
}

/**
 * The snapshots in one worker's folder. A file that cannot be trusted is never used: on a disk it is set aside and
 * never deleted, in a file system that lies in memory it is removed.
 */
export class Snapshots {
  readonly #folder: string;
  readonly #on: Place;
  readonly #report: (failure: Failure) => void;
  /** Verified, by path. */
  readonly #slots = new Map<string, Slot>();
  /** Slots that this or an earlier process had begun to write over. */
  readonly #unfinished = new Set<string>();
  /** A slot that is being uploaded, and stays as it is until then. */
  #uploading: string | null = null;

  private constructor(folder: string, report: (failure: Failure) => void, on: Place) {
    this.#folder = folder;
    this.#report = report;
    this.#on = on;
  }

  /** Reads and verifies everything in `folder`, which is made when missing. `report` hears of files set aside. */
  static async open(
    folder: string,
    report: (failure: Failure) => void,
    on: Place = "disk",
  ): Promise<Snapshots> {
    const snapshots = new Snapshots(folder, report, on);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const names = await readdir(folder, { recursive: true });
      for (const name of names.sort()) {
        const path = join(folder, name);
        if (basename(path).startsWith("slot-") && path.endsWith(".snapshot")) await snapshots.#verify(path);
        // The half-written file of a process that was killed.
        else if (path.endsWith(".writing") || path.endsWith(CHECKPOINT_SUFFIX))
          await rm(path, { force: true });
      }
    } catch (error) {
      throw diskFailure(error, folder);
    }
    return snapshots;
  }

  /** What this node can return to by itself, for `hello`. */
  restorable(): Restorable[] {
    const found = new Map<string, Restorable>();
    for (const { header } of this.#slots.values()) {
      const key = JSON.stringify([header.runId, header.stage]);
      const entry = found.get(key) ?? { runId: header.runId, stage: header.stage, steps: [] };
      entry.steps.push({ step: header.step, digest: snapshotDigest(header) });
      found.set(key, entry);
    }
    for (const { steps } of found.values()) steps.sort((a, b) => a.step - b.step);
    return [...found.values()].slice(0, RESTORABLE_LIMIT);
  }

  /**
   * Writes the state after `step` steps, and the stage's `link` there; `memory` must not change until
   * the promise settles. A newest state that lies far ahead of it is kept.
   * Rejects with `disk-full`, `disk-read-only` or `disk-failed`.
   */
  async save(
    { spec, stage }: StageOfRun,
    step: number,
    memory: SharedArrayBuffer,
    link?: string,
  ): Promise<SavedSnapshot> {
    if (this.#on === "disk") await this.keepAhead(spec.runId, stage, step);
    const path = this.#placeFor(spec.runId, stage, step);
    const name = nameOf({ spec, stage }, step, link);
    // No fsync: a killed process loses nothing without it, and after a power cut the checksum finds
    // a torn file; a home's SSD should not be flushed at every step.
    try {
      const ours = this.#slots.delete(path) || this.#unfinished.has(path);
      const header =
        ours && (await exists(path))
          ? await this.#overwrite(path, name, memory)
          : await this.#create(path, name, memory);
      this.#slots.set(path, { path, header, writtenAt: performance.now() });
      return { path, digest: snapshotDigest(header) };
    } catch (error) {
      throw diskFailure(error, path);
    }
  }

  /** `snapshotDigest` of the slot of `step`; null when there is none. */
  digestOf({ spec, stage }: StageOfRun, step: number): string | null {
    const slot = this.#slot(spec.runId, stage, step);
    return slot === null ? null : snapshotDigest(slot.header);
  }

  /** What is on the disk of one stage. */
  stepsOf({ spec, stage }: StageOfRun): { readonly step: number; readonly digest: string }[] {
    return this.#slotsOf(spec.runId, stage).map(({ header }) => ({
      step: header.step,
      digest: snapshotDigest(header),
    }));
  }

  /** Of all that lies here. */
  get bytes(): number {
    return [...this.#slots.values()].reduce((sum, { header }) => sum + header.payloadBytes, 0);
  }

  /** Puts what `from` has and this has not in a place here, as it is. Rejects as `save` does. */
  async take(from: Snapshots): Promise<void> {
    const oldestFirst = [...from.#slots.values()].sort((a, b) => a.header.step - b.header.step);
    for (const slot of oldestFirst) {
      const { runId, stage, step } = slot.header;
      const own = this.#slot(runId, stage, step);
      const isHere = own !== null && snapshotDigest(own.header) === snapshotDigest(slot.header);
      // What was put here later is the state that counts.
      if (isHere || (own !== null && own.writtenAt > slot.writtenAt)) continue;
      // Somebody has emptied the place.
      if (!(await exists(slot.path))) continue;
      const path = this.#placeFor(runId, stage, step, slot.writtenAt);
      try {
        await copyWithDate(slot.path, path, copyToDisk, async () => {
          if (!this.#slots.has(path) && !this.#unfinished.has(path)) await this.#setAsideUnknown(path);
        });
      } catch (error) {
        throw diskFailure(error, path);
      }
      this.#unfinished.delete(path);
      this.#slots.set(path, { ...slot, path });
    }
  }

  /** The state of `step` lies elsewhere from now on: another one of this step is out of date. */
  async drop({ spec, stage }: StageOfRun, step: number): Promise<void> {
    const slot = this.#slot(spec.runId, stage, step);
    if (slot === null) return;
    this.#slots.delete(slot.path);
    await rm(slot.path, { force: true }).catch(() => undefined);
  }

  /** Removes everything; what is in use elsewhere is not asked for. */
  async clear(): Promise<void> {
    this.#slots.clear();
    this.#unfinished.clear();
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names) await rm(join(this.#folder, name), { recursive: true, force: true });
  }

  /** The newest step of a run, of any stage, that is here. */
  newest(runId: string): { readonly step: number; readonly writtenAt: number } | null {
    let newest: { step: number; writtenAt: number } | null = null;
    for (const { header, writtenAt } of this.#slots.values())
      if (header.runId === runId && header.step > (newest?.step ?? -1))
        newest = { step: header.step, writtenAt };
    return newest;
  }

  /**
   * Takes the stage's newest state out of its slot and keeps it: what is loaded next, of `step`, may be of another
   * history, and would be written over it.
   */
  async keepNewest({ spec, stage }: StageOfRun, step: number): Promise<void> {
    const [newest] = this.#slotsOf(spec.runId, stage);
    if (newest !== undefined) await this.#keepAside(newest, this, step);
  }

  /**
   * Before a state of `step` is written: the newest of `from` is kept here as another history's if it lies beyond
   * what is done again in any case. Those that were written before one that is kept are its past.
   */
  async keepAhead(runId: string, stage: number, step: number, from: Snapshots = this): Promise<void> {
    const newest = from.#slotsOf(runId, stage).find(({ path }) => path !== from.#uploading);
    if (newest === undefined || newest.header.step <= step + DONE_AGAIN) return;
    const past = [this, from]
      .flatMap((each) => each.#slotsOf(runId, stage))
      .filter(({ header, writtenAt }) => header.step <= step && writtenAt < newest.writtenAt);
    if (past.some(({ writtenAt }) => newest.writtenAt - writtenAt <= DONE_AGAIN_MS)) return;
    const folder = this.#folderOf(runId, stage);
    if (!(await isKeptAside(folder, newest.path))) await this.#keepAside(newest, from, step);
  }

  /** `goesOnAt`: where the network goes on. */
  async #keepAside(
    { path, header: { runId, stage, step } }: Slot,
    from: Snapshots,
    goesOnAt: number,
  ): Promise<void> {
    const folder = this.#folderOf(runId, stage);
    try {
      const kept = await keepAside(folder, path, step);
      from.#slots.delete(path);
      if (step <= goesOnAt) return;
      this.#report(
        new Failure(
          "state-kept",
          `This computer had come to step ${step}, further than the network, which goes on at step ${goesOnAt}. ` +
            `Its own state is kept: ${kept}.`,
        ),
      );
    } catch (error) {
      throw diskFailure(error, folder);
    }
  }

  /**
   * Fills `memory` from the slot of `step`. False when there is none that fits; one that turns out
   * to be damaged or of another run is set aside.
   */
  async restore({ spec, stage }: StageOfRun, step: number, memory: SharedArrayBuffer): Promise<boolean> {
    const slot = this.#slot(spec.runId, stage, step);
    if (slot === null) return false;
    try {
      const source = await openSource(slot.path);
      try {
        await restoreFrom(source, { spec, stage }, step, memory, this.#on);
      } finally {
        await source.close();
      }
      return true;
    } catch (error) {
      await this.#setAside(slot.path, error);
      return false;
    }
  }

  /** Of the chain at `step`, as the slot of that step says; null where it says none. */
  linkAt({ spec, stage }: StageOfRun, step: number): string | null {
    return this.#slot(spec.runId, stage, step)?.header.link ?? null;
  }

  /**
   * A slot with its digest, for upload: it is not written over until then. While one is uploaded, a further
   * one is copied. Nothing of it is held in memory, and no piece of work on it is long: a checkpoint can have
   * gigabytes, and heartbeats must go on.
   */
  async checkpoint(path: string): Promise<CheckpointFile> {
    const isCopy = this.#uploading !== null;
    const copy = isCopy ? `${path}.${randomUUID()}${CHECKPOINT_SUFFIX}` : path;
    if (!isCopy) this.#uploading = path;
    const remove = async (): Promise<void> => {
      if (isCopy) await rm(copy, { force: true });
      else if (this.#uploading === path) this.#uploading = null;
    };
    try {
      // At once: the slot is written over a few steps later. What that tore is not uploaded.
      if (isCopy) await copyFile(path, copy, constants.COPYFILE_FICLONE);
      const source = await openSource(copy);
      try {
        await readSnapshotPayload(source, await readSnapshotHeader(source), null, this.#on);
      } finally {
        await source.close();
      }
      const hash = createHash("sha256");
      for await (const piece of createReadStream(copy, { highWaterMark: PIECE_BYTES })) hash.update(piece);
      return { path: copy, sha256: hash.digest("hex"), bytes: source.bytes, remove };
    } catch (error) {
      await remove();
      throw error;
    }
  }

  /** Its place is used again. */
  #forget(path: string): void {
    this.#slots.delete(path);
    this.#unfinished.add(path);
  }

  #folderOf(runId: string, stage: number): string {
    // SECURITY: a run id comes from the network and must not become a path.
    return join(this.#folder, sha256(runId).slice(0, 16), `stage-${stage}`);
  }

  /** Newest first. */
  #slotsOf(runId: string, stage: number): Slot[] {
    return [...this.#slots.values()]
      .filter(({ header }) => header.runId === runId && header.stage === stage)
      .sort((a, b) => b.header.step - a.header.step);
  }

  #slot(runId: string, stage: number, step: number): Slot | null {
    return this.#slotsOf(runId, stage).find(({ header }) => header.step === step) ?? null;
  }

  /**
   * Where the state of `step` is written: over the same step of another history, where nothing is, or over
   * the one that others have least likely in common with this node. What lies ahead and was `writtenAt` an
   * earlier time did not happen.
   */
  #placeFor(runId: string, stage: number, step: number, writtenAt = Infinity): string {
    const all = this.#slotsOf(runId, stage);
    const known = all.filter(({ path }) => path !== this.#uploading);
    const same = all.find(({ header }) => header.step === step);
    if (same !== undefined && same.path !== this.#uploading) return same.path;
    if (same !== undefined) this.#forget(same.path);
    const folder = this.#folderOf(runId, stage);
    const places = Array.from({ length: SLOTS[this.#on] }, (_, slot) =>
      join(folder, `slot-${slot}.snapshot`),
    );
    const free = places.find((path) => !this.#slots.has(path) && path !== this.#uploading);
    if (free !== undefined) return free;
    const isAhead = (slot: Slot): boolean => slot.header.step > step && slot.writtenAt < writtenAt;
    const newest = new Set(all.filter((slot) => !isAhead(slot)).slice(0, NEWEST));
    const before = known.filter((slot) => !isAhead(slot) && !newest.has(slot));
    const [first] = [
      ...known.filter(isAhead),
      ...before.sort(
        ({ header: a }, { header: b }) => roundnessOf(a.step) - roundnessOf(b.step) || a.step - b.step,
      ),
    ];
    return first?.path ?? known.at(-1)?.path ?? join(folder, "slot-0.snapshot");
  }

  async #overwrite(path: string, name: SnapshotName, memory: SharedArrayBuffer): Promise<SnapshotHeader> {
    this.#unfinished.add(path);
    const header = await this.#write(path, name, memory, "existing");
    this.#unfinished.delete(path);
    return header;
  }

  /** A small state in memory is copied at once, which spares the way to another thread and back. */
  #write(
    path: string,
    name: SnapshotName,
    memory: SharedArrayBuffer,
    target: "new" | "existing",
  ): Promise<SnapshotHeader> {
    return this.#on === "memory" && memory.byteLength <= AT_ONCE_BYTES
      ? copySnapshotFile(path, name, memory, target)
      : writeSnapshotFile(path, name, memory, target, this.#on);
  }

  async #create(path: string, name: SnapshotName, memory: SharedArrayBuffer): Promise<SnapshotHeader> {
    const temporary = `${path}.writing`;
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const header = await this.#write(temporary, name, memory, "new");
      await this.#setAsideUnknown(path);
      await rename(temporary, path);
      return header;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async #verify(path: string): Promise<void> {
    try {
      const source = await openSource(path);
      try {
        const header = await readSnapshotHeader(source);
        await readSnapshotPayload(source, header, null, this.#on);
        const isSlot = Number(SLOT.exec(basename(path))?.[1]) < SLOTS[this.#on];
        if (!isSlot || dirname(path) !== this.#folderOf(header.runId, header.stage)) {
          throw new Failure("snapshot-foreign", "A stored snapshot lies in the place of another one.");
        }
        this.#slots.set(path, {
          path,
          header,
          writtenAt: performance.now() - ageMs((await stat(path)).mtimeMs),
        });
      } finally {
        await source.close();
      }
    } catch (error) {
      // Cut short by a kill: nobody's work, its place is used again.
      if (error instanceof Failure && error.code === "snapshot-unfinished") this.#unfinished.add(path);
      else await this.#setAside(path, error);
    }
  }

  /** A file in a slot's place that we neither wrote nor verified is somebody's: it is kept. */
  async #setAsideUnknown(path: string): Promise<void> {
    if (!(await exists(path))) return;
    await this.#setAside(path, new Failure("snapshot-foreign", "It appeared while the worker was running."));
  }

  async #setAside(path: string, error: unknown): Promise<void> {
    this.#slots.delete(path);
    if (this.#on === "memory") {
      // One that could not be read may be whole.
      if (error instanceof Failure) await rm(path, { force: true });
      return;
    }
    const kept = await unusedName(`${path}.corrupt`);
    await rename(path, kept);
    const { code, message } = failureBody(error);
    this.#report(
      new Failure(
        code.startsWith("snapshot-") ? code : "snapshot-unreadable",
        `${message} It was kept as ${kept}; training goes on from another snapshot or from the network's checkpoint.`,
      ),
    );
  }
}

/** `snapshotDigest` of the file that `save` would write. */
export function digestToBe(stage: StageOfRun, step: number, memory: SharedArrayBuffer, link: string): string {
  return snapshotDigest(snapshotHeaderOf(nameOf(stage, step, link), memory));
}

/**
 * Fills `memory` from a checkpoint, a piece at a time; gives the chain's link there, null where it says none.
 * Rejects with `snapshot-corrupt` or `snapshot-foreign`.
 */
export async function restoreCheckpointFile(
  path: string,
  stage: StageOfRun,
  step: number,
  memory: SharedArrayBuffer,
): Promise<string | null> {
  const source = await openSource(path).catch((error: unknown) => {
    throw diskFailure(error, path);
  });
  try {
    return (await restoreFrom(source, stage, step, memory, "disk")).link ?? null;
  } finally {
    await source.close();
  }
}

async function restoreFrom(
  source: SnapshotSource,
  { spec, stage }: StageOfRun,
  step: number,
  memory: SharedArrayBuffer,
  place: Place,
): Promise<SnapshotHeader> {
  const header = await readSnapshotHeader(source);
  if (header.runSha256 !== runDigest(spec) || header.stage !== stage || header.step !== step) {
    throw new Failure(
      "snapshot-foreign",
      `A stored snapshot is of run ${header.runId}, stage ${header.stage}, step ${header.step}, ` +
        `and not of this run's stage ${stage} at step ${step}.`,
    );
  }
  await readSnapshotPayload(source, header, memory, place);
  const state = new Float32Array(memory);
  if (!isSoundState(state, 0, state.length)) {
    throw new Failure(
      "snapshot-corrupt",
      "A stored snapshot cannot be used: it holds values that nobody can train on.",
    );
  }
  return header;
}

function nameOf({ spec, stage }: StageOfRun, step: number, link: string | undefined): SnapshotName {
  return {
    runId: spec.runId,
    runSha256: runDigest(spec),
    stage,
    step,
    ...(link === undefined ? {} : { link }),
  };
}
