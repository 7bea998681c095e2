import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { CodecName } from "../../src-protocol/link-codecs.ts";
import { codecOf } from "../../src-protocol/link-codecs.ts";
import type { PeerMessage, ReplicaLoad, TensorMeta } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { Activations } from "../compute/compute-call.ts";
import type { Computed } from "../compute/compute.ts";
import { tiedCount } from "../compute/parameter-home.ts";
import type { Instruction, Report } from "../control/control.ts";
import type { Link } from "../links/index.ts";
import { mostGiven } from "../stage/given-ahead.ts";
import { giveJob } from "../stage/stage-job.ts";
import type { GivenJob, JobAnswer } from "../stage/stage-job.ts";
import type { TensorJob } from "../pipeline/pipeline-event.ts";
import { UnderWay } from "../stage/under-way.ts";
import { encodedTensor } from "../stage/coded-tensor.ts";
import { shapeOf, tensorOf } from "../stage/tensor-message.ts";
import type { Crossing, Tensor } from "../stage/tensor-message.ts";
import { MicroBatches } from "./micro-batches.ts";
import type { MicroBatchJob } from "./micro-batches.ts";
import { NextReplicas } from "./next-replicas.ts";
import { OwnLoad } from "./own-load.ts";
import { HeadWindow } from "../routing/head-window.ts";
import { lastFrom } from "../routing/work-order.ts";
import type { ReplicaPorts } from "./replica-ports.ts";
import { SumRound } from "./sum-round.ts";
import { TieExchange } from "./tie-exchange.ts";
import type { WantedTie } from "./tie-exchange.ts";
import { setTied, tiedPart } from "./tied-sum.ts";
import { StateExchange } from "./state-exchange.ts";

export type ReplicaInstruction = Extract<
  Instruction,
  { type: "members" | "adopt" | "open" | "lease" | "yours" | "fenced" | "commit" | "take" }
>;
type Of<T extends ReplicaInstruction["type"]> = Extract<ReplicaInstruction, { type: T }>;
type Members = Of<"members">;

/** Who a peer is to this replica. */
export type Side = "previous" | "own" | "next";

/** What a head has on the way for each stage until it knows how soon they come back. */
const ON_THE_WAY = 2;
const LOOK_MS = 10;
const LINKED_WITHIN_MS = 4_000;

/** A tensor of the next step, from a peer that heard of it first. */
interface Early {
  readonly from: SessionKey;
  readonly side: Side;
  readonly meta: TensorMeta;
  readonly input: Tensor;
}

interface Evaluation {
  readonly microBatch: number;
  readonly input: Tensor | null;
}

/**
 * One replica of a stage. The orchestrator's book says who works on what (docs/replicas.md); this does the
 * work, keeps what its neighbours may need again, and adds up the sums of its stage with the other replicas.
 */
export class ReplicaRunner {
  readonly #ports: ReplicaPorts;
  readonly #batches: MicroBatches;
  readonly #next: NextReplicas;
  readonly #load: OwnLoad;
  readonly #window: HeadWindow;
  readonly #round: SumRound;
  readonly #states: StateExchange;
  readonly #ties: TieExchange;
  readonly #isExact: boolean;
  #members: Members | null = null;
  #step: number | null;
  /** Of the stage's chain there. */
  #link: string | null;
  /** It has the parameters of `step`, and may work with them. */
  #isLive: boolean;
  /** The orchestrator has opened the step: until then its tensors wait. */
  #isOpen = false;
  #isAsking = false;
  #evaluations: Evaluation[] = [];
  #early: Early[] = [];
  /** In the class `exact`: the gradient of each micro-batch, which are added in the order of their numbers. */
  readonly #gradients = new Map<number, Activations>();
  /** In which each tensor of the step was sent, by what it is and to whom. */
  readonly #codecs = new Map<string, CodecName>();
  /** Jobs on the compute thread, which works on the first. */
  #given = 0;
  /** What the last of them took. */
  #lastMs = Number.POSITIVE_INFINITY;
  /** One after another: what is asked of the compute thread is asked in the order of the jobs. */
  #giving: Promise<unknown> = Promise.resolve();
  /** The parameters are being changed. */
  #isTaking = false;
  #stopped = false;
  #adopting: AbortController | null = null;
  #adoptingStep: number | null = null;
  /** Counts what makes work under way pointless: it ends, and its result is nobody's. */
  #era = 0;
  readonly #underWay: UnderWay;

  constructor(ports: ReplicaPorts) {
    this.#ports = ports;
    this.#underWay = new UnderWay(ports.generation, ports.report, () => this.stop());
    const { spec, stage, generation, memory } = ports;
    this.#step = ports.step;
    this.#link = ports.link;
    this.#isLive = ports.step !== null;
    this.#isExact = spec.arithmetic === "exact";
    this.#next = new NextReplicas(ports.now);
    this.#load = new OwnLoad(ports.now);
    this.#window = new HeadWindow(ports.now, stage.stages * ON_THE_WAY);
    this.#states = new StateExchange({
      stage: stage.index,
      generation,
      memory,
      linkTo: (key) => ports.web.link(key),
      standsAt: () => (this.#isLive && !this.#isTaking ? this.#step : null),
      leaves: ports.leaves,
      download: async () => await ports.compute.download?.(),
      onBytes: (bytes) => ports.report({ type: "loading", generation, bytes }),
      accuse: (replica, message) => this.#accuse(replica, null, "wrong-state", message, this.#adoptingStep),
    });
    this.#ties = new TieExchange({
      stage: stage.index,
      generation,
      count: (index) => tiedCount(stage, index),
      towards: (index) => this.#neighbours(index < stage.index ? "previous" : "next"),
      send: (to, message, payload) => this.#send(to, message, payload),
      accuse: (replica, message) => this.#accuse(replica, null, "wrong-tie", message),
    });
    this.#batches = new MicroBatches({
      isTail: stage.isTail,
      lastFrom: () => lastFrom(spec.microBatches, stage.stages, this.#members?.own.length ?? 1),
      choose: (isHeap) => this.#chosen(isHeap ? Math.max(1, this.#members?.own.length ?? 1) : 1),
      sendForward: (microBatch, to, y) => this.#sendForward(microBatch, to, y),
      sendBackward: (microBatch, to, dx) => this.#sendTensor("backward", microBatch, to, dx),
      digestOf: (pass, microBatch, to, values) => sha256(this.#encoded(pass, microBatch, to, values).payload),
      sendWant: (microBatch, to) => {
        if (this.#step !== null) this.#send(to, { type: "want", generation, step: this.#step, microBatch });
      },
      sendLack: (microBatch, to) => {
        if (this.#step !== null) this.#send(to, { type: "lack", generation, step: this.#step, microBatch });
      },
      answered: (by) => this.#next.answered(by),
      routed: (microBatch, to) => this.#tell({ type: "routed", microBatch, to }),
      counted: (microBatch, loss) => this.#tell({ type: "counted", microBatch, loss: finite(loss) }),
      accuse: (replica, microBatch, code, message) => this.#accuse(replica, microBatch, code, message),
    });
    this.#round = new SumRound({
      ...ports,
      batches: this.#batches,
      step: () => this.#step,
      link: () => this.#link,
      send: (to, message, payload) => this.#send(to, message, payload),
      beginTies: (step) => this.#beginTies(step),
    });
    if (ports.sum !== null && ports.step !== null) {
      this.#round.restore(ports.sum.values);
      this.#beginTies(ports.step);
    }
  }

  get generation(): number {
    return this.#ports.generation;
  }

  /** Of the live replicas of its stage, the one that does what only one has to do. */
  get isSpokesman(): boolean {
    const own = this.#ports.signer.publicKey;
    return this.#members?.own.every(({ sessionKey, live }) => !live || own < sessionKey) ?? true;
  }

  /** Takes nothing new; what is on the compute thread or on its way to disk ends by itself: see `quiet`. */
  stop(): void {
    this.#stopped = true;
    this.#underWay.stopped();
    this.#round.stop();
    this.#ties.giveUp();
    this.#adopting?.abort();
    this.#ports.receipts.left();
  }

  /** Resolves when nothing touches the stage's memory any more. */
  async quiet(): Promise<void> {
    await this.#underWay.quiet();
  }

  instruct(instruction: ReplicaInstruction): void {
    if (this.#stopped) return;
    switch (instruction.type) {
      case "members":
        if (instruction.leaving !== this.#members?.leaving) this.#ports.leaving(instruction.leaving === true);
        this.#members = instruction;
        this.#admit();
        break;
      case "adopt":
        return this.#underWay.track(this.#adopt(instruction));
      case "open":
        this.#open(instruction.step);
        break;
      case "lease":
        this.#leased(instruction);
        break;
      case "yours":
        this.#yours(instruction);
        break;
      case "fenced":
        this.#fenced(instruction);
        break;
      case "commit":
        if (instruction.step === this.#step && this.#isLive) this.#underWay.track(this.#commit(instruction));
        return;
      case "take":
        if (instruction.step === this.#step && this.#isLive)
          this.#underWay.track(this.#take(instruction.step, instruction.ties ?? []));
        return;
    }
    this.#pump();
  }

  /** A link to a peer is there, perhaps again. */
  linked(link: Link): void {
    const key = link.remoteKey;
    link.onMessage((message, payload) => {
      // What was done is vouched for also when nothing more is done.
      if (!this.#stopped || isOfReceipts(message)) this.#receive(key, message, payload);
    });
    this.#ports.receipts.linked(key);
    if (this.#stopped) return;
    this.#next.restored(key);
    this.#batches.linked(key);
    this.#batches.routeWaiting();
    if (this.#sideOf(key) === "own") this.#round.again(key);
  }

  /** The link to a peer is gone; it may come back. */
  unlinked(key: SessionKey): void {
    this.#next.failed(key);
    this.#ties.lost(key);
  }

  #sideOf(key: SessionKey): Side | null {
    for (const side of ["previous", "own", "next"] as const)
      if (this.#members?.[side].some(({ sessionKey }) => sessionKey === key)) return side;
    return null;
  }

  /** Who can be asked for something now; each begins with another one, so that not all ask the same, and ends with who is silent. */
  #neighbours(side: "previous" | "next"): SessionKey[] {
    const { signer, web } = this.#ports;
    const linked = (this.#members?.[side] ?? []).filter(
      ({ sessionKey, live }) => live && web.link(sessionKey) !== null,
    );
    const keys = linked.map(({ sessionKey }) => sessionKey).sort();
    const own = (this.#members?.own ?? []).filter(({ sessionKey }) => sessionKey < signer.publicKey).length;
    const first = keys.length === 0 ? 0 : own % keys.length;
    const inTurn = [...keys.slice(first), ...keys.slice(0, first)];
    return inTurn.toSorted((a, b) => Number(web.isQuiet(a)) - Number(web.isQuiet(b)));
  }

  /** Where the next micro-batch goes: to somebody who answers, if there is one. */
  #chosen(senders: number): SessionKey | null {
    const { web } = this.#ports;
    const isThere = (key: SessionKey): boolean => web.link(key) !== null;
    return (
      this.#next.choose((key) => isThere(key) && !web.isQuiet(key), senders) ??
      this.#next.choose(isThere, senders)
    );
  }

  #admit(): void {
    this.#next.admit(this.#members?.next.flatMap(({ sessionKey, live }) => (live ? [sessionKey] : [])) ?? []);
    this.#batches.routeWaiting();
  }

  #open(step: number): void {
    if (!this.#isLive || this.#step !== step || this.#isOpen) return;
    this.#isOpen = true;
    const early = this.#early;
    this.#early = [];
    for (const { from, side, meta, input } of early)
      if (meta.step === step) this.#takeIn(from, side, meta, input);
  }

  /** What is of one step. */
  #forget(): void {
    this.#era += 1;
    this.#batches.clear();
    this.#next.emptied();
    this.#load.emptied();
    this.#window.stepped();
    this.#round.clear();
    this.#gradients.clear();
    this.#codecs.clear();
    this.#evaluations = [];
  }

  #leased({ step, microBatch, pass, heldBy, isAgain }: Of<"lease">): void {
    this.#isAsking = false;
    if (!this.#isLive || step !== this.#step) return;
    if (pass === "evaluate") this.#evaluations.push({ microBatch, input: null });
    else this.#batches.leased(microBatch, heldBy, isAgain ?? false);
  }

  #yours({ step, microBatch, from, heldBy, isAgain }: Of<"yours">): void {
    if (this.#isLive && step === this.#step) this.#batches.given(microBatch, from, heldBy, isAgain ?? false);
  }

  #fenced({ step, replica, code }: Of<"fenced">): void {
    if (replica === this.#ports.signer.publicKey) {
      this.#ports.putAside(code);
      return this.#fencedOut();
    }
    this.#ties.lost(replica);
    this.#ports.receipts.lost(replica);
    if (step !== this.#step) return;
    this.#next.admit(
      this.#members?.next.flatMap(({ sessionKey, live }) =>
        live && sessionKey !== replica ? [sessionKey] : [],
      ) ?? [],
    );
    // The others have the whole sum: nothing of the step is done again.
    if (this.#isTaking) return;
    this.#batches.fenced(replica);
  }

  /** Nothing of us counts any more; the state of a later step will come from another replica. */
  #fencedOut(): void {
    this.#isLive = this.#isOpen = false;
    this.#isAsking = false;
    this.#forget();
    this.#early = [];
    this.#ties.giveUp();
    this.#round.over();
    this.#ports.receipts.left();
  }

  /** The next pieces of work, if there are any and nothing else is done. */
  #pump(): void {
    while (!this.#stopped && this.#isOpen && !this.#isTaking && this.#given < mostGiven(this.#lastMs)) {
      const evaluation = this.#evaluations.shift();
      const job = evaluation === undefined ? this.#batches.next() : null;
      if (evaluation !== undefined) this.#underWay.track(this.#evaluate(evaluation));
      else if (job !== null) this.#underWay.track(this.#work(job));
      else break;
    }
    this.#askForMore();
  }

  /** One in hand while another one is worked on. */
  #askForMore(): void {
    const { stage, generation, report } = this.#ports;
    if (this.#stopped || !this.#isOpen || this.#isTaking || !stage.isHead || this.#isAsking) return;
    const ahead = Math.max(0, this.#given - 1);
    if (ahead + this.#batches.waiting.forward + this.#evaluations.length > 0) return;
    if (this.#batches.inFlight > this.#window.most(this.#load.workMs)) return;
    this.#isAsking = true;
    report({ type: "ask", generation });
  }

  async #work(work: MicroBatchJob): Promise<void> {
    const { kind, microBatch, input } = work;
    const pass = kind === "backward" ? "backward" : "forward";
    const ended = this.#load.begins(pass);
    await this.#compute(
      { kind, pass, step: this.#step ?? 0, microBatch, input },
      ended,
      (answer, gradients) => {
        if (gradients !== null) this.#gradients.set(microBatch, gradients);
        const output = "output" in answer ? answer.output : null;
        this.#batches.computed(work, output, "loss" in answer ? answer.loss : null);
      },
    );
  }

  async #evaluate({ microBatch, input }: Evaluation): Promise<void> {
    const kind = this.#ports.stage.isTail ? "loss" : "evaluate";
    const step = this.#step ?? 0;
    const ended = (): void => undefined;
    await this.#compute({ kind, pass: "evaluate", step, microBatch, input }, ended, (answer) => {
      if ("loss" in answer) {
        const loss = finite(answer.loss);
        if (loss !== null) this.#tell({ type: "measured", microBatch, loss });
        return;
      }
      const to = this.#chosen(1);
      if (to !== null && answer.output !== null) this.#sendTensor("evaluate", microBatch, to, answer.output);
    });
  }

  /** `done` gets what the job gives, unless that is nobody's any more, and in the class `exact` its own gradients. */
  async #compute(
    job: TensorJob<Crossing>,
    ended: (ms: number | null) => void,
    done: (answer: JobAnswer["answer"], gradients: Activations | null) => void,
  ): Promise<void> {
    const era = this.#era;
    const isOver = (): boolean => era !== this.#era || this.#stopped;
    this.#given += 1;
    try {
      const given = this.#giving.then(async () => (isOver() ? null : await this.#give(job)));
      this.#giving = given.catch(() => undefined);
      const { answered, gradients } = (await given) ?? {};
      if (answered === undefined) return;
      const { answer, ms } = await answered;
      this.#lastMs = ms;
      ended(ms);
      const own = (await gradients)?.answer.output ?? null;
      if (!isOver()) done(answer, own);
    } finally {
      this.#given -= 1;
      ended(null);
      this.#pump();
      this.#tellLoad();
    }
  }

  async #give(job: TensorJob<Crossing>): Promise<GivenJob & { gradients?: Promise<Computed<"gradients">> }> {
    const { compute, samples } = this.#ports;
    const given = await giveJob(compute, job, samples);
    if (!this.#isExact || job.pass === "evaluate" || job.kind === "forward") return given;
    // Asked for before the next job begins, so that nothing else is in them.
    const gradients = compute.call("gradients", { clear: true });
    gradients.catch(() => undefined);
    return { ...given, gradients };
  }

  #receive(from: SessionKey, message: PeerMessage, payload: Uint8Array<ArrayBuffer>): void {
    const side = this.#sideOf(from);
    if (message.type === "receipt") return this.#ports.receipts.asked(from, message);
    if (message.type === "counterSignature") return this.#ports.receipts.counterSigned(from, message);
    if (side === null || !("generation" in message) || message.generation !== this.generation) return;
    switch (message.type) {
      case "tensor":
        this.#receiveTensor(from, side, message, payload);
        break;
      case "want":
        if (side === "previous" && message.step === this.#step && this.#isLive)
          this.#batches.wanted(from, message.microBatch);
        break;
      case "load":
        if (side === "next" && message.step === this.#step) this.#hearLoad(from, message.load);
        return;
      case "lack":
        if (side === "next" && message.step === this.#step && this.#isLive)
          this.#batches.lacked(from, message.microBatch);
        break;
      case "sum":
      case "total": {
        if (side !== "own" || message.step !== this.#step || !this.#isLive || this.#isTaking) return;
        const refusal = this.#round.arrived(from, message, payload);
        return refusal === null ? undefined : this.#accuse(from, null, refusal.code, refusal.message);
      }
      case "tieAsk":
      case "tiePart":
      case "tieNone":
        if (side === "previous" || side === "next") this.#ties.hear(from, message, payload);
        return;
      case "stateAsk":
      case "leavesAsk":
      case "statePart":
      case "stateNone":
        if (side === "own") this.#states.hear(from, message, payload);
        return;
    }
    this.#pump();
  }

  #receiveTensor(from: SessionKey, side: Side, meta: TensorMeta, payload: Uint8Array<ArrayBuffer>): void {
    const { stage, spec, web } = this.#ports;
    const step = this.#step;
    if (!this.#isLive || step === null || meta.step < step) return;
    if (side === "own" || meta.pass === "tie" || meta.step > step + 1)
      return this.#accuse(
        from,
        null,
        "other-step",
        `It sent a tensor that has no place here (step ${meta.step}).`,
      );
    const most = meta.pass === "evaluate" ? spec.evaluationMicroBatches : spec.microBatches;
    const input =
      meta.microBatch >= most
        ? new Failure("bad-tensor", `There is no micro-batch ${meta.microBatch}.`)
        : tensorOf(spec, stage, side, meta, payload, web.link(from)?.isOwn);
    if (input instanceof Failure) return this.#accuse(from, meta.microBatch, input.code, input.message);
    if (meta.step === step && this.#isOpen) return this.#takeIn(from, side, meta, input);
    // SECURITY: a step has so many micro-batches; more are not kept.
    if (this.#early.length < spec.microBatches * 2) this.#early.push({ from, side, meta, input });
  }

  #takeIn(from: SessionKey, side: Side, meta: TensorMeta, input: Tensor): void {
    const { pass, microBatch, codec } = meta;
    if (pass === "backward") {
      if (meta.load !== undefined) this.#hearLoad(from, meta.load);
      this.#window.returned(microBatch);
      this.#batches.returned(from, microBatch, input, codec);
      return this.#round.answered();
    }
    if (side !== "previous") return;
    if (pass === "forward") {
      this.#load.took(from);
      this.#batches.arrived(from, microBatch, input, codec);
      return this.#tellLoad();
    }
    if (this.#evaluations.length < this.#ports.spec.evaluationMicroBatches * 2)
      this.#evaluations.push({ microBatch, input });
  }

  #hearLoad(from: SessionKey, load: ReplicaLoad): void {
    this.#next.told(from, load, this.#ports.web.link(from)?.stats.roundTripMs ?? null);
  }

  /** Everybody who may send work hears what there is to do, whether they get a gradient or not. */
  #tellLoad(): void {
    const step = this.#step;
    if (step === null || !this.#isOpen || !this.#isLive || this.#ports.stage.isHead || !this.#load.isDue())
      return;
    for (const { sessionKey: to, live } of this.#members?.previous ?? [])
      if (live)
        this.#send(to, {
          type: "load",
          generation: this.generation,
          step,
          load: this.#load.of(to, this.#batches.waiting),
        });
  }

  #sendForward(microBatch: number, to: SessionKey, y: Activations): string {
    this.#next.sent(to);
    this.#window.sent(microBatch);
    return this.#sendTensor("forward", microBatch, to, y);
  }

  #sendTensor(
    pass: "forward" | "backward" | "evaluate",
    microBatch: number,
    to: SessionKey,
    values: Activations,
  ): string {
    const { stage, generation } = this.#ports;
    const { payload, codec, step } = this.#encoded(pass, microBatch, to, values);
    const digest = sha256(payload);
    const side = pass === "backward" ? "previous" : "next";
    if (this.#step === null) return digest;
    this.#send(
      to,
      {
        type: "tensor",
        generation,
        step,
        microBatch,
        pass,
        dtype: "float32",
        shape: [...(shapeOf(stage, pass, side, microBatch) ?? [])],
        codec,
        sha256: digest,
        ...(pass === "backward" && { load: this.#load.of(to, this.#batches.waiting) }),
      },
      payload,
    );
    return digest;
  }

  /**
   * As it travels to this peer: again as the first time, whatever link there is now. Both vouch for these bytes, and
   * one of them may have come before.
   */
  #encoded(
    pass: "forward" | "backward" | "evaluate",
    microBatch: number,
    to: SessionKey,
    values: Activations,
  ): { readonly payload: Uint8Array; readonly codec: CodecName; readonly step: number } {
    const { stage, spec, web } = this.#ports;
    const step = this.#step ?? 0;
    const link = web.link(to);
    const name = `${pass} ${microBatch} ${to}`;
    const codec = this.#codecs.get(name) ?? codecOf(spec, pass, link?.isNear ?? false);
    if (link !== null) this.#codecs.set(name, codec);
    const place = { pass, step, microBatch, stage: stage.index };
    return { payload: encodedTensor(spec.seed, place, codec, values), codec, step };
  }

  /** What is lost with a link is sent again when there is another one. */
  #send(to: SessionKey, message: PeerMessage, payload?: Uint8Array): void {
    this.#ports.web
      .link(to)
      ?.send(message, payload)
      .catch((error: unknown) => {
        if (failureBody(error).code !== "link-closed") this.#underWay.trouble(error);
      });
  }

  async #commit(order: Of<"commit">): Promise<void> {
    const { signer, compute } = this.#ports;
    const era = this.#era;
    this.#batches.committed();
    for (const { from, failure } of this.#round.begin(order))
      this.#accuse(from, null, failure.code, failure.message);
    const own = order.sums.find(({ replica }) => replica === signer.publicKey);
    this.#underWay.track(this.#round.vouched(order, own?.microBatches ?? []));
    if (own === undefined) return this.#round.give(null);
    const addends = this.#isExact
      ? own.microBatches.map((at) => this.#gradients.get(at) ?? new Float32Array(0))
      : [(await compute.call("gradients", { clear: false })).answer.output];
    if (era === this.#era && this.#round.isOf(order)) this.#round.give(addends);
  }

  /** The optimiser step, with everybody's sums. */
  async #take(step: number, ties: readonly WantedTie[]): Promise<void> {
    const { compute, spec, stage, overwriting, save, report, generation } = this.#ports;
    if (this.#isTaking) return;
    this.#isTaking = true;
    this.#ports.receipts.taken(step);
    const values = this.#round.total();
    if (ties.length > 0 && !(await this.#tie(step, ties, values))) return;
    await compute.call("reset", {});
    if (stage.parameterCount > 0) await compute.call("setGradients", { values }, [values.buffer]);
    if (this.#stopped) return;
    overwriting();
    const { optimizer, microBatches } = spec;
    const { answer } = await compute.call("optimise", { optimizer, step, microBatches });
    this.#round.taken();
    const saved = await save({ step: step + 1, squaredNorm: answer.squaredNorm });
    this.#isTaking = false;
    if (this.#stopped) return;
    if (this.#isLive) {
      this.#forget();
      this.#isOpen = false;
      this.#step = step + 1;
      this.#link = saved.link;
    }
    report({ type: "saved", generation, step: step + 1, ...saved });
  }

  /** Of what others may ask for, the digest; null: no other stage holds parameters of this one. */
  #beginTies(step: number): string | null {
    const { stage } = this.#ports;
    if (stage.ties.length === 0) return null;
    const own = tiedPart(stage, this.#round.total());
    this.#ties.begin(step, own);
    return own && sha256(new Uint8Array(own.buffer));
  }

  /** What other stages have of its parameters, in its own sum. False: others take the step without it. */
  async #tie(step: number, ties: readonly WantedTie[], values: Activations): Promise<boolean> {
    const { stage, signer } = this.#ports;
    const era = this.#era;
    const parts = await this.#ties.gather(ties, () => era === this.#era && !this.#stopped);
    if (parts !== null) {
      setTied(stage, values, parts);
      return true;
    }
    this.#isTaking = false;
    if (era === this.#era && !this.#stopped)
      this.#accuse(
        signer.publicKey,
        null,
        "other-tie",
        "Its sum has other gradients of shared parameters.",
        step,
      );
    return false;
  }

  /** Takes the state of a step over from another replica, and has part in the step from then on. */
  async #adopt(wanted: Of<"adopt">): Promise<void> {
    const { generation, compute, report, adopted, overwriting } = this.#ports;
    this.#adopting?.abort();
    const abort = new AbortController();
    this.#adopting = abort;
    this.#adoptingStep = wanted.step;
    this.#fencedOut();
    // What runs ends first: it reads the memory that is filled.
    while (this.#given > 0 || this.#isTaking) await new Promise((resolve) => setTimeout(resolve, 5));
    if (abort.signal.aborted) return;
    try {
      await this.#linkedTo(wanted.from, abort.signal);
      await compute.call("reset", {});
      overwriting();
      const leaves = await this.#states.take(wanted, abort.signal);
      await compute.call("upload", {});
      adopted(wanted.step, wanted.link, leaves);
      this.#round.adopted();
    } catch (error) {
      if (!abort.signal.aborted)
        this.#accuse(
          this.#ports.signer.publicKey,
          null,
          "not-adopted",
          failureBody(error).message,
          wanted.step,
        );
      return;
    }
    if (abort.signal.aborted || this.#stopped) return;
    this.#step = wanted.step;
    this.#link = wanted.link;
    this.#isLive = this.#isOpen = true;
    report({ type: "adopted", generation, step: wanted.step });
    this.#pump();
  }

  /** The first links of a newcomer are being dialled. */
  async #linkedTo(keys: readonly SessionKey[], signal: AbortSignal): Promise<void> {
    const until = this.#ports.now() + LINKED_WITHIN_MS;
    while (!keys.some((key) => this.#ports.web.link(key) !== null)) {
      if (signal.aborted || this.#ports.now() > until) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  #tell(
    of:
      | Told<"routed">
      | Told<"counted">
      | { readonly type: "measured"; readonly microBatch: number; readonly loss: number },
  ): void {
    if (this.#step !== null)
      this.#ports.report({ ...of, generation: this.generation, step: this.#step } as Report);
  }

  #accuse(
    replica: SessionKey,
    microBatch: number | null,
    code: string,
    message: string,
    step = this.#step,
  ): void {
    const { generation, report } = this.#ports;
    if (step !== null)
      report({
        type: "accuse",
        generation,
        step,
        replica,
        microBatch,
        code,
        message: message.slice(0, 500),
      });
  }
}

type Told<T extends Report["type"]> = Omit<Extract<Report, { type: T }>, "generation" | "step">;

function isOfReceipts({ type }: PeerMessage): boolean {
  return type === "receipt" || type === "counterSignature";
}

function finite(loss: number | null): number | null {
  return loss !== null && Number.isFinite(loss) ? loss : null;
}
