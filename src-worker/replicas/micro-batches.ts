import type { SessionKey } from "../../src-protocol/keys.ts";
import type { Activations } from "../compute/compute-call.ts";
import type { Tensor } from "../stage/tensor-message.ts";
import type { Crossed } from "./used-work.ts";

/**
 * Who has a micro-batch already, from the stage behind this one on: lost replicas had sent it there. Null,
 * and beyond the end: nobody has.
 */
export type Holders = readonly (SessionKey | null)[];

/** Somebody who sent, or asked for, what another one has given us. */
interface Rival {
  readonly from: SessionKey;
  /** Null: it asked for the gradient. */
  readonly x: Tensor | null;
}

interface Cell {
  /** Who gave it, and gets the gradient; null at the head. */
  from: SessionKey | null;
  /** Until it is worked on. */
  x: Tensor | null;
  xSha256: string | null;
  phase: "waiting" | "running" | "forwarded" | "worked";
  /** Who of the next stage has it already: a lost replica of ours had sent it there. */
  heldBy: SessionKey | null;
  to: SessionKey | null;
  /** The same of the stages after that one: told to whoever is next. */
  behind: Holders;
  y: Activations | null;
  ySha256: string | null;
  dy: Tensor | null;
  /** Of the gradient that came last, which may be one that was done again. */
  dySha256: string | null;
  /** Who has sent a gradient last. */
  answeredBy: SessionKey | null;
  dx: Activations | null;
  dxSha256: string | null;
  rival: Rival | null;
}

export type MicroBatchJob =
  | { readonly kind: "forward" | "tail"; readonly microBatch: number; readonly input: Tensor | null }
  | { readonly kind: "backward"; readonly microBatch: number; readonly input: Tensor };

export interface MicroBatchPorts {
  readonly isTail: boolean;
  /** Where a micro-batch goes; null: nobody can be reached now. */
  readonly choose: () => SessionKey | null;
  /** That it goes to `to`, and had come from `from` (null: at the head). */
  readonly routed: (microBatch: number, to: SessionKey, from: SessionKey | null) => void;
  /** Gives the digest under which it was sent. `held`: who has it from the stage behind the receiver's on. */
  readonly sendForward: (microBatch: number, to: SessionKey, y: Activations, held: Holders) => string;
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
  readonly counted: (microBatch: number, loss: number | null, from: SessionKey | null) => void;
  readonly accuse: (replica: SessionKey, microBatch: number, code: string, message: string) => void;
  /** What this node has added is not what it should have: nothing of it may count. */
  readonly spoiled: (microBatch: number) => void;
}

/**
 * The micro-batches of one step on one replica. What was sent stays here, `y` and `dx`, until the step is
 * over: when a neighbour is lost, another replica of its stage gets them again, and nobody but that stage
 * works on anything twice.
 */
export class MicroBatches {
  readonly #ports: MicroBatchPorts;
  readonly #cells = new Map<number, Cell>();
  readonly #fenced = new Set<SessionKey>();
  #forwards: number[] = [];
  #backwards: number[] = [];

  constructor(ports: MicroBatchPorts) {
    this.#ports = ports;
  }

  /** Begun and not done. */
  get inFlight(): number {
    let count = 0;
    for (const { phase } of this.#cells.values()) if (phase !== "worked") count += 1;
    return count;
  }

  /** For each pass. */
  get waiting(): { readonly forward: number; readonly backward: number } {
    return { forward: this.#forwards.length, backward: this.#backwards.length };
  }

  /** What has crossed the borders for these micro-batches, and with whom: of those that were worked on. */
  crossed(microBatches: readonly number[]): Map<number, Crossed> {
    const { digestOf } = this.#ports;
    const all = new Map<number, Crossed>();
    for (const at of microBatches) {
      const cell = this.#cells.get(at);
      if (cell?.phase !== "worked") continue;
      const { from, xSha256, y, dx, dySha256 } = cell;
      const next = cell.to ?? cell.heldBy;
      all.set(at, {
        previous:
          from === null || xSha256 === null || dx === null
            ? null
            : { peer: from, taken: xSha256, given: cell.dxSha256 ?? digestOf("backward", at, from, dx) },
        next:
          next === null || y === null || dySha256 === null || cell.answeredBy !== next
            ? null
            : { peer: next, taken: dySha256, given: cell.ySha256 ?? digestOf("forward", at, next, y) },
      });
    }
    return all;
  }

  clear(): void {
    this.#cells.clear();
    this.#fenced.clear();
    this.#forwards = [];
    this.#backwards = [];
  }

  /** Gradients go first: they set memory and peers free. */
  next(): MicroBatchJob | null {
    const back = this.#backwards.shift();
    const gradient = back === undefined ? undefined : this.#cells.get(back);
    if (back !== undefined && gradient?.dy) {
      gradient.phase = "running";
      return { kind: "backward", microBatch: back, input: gradient.dy };
    }
    const microBatch = this.#forwards.shift();
    const cell = microBatch === undefined ? undefined : this.#cells.get(microBatch);
    if (microBatch === undefined || cell === undefined) return null;
    cell.phase = "running";
    const input = cell.x;
    cell.x = null;
    return { kind: this.#ports.isTail ? "tail" : "forward", microBatch, input };
  }

  /** At the head. */
  leased(microBatch: number, held: Holders): void {
    this.#add(microBatch, null, null, held);
  }

  /** From the stage before. */
  arrived(from: SessionKey, microBatch: number, x: Tensor, held: Holders): void {
    const cell = this.#cells.get(microBatch);
    if (cell === undefined) {
      if (!this.#fenced.has(from)) this.#add(microBatch, from, x, held);
      return;
    }
    if (cell.from === from) return;
    this.#contest(microBatch, cell, { from, x });
  }

  /** From the stage behind. */
  returned(from: SessionKey, microBatch: number, dy: Tensor): void {
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
    cell.answeredBy = from;
    cell.dySha256 = dy.sha256;
    if (cell.dy !== null) return;
    cell.dy = dy;
    if (cell.to !== null) this.#ports.answered(from);
    if (cell.phase === "forwarded") this.#backwards.push(microBatch);
  }

  /** A replica of the stage before does a lost one's work again, and needs what we have sent to that. */
  wanted(from: SessionKey, microBatch: number): void {
    const cell = this.#cells.get(microBatch);
    if (this.#fenced.has(from)) return;
    if (cell === undefined) this.#ports.sendLack(microBatch, from);
    else if (cell.from !== from) this.#contest(microBatch, cell, { from, x: null });
    else this.#sendBack(microBatch, cell, from);
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
      if (cell.dy !== null) this.#backwards.push(job.microBatch);
      else if (cell.heldBy !== null) this.#want(job.microBatch, cell.heldBy, cell);
      else this.#route(job.microBatch, cell);
      return;
    }
    cell.phase = "worked";
    cell.dx = output;
    this.#ports.counted(job.microBatch, loss, cell.from);
    if (cell.from !== null) this.#sendBack(job.microBatch, cell, cell.from);
  }

  /** Nothing of it counts in this step. `held`: who has what it owned, from the stage behind it on. */
  fenced(replica: SessionKey, held: ReadonlyMap<number, Holders>): void {
    this.#fenced.add(replica);
    for (const [microBatch, cell] of this.#cells) {
      if (cell.heldBy === replica || cell.to === replica) {
        cell.behind = this.#live(held.get(microBatch) ?? []);
        cell.heldBy = cell.to = null;
        if (cell.y !== null) this.#route(microBatch, cell);
      }
      cell.behind = this.#live(cell.behind);
      const { rival } = cell;
      if (rival?.from === replica) cell.rival = null;
      else if (cell.from === replica && rival !== null) this.#replace(microBatch, cell, rival);
    }
  }

  /** There is a link to it (again): it gets what it may not have got. */
  linked(peer: SessionKey): void {
    for (const [microBatch, cell] of this.#cells) {
      const { y } = cell;
      if (cell.from === peer) this.#sendBack(microBatch, cell, peer);
      if (y === null || cell.answeredBy === peer) continue;
      if (cell.to === peer) this.#sendOn(microBatch, peer, cell, y);
      else if (cell.heldBy === peer) this.#want(microBatch, peer, cell);
    }
  }

  /** Somebody may be there who was not: what could go nowhere is sent on. */
  routeWaiting(): void {
    for (const [microBatch, cell] of this.#cells)
      if (cell.y !== null && cell.to === null && cell.heldBy === null) this.#route(microBatch, cell);
  }

  /** Who was fenced has nothing. */
  #live(held: Holders): Holders {
    return held.map((key) => (key !== null && this.#fenced.has(key) ? null : key));
  }

  #add(microBatch: number, from: SessionKey | null, x: Tensor | null, held: Holders): void {
    if (this.#cells.has(microBatch)) return;
    const [heldBy = null, ...behind] = this.#live(held);
    this.#cells.set(microBatch, {
      from,
      x,
      xSha256: x?.sha256 ?? null,
      phase: "waiting",
      heldBy,
      to: null,
      behind,
      y: null,
      ySha256: null,
      dy: null,
      dySha256: null,
      answeredBy: null,
      dx: null,
      dxSha256: null,
      rival: null,
    });
    this.#forwards.push(microBatch);
  }

  #route(microBatch: number, cell: Cell): void {
    const to = this.#ports.choose();
    if (to === null || cell.y === null) return;
    cell.to = to;
    this.#sendOn(microBatch, to, cell, cell.y);
  }

  #sendOn(microBatch: number, to: SessionKey, cell: Cell, y: Activations): void {
    this.#ports.routed(microBatch, to, cell.from);
    cell.ySha256 = this.#ports.sendForward(microBatch, to, y, cell.behind);
  }

  #want(microBatch: number, from: SessionKey, cell: Cell): void {
    this.#ports.routed(microBatch, from, cell.from);
    this.#ports.sendWant(microBatch, from);
  }

  #sendBack(microBatch: number, cell: Cell, to: SessionKey): void {
    if (cell.dx !== null) cell.dxSha256 = this.#ports.sendBackward(microBatch, to, cell.dx);
  }

  /** Two say that it is theirs. Only the orchestrator knows whose it is: it may have given it to another, and we not have heard. */
  #contest(microBatch: number, cell: Cell, rival: Rival): void {
    if (cell.from !== null && this.#fenced.has(cell.from)) return this.#replace(microBatch, cell, rival);
    cell.rival = rival;
    for (const each of [rival.from, cell.from])
      if (each !== null)
        this.#ports.accuse(
          each,
          microBatch,
          "not-its-micro-batch",
          `Micro-batch ${microBatch} came from two replicas.`,
        );
  }

  #replace(microBatch: number, cell: Cell, { from, x }: Rival): void {
    cell.rival = null;
    if (this.#fenced.has(from)) return;
    cell.from = from;
    if (x !== null && x.sha256 !== cell.xSha256) {
      if (cell.phase !== "waiting") return this.#ports.spoiled(microBatch);
      cell.x = x;
      cell.xSha256 = x.sha256;
    }
    this.#sendBack(microBatch, cell, from);
  }
}
