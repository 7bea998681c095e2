import { sumValues } from "../../src-engine/replica-memory.ts";
import { sumText } from "../../src-protocol/control.ts";
import type { Failure } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { sumCodecOf } from "../../src-protocol/link-codecs.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { verifySession } from "../../src-protocol/signing.ts";
import type { Activations } from "../compute/compute-call.ts";
import type { Instruction } from "../control/control.ts";
import { afterAwake } from "../pipeline/awake-timer.ts";
import type { MicroBatches } from "./micro-batches.ts";
import type { ReplicaPorts } from "./replica-ports.ts";
import { StageSums } from "./stage-sums.ts";
import type { SumMessage } from "./stage-sums.ts";

type Order = Extract<Instruction, { type: "commit" }>;

export interface SumRoundPorts extends Pick<
  ReplicaPorts,
  "spec" | "stage" | "generation" | "network" | "signer" | "web" | "receipts" | "keepSum" | "report"
> {
  readonly batches: Pick<MicroBatches, "areAnswered" | "crossed">;
  /** Where the parameters are; null: they come from another replica. */
  readonly step: () => number | null;
  /** Of the stage's chain there. */
  readonly link: () => string | null;
  readonly send: (to: SessionKey, message: PeerMessage, payload?: Uint8Array) => void;
  /** The sum is whole: what other stages may ask for of it, by its digest; null: nothing. */
  readonly beginTies: (step: number) => string | null;
}

/** Whoever waits for others' sums says so; the orchestrator knows how long is long. */
const TELL_LACKING_MS = 1_000;
/** A step's end waits so long for gradients that come again, from whoever did a lost replica's part. */
const ANSWERED_WITHIN_MS = 1_000;

/**
 * The end of a step in one replica, from the orchestrator's order to the word that the stage's whole sum is here:
 * its own part is given, others' are passed on, and who used its work signs that.
 */
export class SumRound {
  readonly #ports: SumRoundPorts;
  readonly #sums: StageSums;
  /** Its own part of the sum is given. */
  #isGiven = false;
  /** What it has done of the step is signed by those who used it. */
  #isVouched = false;
  /** The orchestrator knows that all of the sum is here. */
  #isTold = false;
  /** What each of the others has got of the sums of this round. */
  readonly #sent = new Map<SessionKey, number>();
  #lacks: NodeJS.Timeout | null = null;
  #isStopped = false;
  /** Looks whether the gradients that are waited for are there; `over`: nobody waits any more. */
  #lookForAnswers: (over?: "over") => void = () => undefined;

  constructor(ports: SumRoundPorts) {
    this.#ports = ports;
    const { spec, stage, signer } = ports;
    this.#sums = new StageSums({
      length: sumValues(stage),
      isExact: spec.arithmetic === "exact",
      codec: sumCodecOf(spec),
      microBatches: spec.microBatches,
      own: signer.publicKey,
      sign: (round, shard, digest) => signer.sign(this.#sumText(round, shard, digest)),
      isSigned: (by, round, shard, digest, signature) =>
        verifySession(by, this.#sumText(round, shard, digest), signature),
    });
  }

  /** @returns those whose sums came before the order, and were wrong */
  begin(order: Order): readonly { readonly from: SessionKey; readonly failure: Failure }[] {
    this.#reset();
    return this.#sums.begin(order);
  }

  /** No other round has begun since. */
  isOf(order: Order): boolean {
    return this.#sums.order === order;
  }

  /** `addends`: its own part, see `StageSums`; null: it has counted nothing. Others get what they have to get from now on. */
  give(addends: readonly Activations[] | null): void {
    if (addends !== null) this.#sums.give(addends);
    this.#isGiven = true;
    this.#lacks = setInterval(() => this.#tellLacking(), TELL_LACKING_MS).unref();
    this.#share();
  }

  /** @returns why what came is none; null: it is in its place */
  arrived(
    from: SessionKey,
    message: SumMessage,
    payload: Uint8Array<ArrayBuffer>,
  ): ReturnType<StageSums["arrived"]> {
    const refusal = this.#sums.arrived(from, message, payload);
    if (refusal === null) this.#share();
    return refusal;
  }

  /** A link to another replica is there again, and may have lost what was sent. */
  again(key: SessionKey): void {
    this.#sent.delete(key);
    this.#share();
  }

  /** Nobody takes the step before those who used our part of it have signed that: who is lost then is paid, too. */
  async vouched(order: Order, microBatches: readonly number[]): Promise<void> {
    const { spec, stage, receipts, batches, link } = this.#ports;
    this.#isVouched = false;
    await this.#answered(microBatches);
    if (!this.isOf(order)) return;
    const at = link();
    if (at !== null) {
      const place = {
        runId: spec.runId,
        stage: stage.index,
        step: order.step,
        tokens: spec.batch * spec.sequence,
        flops: stage.flops.forward + stage.flops.backward,
      };
      await receipts.counted(place, at, batches.crossed(microBatches));
    }
    if (!this.isOf(order)) return;
    this.#isVouched = true;
    this.#share();
  }

  /** A gradient has come. */
  answered(): void {
    this.#lookForAnswers();
  }

  /** The step is over for this replica, or it has no part in it: nothing is waited for. */
  over(): void {
    this.#lookForAnswers("over");
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopTelling();
    this.over();
  }

  /** What is of one step. */
  clear(): void {
    this.#sums.clear();
    this.#reset();
  }

  /** The process before this one was killed when it had the stage's whole sum. */
  restore(total: Activations): void {
    this.#sums.restore(total);
  }

  /** Of all micro-batches of the step. */
  total(): Activations {
    return this.#sums.total();
  }

  /** The optimiser step is taken with it. */
  taken(): void {
    this.#sums.taken();
  }

  /** The state is another replica's. */
  adopted(): void {
    this.#sums.adopted();
  }

  #reset(): void {
    this.#isGiven = false;
    this.#isTold = false;
    this.#sent.clear();
    this.#stopTelling();
  }

  /**
   * Who did a lost replica's part again may be heard of by the orchestrator before it is heard of here; without its
   * gradients nobody could sign what was exchanged with it.
   */
  async #answered(microBatches: readonly number[]): Promise<void> {
    const { batches } = this.#ports;
    this.#lookForAnswers("over");
    if (batches.areAnswered(microBatches)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = afterAwake(ANSWERED_WITHIN_MS, resolve);
    this.#lookForAnswers = (over) => {
      if (over === undefined && !batches.areAnswered(microBatches)) return;
      end();
      resolve();
    };
    await promise;
  }

  /** What others have to get of the sums, as far as it is there; and to the orchestrator, when all of it is here. */
  #share(): void {
    const { order } = this.#sums;
    const { generation, signer, web, send } = this.#ports;
    const step = this.#ports.step();
    if (order === null || step === null || !this.#isGiven) return;
    for (const key of order.live) {
      if (key === signer.publicKey || web.link(key) === null) continue;
      const pieces = this.#sums.outgoing(key);
      const sent = this.#sent.get(key) ?? 0;
      this.#sent.set(key, pieces.length);
      for (const { message, bytes } of pieces.slice(sent)) send(key, { ...message, generation, step }, bytes);
    }
    const whole = this.#isTold || !this.#isVouched ? null : this.#sums.whole();
    if (whole === null) return;
    this.#isTold = true;
    void this.#tell(order, step, whole);
  }

  /** Nobody takes the step before the sum would outlive this process. */
  async #tell(
    order: NonNullable<StageSums["order"]>,
    step: number,
    whole: NonNullable<ReturnType<StageSums["whole"]>>,
  ): Promise<void> {
    const { generation, report, keepSum } = this.#ports;
    const { round } = order;
    await keepSum?.({ generation, step, round }, this.#sums.totals());
    if (this.#sums.order !== order || this.#isStopped) return;
    const tied = this.#ports.beginTies(step);
    report({
      type: "summed",
      generation,
      step,
      round,
      parts: [...whole.parts],
      totals: [...whole.totals],
      ...(tied !== null && { tied }),
    });
    this.#stopTelling();
  }

  #stopTelling(): void {
    if (this.#lacks !== null) clearInterval(this.#lacks);
    this.#lacks = null;
  }

  #tellLacking(): void {
    const { order } = this.#sums;
    const of = this.#sums.lacking();
    const step = this.#ports.step();
    if (order === null || step === null || of.length === 0 || this.#isStopped) return this.#stopTelling();
    const { generation, report } = this.#ports;
    report({ type: "lacking", generation, step, round: order.round, of });
  }

  #sumText(round: number, shard: number | null, digest: string): string {
    const { network, spec, generation, stage } = this.#ports;
    return sumText({
      network,
      runId: spec.runId,
      generation,
      stage: stage.index,
      step: this.#ports.step() ?? -1,
      round,
      ...(shard !== null && { shard }),
      sha256: digest,
    });
  }
}
