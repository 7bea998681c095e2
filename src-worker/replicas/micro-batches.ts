import type { SessionKey } from "../../src-protocol/keys.ts";
import type { CodecName } from "../../src-protocol/link-codecs.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { Activations } from "../compute/compute-call.ts";
import type { Tensor } from "../stage/tensor-message.ts";
import { WorkOrder } from "../routing/work-order.ts";
import type { Crossed } from "./used-work.ts";

/** How a tensor came: the same one has other bytes in another codec. */
interface Came {
  readonly sha256: string;
  readonly codec: CodecName;
}

/** A micro-batch that the book has given to this replica. */
interface Cell {
  /** Who gives it, as the book says, and gets the gradient; null at the head. */
  from: SessionKey | null;
  /** From when it came until it is worked on. */
  x: Tensor | null;
  xCame: Came | null;
  /** Who sent it: perhaps somebody who was lost since. */
  xFrom: SessionKey | null;
  phase: "coming" | "waiting" | "running" | "forwarded" | "worked";
  /** A lost replica of ours had counted it: nobody waits for it before the end of the step. */
  isAgain: boolean;
  /** Who of the next stage has it already: a lost replica of ours had sent it there. */
  heldBy: SessionKey | null;
  to: SessionKey | null;
  y: Activations | null;
  ySha256: string | null;
  dy: Tensor | null;
  /** The first gradient of who has answered last: that one may have done it again. */
  dyCame: Came | null;
  /** Who has it now, or had it, and has sent a gradient. */
  answeredBy: SessionKey | null;
  dx: Activations | null;
  dxSha256: string | null;
}

/** In a receipt, of what was not sent: a lost replica had sent it. */
const HAD_ALREADY = sha256("had already");

export type MicroBatchJob =
  | { readonly kind: "forward" | "tail"; readonly microBatch: number; readonly input: Tensor | null }
  | { readonly kind: "backward"; readonly microBatch: number; readonly input: Tensor };

export interface MicroBatchPorts {
  readonly isTail: boolean;
  /** From this number on micro-batches are the last of the step. */
  readonly lastFrom: () => number;
  /** Where a micro-batch goes; null: nobody can be reached now. `isHeap`: all of our stage send what they have of it. */
  readonly choose: (isHeap: boolean) => SessionKey | null;
  /** That it goes to `to`. */
  readonly routed: (microBatch: number, to: SessionKey) => void;
  /** Gives the digest under which it was sent. */
  readonly sendForward: (microBatch: number, to: SessionKey, y: Activations) => string;
  readonly sendBackward: (microBatch: number, to: SessionKey, dx: Activations) => string;
  /** The digest that either would give. */
  readonly digestOf: (
    pass: "forward" | "backward",
    microBatch: number,
    to: SessionKey,
    values: Activations,
  ) => string;
  /** Also says that it is there: whoever had sent it may not have been heard. */
  readonly sendWant: (microBatch: number, to: SessionKey) => void;
  readonly sendLack: (microBatch: number, to: SessionKey) => void;
  readonly answered: (by: SessionKey) => void;
  readonly counted: (microBatch: number, loss: number | null) => void;
  readonly accuse: (replica: SessionKey, microBatch: number, code: string, message: string) => void;
}

/**
 * The micro-batches of one step on one replica. What was sent stays here, `y` and `dx`, until the step is
 * over: when a neighbour is lost, another replica of its stage gets them again, and nobody but that stage
 * works on anything twice.
 *
 * SECURITY: whatever a neighbour sends waits until the orchestrator's book has given it to this replica, from
 * that one. So nobody can make others add what is not theirs to the sum of their stage.
 */
export class MicroBatches {
  readonly #ports: MicroBatchPorts;
  readonly #cells = new Map<number, Cell>();
  readonly #fenced = new Set<SessionKey>();
  /** What came and was not given (yet), by micro-batch and sender. */
  readonly #copies = new Map<number, Map<SessionKey, { readonly x: Tensor; readonly came: Came }>>();
  readonly #order: WorkOrder;

  constructor(ports: MicroBatchPorts) {
    this.#ports = ports;
    this.#order = new WorkOrder(ports.lastFrom);
  }

  /** Begun and not done. */
  get inFlight(): number {
    let count = 0;
    for (const { phase } of this.#cells.values()) if (phase !== "worked") count += 1;
    return count;
  }

  /** For each pass, as senders are told: what nobody waits for counts less. */
  get waiting(): { readonly forward: number; readonly backward: number } {
    return this.#order.waiting;
  }

  /** What has crossed the borders for these micro-batches, and with whom: of those that were worked on. */
  crossed(microBatches: readonly number[]): Map<number, Crossed> {
    const { digestOf } = this.#ports;
    const all = new Map<number, Crossed>();
    for (const at of microBatches) {
      const cell = this.#cells.get(at);
      if (cell?.phase !== "worked") continue;
      const { from, xCame, xFrom, y, dx, dyCame } = cell;
      const next = cell.to ?? cell.heldBy;
      const isSent = cell.to !== null;
      all.set(at, {
        previous:
          from === null || xCame === null || dx === null
            ? null
            : {
                peer: from,
                taken: xFrom === from ? xCame.sha256 : HAD_ALREADY,
                given: cell.dxSha256 ?? digestOf("backward", at, from, dx),
              },
        next:
          next === null || y === null || dyCame === null || cell.answeredBy !== next
            ? null
            : {
                peer: next,
                taken: dyCame.sha256,
                given: isSent ? (cell.ySha256 ?? digestOf("forward", at, next, y)) : HAD_ALREADY,
              },
      });
    }
    return all;
  }

  /** The gradients of all of them have come from whoever has them now, also where a lost one's had come before. */
  areAnswered(microBatches: readonly number[]): boolean {
    return microBatches.every((at) => {
      const cell = this.#cells.get(at);
      const next = cell === undefined ? null : (cell.to ?? cell.heldBy);
      return next === null || cell?.answeredBy === next;
    });
  }

  clear(): void {
    this.#cells.clear();
    this.#copies.clear();
    this.#fenced.clear();
    this.#order.clear();
  }

  next(): MicroBatchJob | null {
    const work = this.#order.next();
    const cell = work === null ? undefined : this.#cells.get(work.microBatch);
    if (work === null || cell === undefined) return null;
    const { pass, microBatch } = work;
    cell.phase = "running";
    if (pass === "backward") return cell.dy && { kind: "backward", microBatch, input: cell.dy };
    const input = cell.x;
    cell.x = null;
    return { kind: this.#ports.isTail ? "tail" : "forward", microBatch, input };
  }

  /** At the head. */
  leased(microBatch: number, heldBy: SessionKey | null, isAgain: boolean): void {
    if (!this.#cells.has(microBatch)) this.#ready(microBatch, this.#add(microBatch, null, heldBy, isAgain));
  }

  /** The book gives it to this replica, from that one: perhaps another one than before, which was lost. */
  given(microBatch: number, from: SessionKey, heldBy: SessionKey | null, isAgain: boolean): void {
    const before = this.#cells.get(microBatch);
    const cell = before ?? this.#add(microBatch, from, heldBy, isAgain);
    const isOther = cell.from !== from;
    cell.from = from;
    const copies = this.#copies.get(microBatch);
    const copy = copies?.get(from);
    if (copy !== undefined && cell.phase === "coming") {
      copies?.delete(from);
      this.#take(microBatch, cell, from, copy.x, copy.came);
    } else if (isOther) this.#sendBack(microBatch, cell, from);
  }

  /** From the stage before. */
  arrived(from: SessionKey, microBatch: number, x: Tensor, codec: CodecName): void {
    if (this.#fenced.has(from)) return;
    const cell = this.#cells.get(microBatch);
    const came = { sha256: x.sha256, codec };
    const copy = this.#copies.get(microBatch)?.get(from);
    const before = cell?.xFrom === from ? cell.xCame : copy?.came;
    if (isOther(came, before))
      return this.#ports.accuse(
        from,
        microBatch,
        "two-activations",
        `Two different tensors of micro-batch ${microBatch} came from it.`,
      );
    if (cell?.from === from) {
      if (cell.phase === "coming") this.#take(microBatch, cell, from, x, came);
    } else if (copy === undefined) {
      const copies = this.#copies.get(microBatch);
      if (copies === undefined) this.#copies.set(microBatch, new Map([[from, { x, came }]]));
      else copies.set(from, { x, came });
    }
  }

  /**
   * Everything of the step is counted, so all that is ours was given to us: whoever has sent something else has
   * broken a rule.
   */
  committed(): void {
    for (const [microBatch, copies] of this.#copies)
      for (const from of copies.keys())
        this.#ports.accuse(
          from,
          microBatch,
          "not-its-micro-batch",
          `Micro-batch ${microBatch} came from it, and is not to come from there.`,
        );
  }

  /**
   * From the stage behind. What is vouched for is what is used, or what another replica gave that had to do it again;
   * the same once more is nothing new.
   */
  returned(from: SessionKey, microBatch: number, dy: Tensor, codec: CodecName): void {
    const cell = this.#cells.get(microBatch);
    if (cell === undefined || this.#fenced.has(from)) return;
    if (from !== (cell.to ?? cell.heldBy)) {
      this.#ports.accuse(
        from,
        microBatch,
        "not-its-micro-batch",
        `A gradient of micro-batch ${microBatch} came from a replica that it was not sent to.`,
      );
      return;
    }
    const came = { sha256: dy.sha256, codec };
    if (cell.answeredBy === from) {
      if (isOther(came, cell.dyCame))
        this.#ports.accuse(
          from,
          microBatch,
          "two-gradients",
          `Two different gradients of micro-batch ${microBatch} came from it.`,
        );
      return;
    }
    cell.answeredBy = from;
    cell.dyCame = came;
    if (cell.dy !== null) return;
    cell.dy = dy;
    if (cell.to !== null) this.#ports.answered(from);
    if (cell.phase === "forwarded") this.#order.add("backward", microBatch, cell.isAgain);
  }

  /** A replica of the stage before does a lost one's work again, and needs what we have sent to that. */
  wanted(from: SessionKey, microBatch: number): void {
    const cell = this.#cells.get(microBatch);
    if (this.#fenced.has(from)) return;
    if (cell === undefined || cell.phase === "coming") this.#ports.sendLack(microBatch, from);
    // Whether it is its own now, the book says: then it gets it.
    else if (cell.from === from) this.#sendBack(microBatch, cell, from);
  }

  /** A replica of the stage behind was to have this micro-batch already, and has not. */
  lacked(from: SessionKey, microBatch: number): void {
    const cell = this.#cells.get(microBatch);
    if (cell === undefined || cell.heldBy !== from || cell.y === null) return;
    cell.heldBy = null;
    cell.to = from;
    this.#sendOn(microBatch, from, cell, cell.y);
  }

  /** `loss`: of the tail. */
  computed(job: MicroBatchJob, output: Activations | null, loss: number | null): void {
    const cell = this.#cells.get(job.microBatch);
    if (cell === undefined || cell.phase !== "running") return;
    if (job.kind === "forward") {
      cell.phase = "forwarded";
      cell.y = output;
      if (cell.dy !== null) this.#order.add("backward", job.microBatch, cell.isAgain);
      else if (cell.heldBy !== null) this.#want(job.microBatch, cell.heldBy);
      else this.#route(job.microBatch, cell, false);
      return;
    }
    cell.phase = "worked";
    cell.dx = output;
    this.#ports.counted(job.microBatch, loss);
    if (cell.from !== null) this.#sendBack(job.microBatch, cell, cell.from);
  }

  /** Nothing of it counts in this step. */
  fenced(replica: SessionKey): void {
    this.#fenced.add(replica);
    for (const copies of this.#copies.values()) copies.delete(replica);
    for (const [microBatch, cell] of this.#cells) {
      if (cell.heldBy !== replica && cell.to !== replica) continue;
      cell.heldBy = cell.to = null;
      if (cell.y !== null) this.#route(microBatch, cell, true);
    }
  }

  /** There is a link to it (again): it gets what it may not have got. */
  linked(peer: SessionKey): void {
    for (const [microBatch, cell] of this.#cells) {
      const { y } = cell;
      if (cell.from === peer) this.#sendBack(microBatch, cell, peer);
      if (y === null || cell.answeredBy === peer) continue;
      if (cell.to === peer) this.#sendOn(microBatch, peer, cell, y);
      else if (cell.heldBy === peer) this.#want(microBatch, peer);
    }
  }

  /** Somebody may be there who was not: what could go nowhere is sent on. */
  routeWaiting(): void {
    for (const [microBatch, cell] of this.#cells)
      if (cell.y !== null && cell.to === null && cell.heldBy === null) this.#route(microBatch, cell, true);
  }

  #add(microBatch: number, from: SessionKey | null, heldBy: SessionKey | null, isAgain: boolean): Cell {
    const cell: Cell = {
      from,
      isAgain,
      x: null,
      xCame: null,
      xFrom: null,
      phase: "coming",
      // Who was fenced has nothing.
      heldBy: heldBy !== null && this.#fenced.has(heldBy) ? null : heldBy,
      to: null,
      y: null,
      ySha256: null,
      dy: null,
      dyCame: null,
      answeredBy: null,
      dx: null,
      dxSha256: null,
    };
    this.#cells.set(microBatch, cell);
    return cell;
  }

  #take(microBatch: number, cell: Cell, from: SessionKey, x: Tensor, came: Came): void {
    cell.x = x;
    cell.xCame = came;
    cell.xFrom = from;
    this.#ready(microBatch, cell);
  }

  #ready(microBatch: number, cell: Cell): void {
    cell.phase = "waiting";
    this.#order.add("forward", microBatch, cell.isAgain);
  }

  #route(microBatch: number, cell: Cell, isHeap: boolean): void {
    const to = this.#ports.choose(isHeap);
    if (to === null || cell.y === null) return;
    cell.to = to;
    this.#sendOn(microBatch, to, cell, cell.y);
  }

  #sendOn(microBatch: number, to: SessionKey, cell: Cell, y: Activations): void {
    this.#ports.routed(microBatch, to);
    cell.ySha256 = this.#ports.sendForward(microBatch, to, y);
  }

  #want(microBatch: number, from: SessionKey): void {
    this.#ports.routed(microBatch, from);
    this.#ports.sendWant(microBatch, from);
  }

  #sendBack(microBatch: number, cell: Cell, to: SessionKey): void {
    if (cell.dx !== null) cell.dxSha256 = this.#ports.sendBackward(microBatch, to, cell.dx);
  }
}

/**
 * SECURITY: a process does no micro-batch of a step twice, rounds it to the same bytes each time, and has a key of
 * its own: of two different ones in the same codec, it has made one up.
 */
function isOther(came: Came, before: Came | null | undefined): boolean {
  return before?.codec === came.codec && before.sha256 !== came.sha256;
}
