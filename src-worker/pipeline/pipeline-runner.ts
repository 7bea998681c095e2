import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { codecOf } from "../../src-protocol/link-codecs.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { PeerMessage, TensorMeta } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { release } from "../compute/compute-call.ts";
import type { Activations, StageInfo } from "../compute/compute-call.ts";
import type { Compute } from "../compute/compute.ts";
import type { Instruction, Report } from "../control/control.ts";
import type { Link, Neighbours } from "../links/index.ts";
import { afterAwake } from "./awake-timer.ts";
import { applyToPipeline, isTieDue, pipelineAt } from "./pipeline.ts";
import type { SavedState } from "../stage/stage-chain.ts";
import { UnderWay } from "../stage/under-way.ts";
import { encodedTensor } from "../stage/coded-tensor.ts";
import { shapeOf, tensorOf } from "../stage/tensor-message.ts";
import { TieParts } from "./tie-parts.ts";
import type { Crossing } from "../stage/tensor-message.ts";
import type { Job, PipelineEffect, PipelineEvent, PipelineState, TensorJob } from "./pipeline-event.ts";
import { RememberedJobs } from "./remembered-jobs.ts";
import type { JobPorts } from "./remembered-jobs.ts";
import type { StepMemo } from "./step-memo.ts";
import { ReceiptBook } from "./receipts.ts";
import type { Neighbour } from "./receipts.ts";
import type { Samples } from "../stage/stage-samples.ts";
import type { ReceiptChain, SignedReceipt } from "../../src-protocol/receipt.ts";

/** How long a snapshot waits for the receipts of its step: a consumer that does not answer must not stop the run. */
const RECEIPTS_WITHIN_MS = 2_000;

/** An optimiser step, by the number of steps taken with it. */
export interface TakenStep {
  readonly step: number;
  /** Of the sums of its gradients. */
  readonly squaredNorm: number;
}

export interface SavedSnapshotState extends SavedState {
  /** `snapshotDigest` of the file that it is in, or would be. */
  readonly digest: string;
  /** What is on this disk of the stage. */
  readonly onDisk: { readonly step: number; readonly digest: string }[];
}

type Said<T extends PeerMessage["type"]> = Extract<PeerMessage, { type: T }>;

/** Receipts of steps before this generation, in which this computer or a neighbour was one of many on its stage. */
export interface ShareReceiptPorts {
  asked(from: SessionKey, request: Said<"receipt">): void;
  counterSigned(from: SessionKey, answer: Said<"counterSignature">): void;
  linked(peer: SessionKey): void;
}

export interface RunnerPorts {
  readonly spec: RunSpec;
  readonly stage: StageInfo;
  readonly generation: number;
  readonly network: string;
  readonly resumeStep: number;
  /** Of the stage's chain at `resumeStep`. */
  readonly link: string;
  readonly signer: SessionSigner;
  /** Of the receipts that the signer signs, over all generations. */
  readonly receiptChain: ReceiptChain;
  /** Left out: there are none. */
  readonly shares?: ShareReceiptPorts;
  readonly links: Neighbours;
  readonly compute: Pick<Compute, "call">;
  /** The head's inputs and the tail's targets; other stages never ask. */
  readonly samples: Samples;
  /** What the stage has done of this step in generations before. */
  readonly memo: StepMemo;
  readonly files: JobPorts["files"];
  /** Puts receipts on disk, then the snapshot of `step` where that is due; the parameters stand still until it resolves. */
  readonly save: (step: TakenStep, receipts: readonly SignedReceipt[]) => Promise<SavedSnapshotState>;
  readonly report: (report: Report) => void;
  /** The optimiser begins to overwrite the parameters; `save` says where they are then. */
  readonly overwriting: () => void;
  readonly now: () => number;
}

/** Runs the pipeline machine of one generation against links, compute thread and disk. */
export class PipelineRunner {
  readonly #ports: RunnerPorts;
  readonly #receipts: ReceiptBook;
  #state: PipelineState<Crossing>;
  readonly #tieParts: TieParts;
  #squaredNorm = 0;
  #saved: SavedSnapshotState | null = null;
  #stopped = false;
  /** Of the step that is saved now. Not a promise of the whole generation: what has waited for one is held until it resolves. */
  #endReceipts: () => void = () => undefined;
  readonly #underWay: UnderWay;
  readonly #jobs: RememberedJobs;
  /** The job that was given last; what it gives is told before what the next one gives. */
  #computed: Promise<void> = Promise.resolve();
  /** Of the newest step whose chain is known. */
  #linked: { readonly step: number; readonly link: string };

  constructor(ports: RunnerPorts) {
    const { spec, stage, links, signer, network, compute, samples, memo, files } = ports;
    this.#ports = ports;
    this.#linked = { step: ports.resumeStep, link: ports.link };
    memo.begin(ports.resumeStep, ports.link);
    this.#jobs = new RememberedJobs({
      compute,
      samples,
      memo,
      linkAt: (step) => (this.#linked.step === step ? this.#linked.link : null),
      microBatches: spec.microBatches,
      sharesSums: stage.tiedSums[stage.index]?.some((sums) => sums > 0) === true,
      boundaryBytes: stage.boundaryBytes,
      files,
    });
    this.#underWay = new UnderWay(ports.generation, ports.report, () => this.stop());
    const hasTies = stage.ties.length > 0;
    this.#state = pipelineAt({ ...spec, stage: stage.index, hasTies }, ports.resumeStep);
    this.#tieParts = new TieParts(stage);
    this.#receipts = new ReceiptBook({
      signer,
      chain: ports.receiptChain,
      network,
      stage: stage.index,
      runId: spec.runId,
      microBatches: spec.microBatches,
      tokens: spec.batch * spec.sequence,
      flops: stage.flops.forward + stage.flops.backward,
      peers: { previous: links.previous?.remoteKey ?? null, next: links.next?.remoteKey ?? null },
      send: (to, message) => this.#send(to, message),
      now: ports.now,
    });
    this.#receipts.linked(ports.resumeStep, ports.link);
    this.#attach("previous", links.previous);
    this.#attach("next", links.next);
  }

  get generation(): number {
    return this.#ports.generation;
  }

  grant({ step, microBatches, evaluations }: Extract<Instruction, { type: "grant" }>): void {
    this.#feed({ type: "grant", step, microBatches, evaluations });
  }

  /** Takes nothing new; what is on the compute thread or on its way to disk ends by itself: see `quiet`. */
  stop(): void {
    this.#stopped = true;
    this.#underWay.stopped();
    this.#endReceipts();
  }

  /** Resolves when nothing touches the stage's memory any more. */
  async quiet(): Promise<void> {
    await this.#underWay.quiet();
  }

  #attach(from: Neighbour, link: Link | null): void {
    link?.onMessage((message, payload) => {
      if (!this.#stopped) this.#receive(from, link.remoteKey, message, payload);
    });
    if (link !== null) this.#ports.shares?.linked(link.remoteKey);
    link?.onClose((reason) =>
      this.#underWay.trouble(new Failure("link-lost", `The link to the ${from} stage is gone: ${reason}`)),
    );
  }

  #receive(from: Neighbour, peer: SessionKey, message: PeerMessage, payload: Uint8Array<ArrayBuffer>): void {
    const { shares } = this.#ports;
    switch (message.type) {
      case "receipt":
        if (message.body.share !== undefined) return shares?.asked(peer, message);
        return this.#receipts.asked(from, message);
      case "counterSignature":
        shares?.counterSigned(peer, message);
        return this.#receipts.counterSigned(from, message);
      case "tensor":
        return this.#receiveTensor(from, message, payload);
    }
  }

  #receiveTensor(from: Neighbour, meta: TensorMeta, payload: Uint8Array<ArrayBuffer>): void {
    const { generation, stage, spec, links } = this.#ports;
    if (meta.generation !== generation) return;
    const { pass, step, microBatch } = meta;
    const input = tensorOf(spec, stage, from, meta, payload, links[from]?.isOwn);
    if (input instanceof Failure) return this.#underWay.trouble(input);
    if (pass !== "tie") return this.#feed({ type: "tensor", pass, step, microBatch, input });
    // SECURITY: a part that is not due gets no memory to be put together in; the machine says what is wrong.
    if (!isTieDue(this.#state, from, step)) return this.#feed({ type: "tied", from, step, input });
    const values = this.#tieParts.arrived(from, microBatch, input.values);
    if (values instanceof Failure) return this.#underWay.trouble(values);
    if (values !== null) this.#feed({ type: "tied", from, step, input: { values, sha256: null } });
  }

  #feed(event: PipelineEvent<Crossing>): void {
    if (this.#stopped) return;
    const { state, effects } = applyToPipeline(event, this.#state);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: PipelineEffect<Crossing>): void {
    const { generation, report } = this.#ports;
    switch (effect.type) {
      case "compute":
        this.#computed = this.#compute(effect.job, this.#computed);
        return this.#underWay.track(this.#computed);
      case "send":
        return this.#sendTensor(effect);
      case "worked":
        return this.#receipts.worked(effect.step);
      case "stepped":
        return report({ ...effect, generation, loss: finite(effect.loss) });
      case "evaluated":
        if (finite(effect.loss) !== null) report({ ...effect, generation });
        return;
      case "save":
        return this.#underWay.track(this.#save(effect.step));
      case "saved":
        if (this.#saved !== null) report({ ...effect, generation, ...this.#saved });
        return;
      case "trouble":
        return this.#underWay.trouble(new Failure(effect.code, effect.message));
    }
  }

  async #compute(job: Job<Crossing>, before: Promise<void>): Promise<void> {
    try {
      if (job.kind === "optimise") return await this.#optimise(job.step, before);
      const { answer, ms, noted } = await this.#jobs.run(job);
      await before;
      this.#noteUse(job);
      const output =
        "output" in answer && answer.output !== null ? { values: answer.output, sha256: null } : null;
      this.#feed({ type: "computed", output, loss: "loss" in answer ? answer.loss : null, ms });
      await noted;
    } catch (error) {
      // A job of a runner that was stopped ends without its tokens: that is no trouble.
      if (!this.#stopped) this.#jobs.forget();
      throw error;
    }
  }

  async #optimise(step: number, before: Promise<void>): Promise<void> {
    const { spec, compute, overwriting } = this.#ports;
    const { optimizer, microBatches } = spec;
    const { answer, ms } = await this.#jobs.optimise(step, async () => {
      overwriting();
      return await compute.call("optimise", { optimizer, step, microBatches });
    });
    await before;
    this.#squaredNorm = answer.squaredNorm;
    this.#feed({ type: "computed", output: null, loss: null, ms });
  }

  #noteUse(job: TensorJob<Crossing>): void {
    const digest = job.input?.sha256 ?? null;
    if (digest === null || job.pass === "evaluate" || job.pass === "tie") return;
    this.#receipts.note(job.step, job.microBatch, job.pass === "forward" ? { x: digest } : { dy: digest });
  }

  #sendTensor({
    to,
    pass,
    step,
    microBatch,
    output,
  }: Extract<PipelineEffect<Crossing>, { type: "send" }>): void {
    const values = output.values;
    if (pass === "tie") {
      const parts = this.#tieParts.split(values);
      for (const [part, each] of parts.entries())
        this.#sendFloats(to, { pass, step, microBatch: part }, each);
      return;
    }
    const digest = this.#sendFloats(to, { pass, step, microBatch }, values, () => {
      if (!this.#jobs.isHeld(values)) release(values);
    });
    if (pass !== "evaluate")
      this.#receipts.note(step, microBatch, to === "next" ? { y: digest } : { dx: digest });
  }

  /** Gives the digest under which it was sent. */
  #sendFloats(
    to: Neighbour,
    at: Pick<TensorMeta, "pass" | "step" | "microBatch">,
    values: Activations,
    sent?: () => void,
  ): string {
    const { stage, generation, spec, links } = this.#ports;
    const codec = codecOf(spec, at.pass, links[to]?.isNear ?? false);
    const payload = encodedTensor(spec.seed, { ...at, stage: stage.index }, codec, values);
    const digest = sha256(payload);
    const shape = shapeOf(stage, at.pass, to, at.microBatch) ?? [];
    const meta: TensorMeta = {
      ...at,
      type: "tensor",
      generation,
      dtype: "float32",
      shape: [...shape],
      codec,
      sha256: digest,
    };
    this.#send(to, meta, payload, sent);
    return digest;
  }

  #send(to: Neighbour, message: PeerMessage, payload?: Uint8Array, sent: () => void = () => undefined): void {
    this.#ports.links[to]?.send(message, payload).then(sent, (error: unknown) => {
      // A closed link is trouble by itself, told once by its onClose.
      if (failureBody(error).code !== "link-closed") this.#underWay.trouble(error);
    });
  }

  /** Receipts of a step reach the disk before its snapshot: a step that was kept was also earned. */
  async #save(step: number): Promise<void> {
    const limit = Promise.withResolvers<void>();
    this.#endReceipts = limit.resolve;
    if (this.#stopped) limit.resolve();
    const endWait = afterAwake(RECEIPTS_WITHIN_MS, limit.resolve);
    const receipts = await this.#receipts.collect(step - 1, limit.promise);
    endWait();
    // Halted in between: the step has no snapshot, so it will be worked again and earned then.
    if (this.#stopped) return;
    this.#saved = await this.#ports.save({ step, squaredNorm: this.#squaredNorm }, receipts);
    this.#linked = { step, link: this.#saved.link };
    if (!this.#ports.memo.linked(step, this.#saved.link)) {
      // Neighbours may have taken the step with it by now, but it counts only when this stage has taken it too.
      throw new Failure("other-history", `What was remembered of step ${step} is of another history.`);
    }
    this.#receipts.linked(step, this.#saved.link);
    this.#feed({ type: "saved" });
  }
}

function finite(loss: number | null): number | null {
  return loss !== null && Number.isFinite(loss) ? loss : null;
}
