import { replicaBytes, sumValues } from "../../src-engine/replica-memory.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { DecoderSpec } from "../../src-protocol/decoder.ts";
import type { Restorable } from "../../src-protocol/control.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { runDigest } from "../../src-protocol/run-digest.ts";
import { SNAPSHOT_HEADER_BYTES } from "../../src-protocol/snapshot.ts";
import type { NamedBlob } from "../loading/blob-cache.ts";
import type { StageInfo } from "../compute/compute-call.ts";
import type { Compute } from "../compute/compute.ts";
import { tiedCount } from "../compute/parameter-home.ts";
import { chooseRecompute, hasRoomForStates, isSpared, sparedBeside } from "./memory-budget.ts";
import { restoreCheckpointFile } from "./snapshots.ts";
import type { StageOfRun } from "./snapshots.ts";
import { STATES_IN_MEMORY } from "./stored-states.ts";
import type { StoredStates } from "./stored-states.ts";
import { stageBytes } from "./stage-memory.ts";

export interface LoadRequest extends StageOfRun {
  readonly resumeStep: number;
  /** `snapshotDigest` of the state that counts; null: the seed, or only the checkpoint is known. */
  readonly resumeDigest: string | null;
  readonly checkpointSha256: string | null;
  /** The state comes from another replica: everything else is loaded. */
  readonly joins?: boolean | undefined;
  /** How many computers are to hold the stage with this one; left out: it has the stage alone. */
  readonly replicas?: number | undefined;
  /** Of memory that is taken already and will be used again beside what is held, in bytes. */
  readonly takenBytes?: number;
  /** What the compute thread has of micro-batches under way is wanted, where the state is that of now. */
  readonly keepInputs?: boolean;
}

export interface LoadedStage {
  readonly info: StageInfo;
  readonly memory: SharedArrayBuffer;
  /** Of the stage's chain at the step it was brought to; null where that is not known. */
  readonly link: string | null;
  /** What was under way is still there. */
  readonly hasInputs: boolean;
  /** What may be taken of memory beside it, in bytes. */
  readonly sparedBytes: number;
}

/** A step, the link of the chain there, and the `snapshotDigest` of the state; null: not known. */
export interface LinkedAt {
  readonly step: number;
  readonly link: string | null;
  readonly digest: string | null;
}

export interface LoaderPorts {
  readonly compute: Pick<Compute, "call">;
  readonly states: StoredStates;
  /** By a digest, with how many bytes it has at most: the path of the verified file. */
  readonly checkpoints: {
    file(digest: string, mostBytes: number, signal?: AbortSignal): Promise<string>;
  };
  /** Files of models, by digest. */
  readonly models: { get(file: NamedBlob, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> };
  /** Of the files of a decoder, the parts that these parameters lie in: paths of the files. */
  readonly parts: {
    get(model: DecoderSpec, names: ReadonlySet<string>, signal?: AbortSignal): Promise<string[]>;
  };
  /** What this computer has left, in bytes. */
  readonly availableMemory: () => number;
  /** What its owner allows, in bytes; infinite: what the computer has. */
  readonly memoryBytes: number;
  /** Milliseconds of `performance.now()`, by which `Snapshots` counts too. */
  readonly now: () => number;
}

/** However fast a network trains, so many steps are made in a second at most, and so many may be missed. */
const MOST_STEPS_PER_SECOND = 250;
const MISSED_STEPS = 10_000;

interface Held extends Omit<LoadedStage, "link" | "hasInputs"> {
  readonly key: string;
  readonly of: StageOfRun;
  /** What was counted for it as one of the stage's replicas. */
  readonly replicaBytes: number;
  /** The state before, where it has room and states do not lie in memory that outlives the process. */
  last: { readonly memory: SharedArrayBuffer; at: LinkedAt | null } | null;
}

/** Brings a stage to a step from the nearest place that has it: memory, own disk, the network's checkpoint, the seed. */
export class StageLoader {
  readonly #ports: LoaderPorts;
  #held: Held | null = null;
  /** Where the held parameters are; null while they are being overwritten. */
  #at: LinkedAt | null = null;

  constructor(ports: LoaderPorts) {
    this.#ports = ports;
  }

  parametersAt(at: LinkedAt): void {
    this.#at = at;
  }

  /** The parameters begin to be overwritten: what they were is kept, where there is room. */
  overwriting(): void {
    this.#placeLast();
    const last = this.#held?.last ?? null;
    if (this.#held !== null && last !== null && this.#at !== null) {
      new Uint8Array(last.memory).set(new Uint8Array(this.#held.memory));
      last.at = this.#at;
    }
    this.#at = null;
  }

  /** While the memory that outlives the process is full, the state before lies in the process's own. */
  #placeLast(): void {
    const { states, availableMemory } = this.#ports;
    if (this.#held === null) return;
    const { last, memory } = this.#held;
    if (last === null && states.isFull && isSpared(memory.byteLength, availableMemory()))
      this.#held.last = { memory: new SharedArrayBuffer(memory.byteLength), at: null };
    else if (last !== null && states.isWhole) this.#held.last = null;
  }

  /** The state before is kept in memory: not every state has to be on the disk. */
  get keepsLast(): boolean {
    return this.#held !== null && (this.#held.last !== null || this.#ports.states.keeps);
  }

  /** States that need no disk to return to, of one stage, for `hello`. */
  restorable(): Restorable[] {
    const states = this.#inMemory().flatMap(({ of, at }) =>
      at.digest === null ? [] : [{ of, step: at.step, digest: at.digest }],
    );
    const [first] = states;
    if (first === undefined) return [];
    const steps = states.map(({ step, digest }) => ({ step, digest }));
    return [{ runId: first.of.spec.runId, stage: first.of.stage, steps }];
  }

  /** Puts on the disk what is in memory alone; it must not change meanwhile. */
  async toDisk(): Promise<void> {
    await this.#ports.states.release();
    await this.#lastingStates();
  }

  /** What is in this process's memory alone goes to the disk; it must not change meanwhile. */
  async #lastingStates(): Promise<void> {
    const { states } = this.#ports;
    // The newest last: it takes the place of the state that is needed least.
    for (const { of, at, memory } of this.#inMemory().toReversed())
      if (at.step > 0 && at.digest !== null && !states.has(of, at.step, at.digest))
        await states.save(of, at.step, memory, at.link ?? undefined);
  }

  /** The newest first. */
  #inMemory(): { readonly of: StageOfRun; readonly at: LinkedAt; readonly memory: SharedArrayBuffer }[] {
    if (this.#held === null) return [];
    const { of, last, memory } = this.#held;
    return [
      ...(this.#at === null ? [] : [{ of, at: this.#at, memory }]),
      ...(last === null || last.at === null ? [] : [{ of, at: last.at, memory: last.memory }]),
    ];
  }

  /** Nothing may use the held memory meanwhile. Rejects with the Failure that says what is missing. */
  async load(request: LoadRequest, signal: AbortSignal): Promise<LoadedStage> {
    const { compute, availableMemory, memoryBytes } = this.#ports;
    const { spec, stage, resumeStep } = request;
    this.#refuseUnexplained(request);
    const key = `${runDigest(spec)}/${stage}`;
    const isThere =
      this.#held?.key === key && this.#at?.step === resumeStep && this.#isResumed(this.#at, request);
    if (this.#held !== null && isThere && request.joins !== true && this.#at !== null) {
      const same = this.#asReplica(this.#held, replicaBytesOf(request, this.#held.info));
      if (same !== null) {
        const { keepInputs = false } = request;
        this.#held = same;
        await compute.call("reset", { keepInputs });
        return { ...same, link: this.#at.link, hasInputs: keepInputs };
      }
    }
    // What others may yet need of it goes with the memory.
    await this.#lastingStates();
    const file = await this.#modelFile(spec, signal);
    const opening = { spec: { ...spec, stage }, file };
    const { answer: info } = await compute.call("open", opening, file === null ? [] : [file.buffer]);
    // What is held will be let go, or used again.
    const held = this.#held;
    const heldBytes = (held?.memory.byteLength ?? 0) + (held?.last?.memory.byteLength ?? 0);
    const { states } = this.#ports;
    const available = availableMemory() + heldBytes + states.bytesInMemory + (request.takenBytes ?? 0);
    const sized = { ...info, arithmetic: spec.arithmetic, replicaBytes: replicaBytesOf(request, info) };
    const recompute = chooseRecompute(sized, available, memoryBytes);
    const isHeld = held?.key === key;
    const memory = isHeld ? held.memory : new SharedArrayBuffer(stageBytes(info));
    const hasRoom = (count: number): boolean =>
      hasRoomForStates(count, sized, recompute, available, memoryBytes);
    const keeps = hasRoom(STATES_IN_MEMORY) && (await states.hasPlaces(memory.byteLength));
    await states.hold(request, keeps, () =>
      isSpared(STATES_IN_MEMORY * memory.byteLength, availableMemory()),
    );
    const last = keeps
      ? null
      : isHeld && held.last !== null
        ? held.last
        : hasRoom(1)
          ? { memory: new SharedArrayBuffer(memory.byteLength), at: null as LinkedAt | null }
          : null;
    const statesBeside = keeps ? STATES_IN_MEMORY : last === null ? 0 : 1;
    const spared = sparedBeside(statesBeside, sized, recompute, available, memoryBytes);
    const sparedBytes = Math.max(0, spared);
    const { replicaBytes: asReplica } = sized;
    this.#held = { key, of: { spec, stage }, replicaBytes: asReplica, memory, info, last, sparedBytes };
    this.#at = null;
    const { seed, link, isOwn } = await this.#fill(request, this.#held, signal);
    const files = await this.#modelParts(spec, info, seed, signal);
    await compute.call("load", { memory, seed, recompute, files });
    // A checkpoint is known by its file's digest alone.
    const digest = isOwn === true ? request.resumeDigest : null;
    this.#at = request.joins === true ? null : { step: resumeStep, link, digest };
    return { ...this.#held, link, hasInputs: false };
  }

  /** What is held, as one of its stage's replicas; null: whether there is room for that has to be weighed anew. */
  #asReplica(held: Held, replicaBytes: number): Held | null {
    const more = replicaBytes - held.replicaBytes;
    const sparedBytes = held.sparedBytes - more;
    if (more > 0 && (sparedBytes < 0 || !isSpared(more, this.#ports.availableMemory()))) return null;
    return { ...held, replicaBytes, sparedBytes };
  }

  /**
   * SECURITY: whoever gives out stages may be led to believe in a history that nobody trained. A step
   * further ahead of our own than any network can have come meanwhile is not trained on.
   */
  #refuseUnexplained({ spec, resumeStep }: LoadRequest): void {
    const own = this.#ports.states.newest(spec.runId);
    if (own === null) return;
    const seconds = Math.max(0, this.#ports.now() - own.writtenAt) / 1000;
    if (resumeStep <= own.step + MISSED_STEPS + seconds * MOST_STEPS_PER_SECOND) return;
    throw new Failure(
      "history-unexplained",
      `The network wants to go on from step ${resumeStep}, but this computer has trained step ${own.step} ` +
        `${Math.round(seconds)} seconds ago, and nobody trains so fast. It takes no part; its own state is kept. ` +
        "If this stays so, ask whoever operates the network.",
    );
  }

  /** True when this is the state that counts. */
  #isResumed({ step, digest }: LinkedAt, { resumeStep, resumeDigest }: LoadRequest): boolean {
    return step === resumeStep && (resumeStep === 0 || (resumeDigest !== null && digest === resumeDigest));
  }

  async #modelFile({ model }: RunSpec, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    return model.kind === "onnx" ? await this.#ports.models.get(model.file, signal) : null;
  }

  /** Whatever was trained already is not read from the model's files: then only frozen parameters are. */
  async #modelParts(
    { model }: RunSpec,
    { parameters, tables }: StageInfo,
    seed: number | null,
    signal: AbortSignal,
  ): Promise<string[]> {
    if (model.kind !== "decoder") return [];
    const names = new Set([...(seed === null ? [] : parameters.map(({ name }) => name)), ...tables]);
    return names.size === 0 ? [] : await this.#ports.parts.get(model, names, signal);
  }

  /** The seed to make initial parameters from, or null when `memory` is filled. */
  async #fill(
    request: LoadRequest,
    { memory, last }: Held,
    signal: AbortSignal,
  ): Promise<{ seed: number | null; link: string | null; isOwn?: boolean }> {
    const { spec, stage, resumeStep, resumeDigest, checkpointSha256 } = request;
    const { states, checkpoints } = this.#ports;
    if (request.joins === true) return { seed: null, link: null };
    if (last !== null && last.at !== null && resumeStep > 0 && this.#isResumed(last.at, request)) {
      new Uint8Array(memory).set(new Uint8Array(last.memory));
      return { seed: null, link: last.at.link, isOwn: true };
    }
    if (resumeStep > 0 && resumeDigest !== null) {
      const found = await states.restore(request, resumeStep, resumeDigest, memory);
      if (found !== null) return { seed: null, link: found.link, isOwn: true };
    }
    if (checkpointSha256 !== null) {
      const most = SNAPSHOT_HEADER_BYTES + memory.byteLength;
      const path = await checkpoints.file(checkpointSha256, most, signal);
      const link = await restoreCheckpointFile(path, request, resumeStep, memory);
      await states.keepNewest(request, resumeStep);
      return { seed: null, link };
    }
    if (resumeStep === 0) {
      await states.keepNewest(request, resumeStep);
      return { seed: spec.seed, link: null };
    }
    throw new Failure(
      "snapshot-missing",
      `This node has no usable snapshot of stage ${stage} at step ${resumeStep}, and the network named no checkpoint.`,
    );
  }
}

/** What it keeps as one of its stage's replicas. */
function replicaBytesOf({ spec: run, replicas }: LoadRequest, info: StageInfo): number {
  if (replicas === undefined) return 0;
  const tied = info.tiedSums.reduce((sum, _, stage) => sum + tiedCount(info, stage), 0);
  const boundaryBytes = info.boundaryBytes.in + info.boundaryBytes.out;
  return replicaBytes({ run, values: sumValues(info), tiedValues: tied, boundaryBytes, replicas });
}
