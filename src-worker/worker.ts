import { join } from "node:path";
import { sumValues } from "../src-engine/replica-memory.ts";
import { blobFile } from "../src-protocol/blob-file.ts";
import { DIGEST_BYTES, chunkCount } from "../src-protocol/corpus-chunks.ts";
import type { CorpusChunks } from "../src-protocol/corpus-chunks.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import type { Restorable } from "../src-protocol/control.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import { ReceiptChain } from "../src-protocol/receipt.ts";
import type { SignedReceipt } from "../src-protocol/receipt.ts";
import type { WorkerToDaemon } from "../src-protocol/daemon-ipc.ts";
import { NO_SLICE_YET } from "../src-protocol/node-phase.ts";
import type { LoadingProgress } from "../src-protocol/loading.ts";
import { loadingText } from "../src-protocol/loading.ts";
import type { SessionSigner } from "../src-protocol/signing.ts";
import { Blobs } from "./loading/blobs.ts";
import type { StageInfo } from "./compute/compute-call.ts";
import type { Compute } from "./compute/compute.ts";
import type { Control, Instruction, Report } from "./control/control.ts";
import { BlobCache } from "./loading/blob-cache.ts";
import { ModelParts } from "./loading/model-parts.ts";
import type { BlobExchange } from "./loading/blob-exchange.ts";
import { NeighbourFirst } from "./loading/neighbour-first.ts";
import { LoadingMeter } from "./loading/loading-meter.ts";
import type { LoadingFile } from "./loading/loading-meter.ts";
import type { Throttle } from "./limits/throttle.ts";
import { PeerUnreachable } from "./links/index.ts";
import type { Peers } from "./links/index.ts";
import { KeptSum, ReplicaRunner, ShareReceipts } from "./replicas/index.ts";
import type { ReplicaInstruction, ReplicaWeb } from "./replicas/index.ts";
import { PipelineRunner } from "./pipeline/pipeline-runner.ts";
import type { SavedSnapshotState, TakenStep } from "./pipeline/pipeline-runner.ts";
import { inBatches, receiptId } from "./pipeline/receipt-outbox.ts";
import type { ReceiptOutbox } from "./pipeline/receipt-outbox.ts";
import { MemoFiles } from "./pipeline/memo-files.ts";
import { StepMemo } from "./pipeline/step-memo.ts";
import { RefusedReceipts } from "./pipeline/refused-receipts.ts";
import { DiskPeriod } from "./stage/disk-period.ts";
import { RESTORABLE_LIMIT } from "./stage/snapshots.ts";
import { StageChain } from "./stage/stage-chain.ts";
import type { BegunStage } from "./stage/begun-stage.ts";
import { StageLoader } from "./stage/stage-loader.ts";
import type { StoredStates } from "./stage/stored-states.ts";
import { ChunkCache } from "./corpus/chunk-cache.ts";
import { ChunkedCorpus } from "./corpus/chunked-corpus.ts";
import { memoryCorpus } from "./corpus/corpus-reader.ts";
import { noSamples, samplesAhead, samplesOf } from "./stage/stage-samples.ts";
import type { Samples } from "./stage/stage-samples.ts";
import type { OrchestratorRoute } from "./control/orchestrator-route.ts";

type Assign = Extract<Instruction, { type: "assign" }>;
export type Phase = Omit<Extract<WorkerToDaemon, { type: "phase" }>, "type">;

export interface WorkerParts {
  readonly network: string;
  readonly route: OrchestratorRoute;
  readonly folder: string;
  /** In a file system that lies in memory, which outlives the process; null: there is none. */
  readonly memoryFolder: string | null;
  /** The store of a network on this computer, which is read where it lies; null: it is elsewhere. */
  readonly localBlobs: string | null;
  readonly signer: SessionSigner;
  readonly compute: Compute;
  readonly states: StoredStates;
  readonly begun: BegunStage;
  readonly outbox: ReceiptOutbox;
  readonly peers: Peers;
  /** Links of a stage that has many replicas. */
  readonly web: ReplicaWeb;
  /** Files of the run that neighbours have. */
  readonly exchange: BlobExchange;
  /** What the owner allows it of memory; null: what the computer has. */
  readonly memoryBytes: number | null;
  /** That share this computer's disk, with this one. */
  readonly workersHere: number;
  /** What the owner allows, for its transfers. */
  readonly throttle: Throttle;
  readonly onPhase: (phase: Phase) => void;
  /** A sentence that the owner should read once. */
  readonly onNote: (sentence: string) => void;
  /** Something that only a new process or a person can mend. */
  readonly onFatal: (failure: Failure) => void;
}

/** A stage's state, its chain, and how often the state goes to the disk. */
interface Trained {
  readonly memory: SharedArrayBuffer;
  readonly chain: StageChain;
  readonly period: DiskPeriod;
}

/** What was done of the step under way. */
interface Remembered {
  /** Which slice of which run. */
  readonly key: string;
  readonly memo: StepMemo;
  /** Null: there is no place that would outlive the process. */
  readonly files: MemoFiles | null;
}

/** After these the process is of no use; all other trouble is mended by a new generation. */
const FATAL = new Set([
  "disk-full",
  "disk-read-only",
  "disk-failed",
  "compute-lost",
  "compute-failed",
  "graph-refused",
]);

/** So long a process that ends waits for signatures; what has none is on disk, and asked for by the next one. */
const RECEIPTS_AT_END_MS = 1_000;
/** Receipts of so long go in one message: they are written to one place, there and here. */
const TELL_EARNED_MS = 1_000;

/** What the orchestrator says, done: assignments are loaded and run, one generation at a time. */
export class TrainingWorker {
  readonly #parts: WorkerParts;
  readonly #blobs: Blobs;
  readonly #source: NeighbourFirst;
  readonly #corpora: BlobCache;
  readonly #loader: StageLoader;
  #control: Control | null = null;
  #runner: PipelineRunner | null = null;
  #replica: ReplicaRunner | null = null;
  /** Who is near, as it was told last: it may come before the stage is loaded. */
  #members: Extract<Instruction, { type: "members" }> | null = null;
  #corpus: ChunkedCorpus | null = null;
  /** Of the latest assignment. */
  #generation = -1;
  /** Ends the loading of an assignment that a newer one, or a halt, has made pointless. */
  #loading: AbortController | null = null;
  #lastLoad: Promise<void> = Promise.resolve();
  #lastUpload: Promise<void> = Promise.resolve();
  #stage: number | null = null;
  #said: Phase | null = null;
  /** The checkpoint of a stage with replicas, until its step is closed. */
  #uploadAt: { readonly step: number; readonly upload: () => void } | null = null;
  readonly #receiptChain = new ReceiptChain();
  readonly #shares: ShareReceipts;
  /** Whose step may not have been finished: the network knows, and it is no news if it was not. */
  readonly #doubtful = new Set<string>();
  /** On disk, and on their way to the orchestrator. */
  #earnedNow: SignedReceipt[] = [];
  readonly #refused: RefusedReceipts;
  /** Of the slice of a run that is trained without replicas. */
  #remembered: Remembered | null = null;
  /** Of the slice of a run that is trained with replicas; null: there is no place that would outlive the process. */
  readonly #keptSum: KeptSum | null;
  #meter = new LoadingMeter(() => undefined);

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#refused = new RefusedReceipts(parts.onNote);
    const { network, signer, outbox, peers, web, memoryFolder } = parts;
    this.#keptSum = memoryFolder === null ? null : new KeptSum(join(memoryFolder, "whole-sum"));
    this.#shares = new ShareReceipts({
      signer,
      chain: this.#receiptChain,
      network,
      send: (to, message) => void (web.link(to) ?? peers.link(to))?.send(message).catch(() => undefined),
      keep: (receipt) => outbox.keep(receipt),
      forget: (id) => this.#inBackground(outbox.answered([id])),
      earned: (receipt, isSure) => {
        if (!isSure) this.#doubtful.add(receiptId(receipt));
        return this.#earned([receipt]).catch((error: unknown) => this.#fatal(error));
      },
      now: Date.now,
    });
    this.#blobs = new Blobs(parts.route, parts.signer, parts);
    const { folder, exchange } = parts;
    const source = new NeighbourFirst(this.#blobs, exchange);
    this.#source = source;
    const cache = (name: string, what: LoadingFile, onlyLast: boolean): BlobCache =>
      new BlobCache(join(folder, name), source, {
        onProgress: (bytes, ofBytes) => this.#meter.count(what, bytes, ofBytes, performance.now()),
        onlyLast,
      });
    this.#corpora = cache("corpus", "text", false);
    const modelParts = new ModelParts(join(folder, "models"), source, {
      onProgress: (bytes, ofBytes) => this.#meter.count("model", bytes, ofBytes, performance.now()),
    });
    exchange.offer((sha256, from, length) => modelParts.held(sha256, from, length));
    exchange.offer(async (sha256, from, length) =>
      this.#corpus?.sha256 === sha256 ? await this.#corpus.held(from, length) : null,
    );
    const checkpoints = cache("checkpoints", "checkpoint", true);
    this.#loader = new StageLoader({
      ...parts,
      checkpoints,
      models: cache("models", "model", false),
      parts: modelParts,
      availableMemory: () => process.availableMemory(),
      memoryBytes: parts.memoryBytes ?? Infinity,
      now: () => performance.now(),
    });
  }

  start(control: Control): void {
    this.#control = control;
    this.#shares.restore(this.#parts.outbox.open);
  }

  connection(connected: boolean, detail: string): void {
    if (connected) {
      for (const receipts of this.#parts.outbox.batches()) this.#report({ type: "receipts", receipts });
    }
    // A stage under way goes on without the orchestrator until its grants run out.
    if (this.#runner !== null || this.#replica !== null) return;
    // What it says itself is a sentence.
    const away = detail.endsWith(".")
      ? `The network does not let this computer in: ${detail}`
      : `The orchestrator cannot be reached: ${detail}.`;
    this.#phase("waiting", connected ? NO_SLICE_YET : away);
  }

  instruct(instruction: Instruction): void {
    switch (instruction.type) {
      case "assign":
        return this.#assign(instruction);
      case "grant":
        if (this.#runner?.generation === instruction.generation) this.#runner.grant(instruction);
        return;
      case "members":
      case "adopt":
      case "open":
      case "lease":
      case "yours":
      case "fenced":
      case "commit":
      case "take":
        return this.#replicaInstruction(instruction);
      case "halt":
        return this.#halt(instruction.generation, instruction.reason);
      case "receiptsStored": {
        const { outbox } = this.#parts;
        const { stored, refused } = instruction;
        const { unpaid, refused: told } = this.#refused;
        this.#inBackground(outbox.stored(stored));
        this.#inBackground(outbox.answered(refused.map(({ id }) => id)));
        const isNews = refused.filter(({ id, code }) => code !== "not-counted" || !this.#doubtful.has(id));
        for (const id of [...stored, ...refused.map((each) => each.id)]) this.#doubtful.delete(id);
        this.#refused.answered({ ...instruction, refused: isNews });
        if (this.#refused.unpaid !== unpaid || this.#refused.refused !== told) this.#tellPhase();
        return;
      }
      case "receiptsSafe":
        this.#inBackground(this.#parts.outbox.safe());
        return;
    }
  }

  /** What this node can return to by itself, for `hello`. */
  restorable(): Restorable[] {
    const [held] = this.#loader.restorable();
    const stored = this.#parts.states.restorable();
    const { begun } = this.#parts;
    if (held === undefined) return begun.beside(stored).slice(0, RESTORABLE_LIMIT);
    const isOfHeld = ({ runId, stage }: Restorable): boolean => runId === held.runId && stage === held.stage;
    const steps = new Map(
      [...stored.filter(isOfHeld), held].flatMap((each) =>
        each.steps.map(({ step, digest }) => [step, digest]),
      ),
    );
    return [
      { ...held, steps: [...steps].map(([step, digest]) => ({ step, digest })) },
      ...stored.filter((each) => !isOfHeld(each)),
    ].slice(0, RESTORABLE_LIMIT);
  }

  /** Starts nothing new and resolves when nothing is under way, and what is in memory alone is on the disk. */
  async drain(): Promise<void> {
    this.#loading?.abort();
    this.#stopRunner();
    await this.#quiet();
    await this.#shares.settle(RECEIPTS_AT_END_MS);
    this.#tellEarned();
    await this.#loader.toDisk();
    await this.#parts.outbox.close();
  }

  #halt(generation: number, reason: string): void {
    if (this.#generation > generation) return;
    this.#loading?.abort();
    this.#stopRunner();
    this.#phase("waiting", reason);
  }

  /** A micro-batch may be waiting for its tokens: they do not matter any more. */
  #stopRunner(): void {
    this.#runner?.stop();
    this.#replica?.stop();
    this.#corpus?.giveUp();
  }

  async #quiet(): Promise<void> {
    await this.#runner?.quiet();
    await this.#replica?.quiet();
  }

  #replicaInstruction(instruction: ReplicaInstruction): void {
    if (instruction.generation !== this.#generation) return;
    if (instruction.type === "members") {
      this.#members = instruction;
      // First who they are: a link that is there already is told to the runner at once.
      if (this.#replica?.generation === instruction.generation) this.#replica.instruct(instruction);
      return this.#parts.web.update(instruction);
    }
    if (this.#replica?.generation !== instruction.generation) return;
    if (instruction.type === "open" && instruction.step === this.#uploadAt?.step) {
      if (this.#replica.isSpokesman) this.#uploadAt.upload();
      this.#uploadAt = null;
    }
    this.#replica.instruct(instruction);
  }

  #assign(assign: Assign): void {
    const abort = new AbortController();
    this.#loading?.abort();
    this.#loading = abort;
    const { peers, web } = this.#parts;
    // The neighbours may dial while the work before this one is still ending.
    peers.name(assign.previous, assign.next);
    if (assign.joins === undefined) web.clear();
    else peers.leave();
    this.#members = null;
    this.#generation = assign.generation;
    this.#parts.begun.note(assign.run.runId, assign.stage);
    this.#refused.assigned(assign.run.stages);
    this.#stopRunner();
    this.#phase(
      "loading",
      `Loading slice ${assign.stage + 1} of ${assign.run.stages} at step ${assign.resumeStep}.`,
      assign.stage,
    );
    // One after another: two loads would fill the same memory.
    this.#lastLoad = this.#lastLoad
      .then(() => this.#load(assign, abort.signal))
      .catch((error: unknown) => {
        if (!abort.signal.aborted) this.#loadFailed(assign, error);
      });
  }

  async #load(assign: Assign, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await this.#quiet();
    this.#runner = this.#replica = null;
    const { run: spec, stage, generation, resumeStep } = assign;
    this.#source.commit(assign.chunkLists ?? []);
    this.#meter = new LoadingMeter((progress, total) => {
      if (signal.aborted) return;
      this.#report({ type: "loading", generation, bytes: total });
      this.#phase("loading", loadingText(progress), stage, progress);
    });
    if (assign.joins !== undefined) return await this.#loadReplica(assign, assign.joins, signal);
    await this.#keptSum?.forget();
    // First, since what is held of another slice is put away with its place.
    const { memo, files } = await this.#rememberedOf(spec, stage);
    if (signal.aborted) return;
    const loading = [
      this.#parts.peers.connect(assign.previous, assign.next, signal),
      memo.loaded((keepInputs) => this.#loader.load({ ...assign, spec, keepInputs }, signal)),
    ] as const;
    // Both end before the next assignment is loaded, also when one has failed.
    await Promise.allSettled(loading);
    const [links, { info, memory, link, sparedBytes }] = await Promise.all(loading);
    memo.limit(this.#parts.compute.isResident ? 0 : sparedBytes, sumValues(info));
    const samples = await this.#samples(spec, info, signal);
    if (signal.aborted) return;
    const { network, signer, compute, states } = this.#parts;
    const chain = new StageChain(spec, stage, resumeStep, link);
    const period = this.#period(spec, memory);
    this.#runner = new PipelineRunner({
      spec,
      stage: info,
      generation,
      network,
      resumeStep,
      link: chain.link,
      signer,
      receiptChain: this.#receiptChain,
      shares: this.#shares,
      links,
      compute,
      samples,
      memo,
      files: () => (states.keeps ? files : null),
      save: (step, receipts) => this.#save(assign, step, { memory, chain, period }, receipts),
      report: (report) => this.#report(report),
      overwriting: () => this.#loader.overwriting(),
      now: Date.now,
    });
    this.#report({ type: "ready", generation });
    this.#phase("training", `Training slice ${stage + 1} of ${spec.stages}.`, stage);
  }

  async #rememberedOf(spec: RunSpec, stage: number): Promise<Remembered> {
    const key = sliceKey(spec, stage);
    if (this.#remembered?.key === key) return this.#remembered;
    const { memoryFolder } = this.#parts;
    const files = memoryFolder === null ? null : new MemoFiles(join(memoryFolder, "under-way"), key);
    const memo = new StepMemo(files);
    memo.restore((await files?.read()) ?? []);
    this.#remembered = { key, memo, files };
    return this.#remembered;
  }

  async #loadReplica(assign: Assign, joins: boolean, signal: AbortSignal): Promise<void> {
    const { run: spec, stage, generation, resumeStep } = assign;
    const { network, signer, compute, web } = this.#parts;
    this.#remembered = null;
    const { info, memory, link, sparedBytes } = await this.#loader.load(
      { ...assign, spec, joins, replicas: assign.replicas ?? 1, takenBytes: this.#keptSum?.bytes ?? 0 },
      signal,
    );
    const samples = await this.#samples(spec, info, signal);
    const key = sliceKey(spec, stage);
    const values = sumValues(info);
    const kept = await this.#sumPlace(
      memory.byteLength,
      values * Float32Array.BYTES_PER_ELEMENT,
      sparedBytes,
    );
    const sum = joins ? null : ((await kept?.read({ key, generation, step: resumeStep }, values)) ?? null);
    if (signal.aborted) return;
    const at = { chain: new StageChain(spec, stage, resumeStep, link, { isShared: true }) };
    const period = this.#period(spec, memory);
    const runner = new ReplicaRunner({
      spec,
      stage: info,
      generation,
      network,
      step: joins ? null : resumeStep,
      link: joins ? null : at.chain.link,
      signer,
      receipts: this.#shares,
      keepSum: kept === null ? null : (name, parts) => kept.keep({ key, ...name }, parts),
      sum,
      web,
      compute,
      samples,
      memory,
      save: (step) => this.#save(assign, step, { memory, chain: at.chain, period }, []),
      leaves: () => at.chain.leaves,
      adopted: (step, its, leaves) => {
        at.chain = new StageChain(spec, stage, step, its, { isShared: true, leaves });
        this.#loader.parametersAt({ step, link: its, digest: null });
        this.#phase("training", `Training slice ${stage + 1} of ${spec.stages}.`, stage);
      },
      overwriting: () => this.#loader.overwriting(),
      putAside: (code) => this.#phase("waiting", putAsideText(code), stage),
      leaving: (isLeaving) =>
        isLeaving
          ? this.#phase(
              "waiting",
              `Its end is near: it begins nothing new, and other computers go on with slice ${stage + 1}.`,
              stage,
            )
          : this.#phase("training", `Training slice ${stage + 1} of ${spec.stages}.`, stage),
      report: (report) => this.#report(report),
      now: () => performance.now(),
    });
    this.#replica = runner;
    web.onLinked = (held) => runner.linked(held);
    web.onUnlinked = (key) => runner.unlinked(key);
    if (this.#members !== null) runner.instruct(this.#members);
    for (const held of web.links) runner.linked(held);
    this.#report({
      type: "ready",
      generation,
      ...(!joins && { step: resumeStep }),
      ...(sum !== null && { sumRound: sum.round }),
    });
    if (joins)
      this.#phase(
        "loading",
        `Taking slice ${stage + 1} of ${spec.stages} over from another computer.`,
        stage,
      );
    else this.#phase("training", `Training slice ${stage + 1} of ${spec.stages}.`, stage);
  }

  /** Where the whole sum of a step has room beside the states that are kept; null: nowhere. */
  async #sumPlace(stateBytes: number, sumBytes: number, sparedBytes: number): Promise<KeptSum | null> {
    const { states } = this.#parts;
    const kept = this.#keptSum;
    if (kept === null) return null;
    const hasRoom = states.keeps && sumBytes <= sparedBytes;
    if (hasRoom && (await states.hasPlaces(stateBytes, sumBytes - kept.bytes))) return kept;
    await kept.forget();
    return null;
  }

  async #samples(spec: RunSpec, { data }: StageInfo, signal: AbortSignal): Promise<Samples> {
    if (data.length === 0) return noSamples;
    if (spec.corpus.chunks !== undefined)
      return samplesAhead(spec, await this.#chunked(spec.corpus, spec.corpus.chunks, signal));
    return samplesOf(spec, memoryCorpus(await this.#corpora.get(spec.corpus, signal)));
  }

  /** Only what a stage's samples need is fetched, when they need it. */
  async #chunked(
    { sha256, bytes }: RunSpec["corpus"],
    chunks: CorpusChunks,
    signal: AbortSignal,
  ): Promise<ChunkedCorpus> {
    if (this.#corpus?.sha256 === sha256) return this.#corpus;
    const { folder, localBlobs } = this.#parts;
    const list = await this.#corpora.get(
      { sha256: chunks.sha256, bytes: chunkCount(bytes) * DIGEST_BYTES },
      signal,
    );
    await this.#corpus?.close();
    this.#corpus = new ChunkedCorpus({
      sha256,
      bytes,
      list,
      file: localBlobs === null ? null : join(localBlobs, blobFile(sha256)),
      cache: new ChunkCache(join(folder, "corpus", `${sha256}.kept`)),
      neighbours: this.#parts.exchange,
      source: this.#blobs,
    });
    return this.#corpus;
  }

  #loadFailed({ generation, stage }: Assign, error: unknown): void {
    const { code, message } = failureBody(error);
    const peer = error instanceof PeerUnreachable ? error.peer : null;
    this.#report({
      type: "trouble",
      generation,
      code,
      message: message.slice(0, 2000),
      ...(peer !== null && { peer }),
    });
    this.#phase("waiting", message, stage);
    // The orchestrator counted on a snapshot that is not there: a new hello says what is.
    if (code.startsWith("snapshot-")) this.#control?.reconnect();
  }

  async #save(
    { run: spec, stage, generation }: Assign,
    { step, squaredNorm }: TakenStep,
    { memory, chain, period }: Trained,
    receipts: readonly SignedReceipt[],
  ): Promise<SavedSnapshotState> {
    const { states, compute } = this.#parts;
    await this.#earned(receipts);
    await compute.download();
    const saved = await chain.advance(step, squaredNorm, memory);
    const { link } = saved;
    const due = period.isDue(step);
    const isStored = due.state || !this.#loader.keepsLast;
    const stored = isStored ? await states.save({ spec, stage }, step, memory, link) : null;
    const digest = stored?.digest ?? (await states.keep({ spec, stage }, step, memory, link));
    this.#loader.parametersAt({ step, link, digest });
    this.#uploadAt = null;
    if (due.checkpoint && stored !== null) {
      // Of replicas, one is enough, and it counts when all have come to the same: then the next step opens.
      const upload = (): void => this.#upload(generation, step, stored.path);
      if (this.#replica === null) upload();
      else this.#uploadAt = { step, upload };
    }
    return { ...saved, digest, onDisk: states.disk.stepsOf({ spec, stage }) };
  }

  #period(spec: RunSpec, memory: SharedArrayBuffer): DiskPeriod {
    return new DiskPeriod(spec, memory.byteLength, this.#parts.workersHere, () => performance.now());
  }

  async #earned(receipts: readonly SignedReceipt[]): Promise<void> {
    await this.#parts.outbox.add(receipts);
    if (this.#earnedNow.length === 0) setTimeout(() => this.#tellEarned(), TELL_EARNED_MS).unref();
    this.#earnedNow.push(...receipts);
  }

  #tellEarned(): void {
    const receipts = this.#earnedNow;
    this.#earnedNow = [];
    for (const batch of inBatches(receipts)) this.#report({ type: "receipts", receipts: batch });
  }

  /** In the background; a checkpoint that could not be stored is followed by the next one. */
  #upload(generation: number, step: number, path: string): void {
    const reading = this.#parts.states.disk.checkpoint(path);
    // It may fail before its turn comes; that is told below.
    reading.catch(() => {});
    this.#lastUpload = this.#lastUpload.then(async () => {
      try {
        const { path: file, sha256, bytes, remove } = await reading;
        try {
          await this.#blobs.put(sha256, file, bytes);
        } finally {
          await remove();
        }
        this.#report({ type: "checkpoint", generation, step, sha256, bytes });
      } catch (error) {
        this.#phase(
          "training",
          `The checkpoint of step ${step} was not stored: ${failureBody(error).message}`,
        );
      }
    });
  }

  #report(report: Report): void {
    this.#control?.send(report);
    if (report.type !== "trouble") return;
    if (FATAL.has(report.code)) this.#fatal(new Failure(report.code, report.message));
    else this.#phase("waiting", report.message);
  }

  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => this.#fatal(error));
  }

  #fatal(error: unknown): void {
    const { code, message } = failureBody(error);
    this.#parts.onFatal(new Failure(code, message, { cause: error }));
  }

  #phase(
    phase: Phase["phase"],
    detail: string,
    stage: number | null = this.#stage,
    loading: LoadingProgress | null = null,
  ): void {
    this.#stage = stage;
    this.#said = { phase, detail, stage, loading };
    this.#tellPhase();
  }

  #tellPhase(): void {
    const { unpaid, refused } = this.#refused;
    if (this.#said === null) return;
    this.#parts.onPhase({
      ...this.#said,
      ...(unpaid !== null && { unpaid }),
      ...(refused !== null && { refused }),
    });
  }
}

const ASIDE: Readonly<Record<string, string>> = {
  "too-late": "it took far longer than it usually does",
  silent: "it gave no sign of life for a moment",
  "result-late": "it took far longer than is usual here",
  "sums-late": "it took far longer than is usual here",
  "other-result": "it came to another result than most of those that share its stage",
  "wrong-state": "it gave a newcomer another state than the one that all have agreed on",
};

/** What its owner reads when a step goes on without this computer. */
function putAsideText(code: string): string {
  return `Other computers do its part of this step: ${ASIDE[code] ?? "one that works with it has named a fault"} (${code}). It takes part again as soon as it has their state.`;
}

function sliceKey(spec: RunSpec, stage: number): string {
  return `${runDigest(spec)}/${stage}`;
}
