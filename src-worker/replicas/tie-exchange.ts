import type { SessionKey } from "../../src-protocol/keys.ts";
import { SUM_PART_VALUES } from "../../src-protocol/peer.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { Activations } from "../compute/compute-call.ts";

type TieMessage = Extract<PeerMessage, { type: "tieAsk" | "tiePart" | "tieNone" }>;

/** Whoever gives nothing for so long is left for another one, and says so a little before. */
const ANSWER_MS = 10_000;
const HELD_MS = 9_000;
/** Nobody is linked just now. */
const LOOK_MS = 20;
/** SECURITY: of one peer, so many asks wait at a time, and it gets each piece so many times. */
const MOST_HELD = 64;
const MOST_GIVEN = 8;

/** What the replicas of a stage agree that it gives. */
export interface WantedTie {
  readonly stage: number;
  readonly sha256: string;
}

export interface TiePorts {
  readonly stage: number;
  readonly generation: number;
  /** Values of what a stage gives. */
  readonly count: (stage: number) => number;
  /** Of the neighbouring stage on the way to `stage`: who can be asked, the best first. */
  readonly towards: (stage: number) => readonly SessionKey[];
  readonly send: (to: SessionKey, message: TieMessage, payload?: Uint8Array) => void;
  readonly accuse: (replica: SessionKey, message: string) => void;
}

interface Held {
  readonly from: SessionKey;
  readonly ask: Extract<TieMessage, { type: "tieAsk" }>;
  readonly late: NodeJS.Timeout;
}

/**
 * Gradients of parameters that several stages hold, from stage to stage: each replica asks a neighbour for what
 * each other stage gives, which that has or asks its own neighbour for. By then all replicas of a stage have
 * its whole sum, so any of them can give it, and it is known by the digest that most of them told.
 */
export class TieExchange {
  readonly #ports: TiePorts;
  #step = -1;
  /** By stage; kept until the next step's, for whoever is slower. */
  readonly #parts = new Map<number, Activations>();
  readonly #waiting = new Map<
    number,
    { readonly of: SessionKey; readonly done: (bytes: Uint8Array | null) => void }
  >();
  #held: Held[] = [];
  /** How often, by peer and piece. */
  readonly #given = new Map<string, number>();
  #lastId = 0;

  constructor(ports: TiePorts) {
    this.#ports = ports;
  }

  /** The stage's whole sum is here. `own`: what it gives; null: nothing. */
  begin(step: number, own: Activations | null): void {
    const { stage } = this.#ports;
    this.#step = step;
    this.#parts.clear();
    this.#given.clear();
    if (own !== null) this.#parts.set(stage, own);
    this.#answerHeld();
  }

  /** By stage; null: it is not wanted any more, or what this replica itself gives is not what the others agree on. */
  async gather(
    wanted: readonly WantedTie[],
    isWanted: () => boolean,
  ): Promise<ReadonlyMap<number, Activations> | null> {
    const all = await Promise.all(wanted.map((each) => this.#one(each, isWanted)));
    return all.every((isHere) => isHere) ? new Map(this.#parts) : null;
  }

  /** The link to a peer is gone: what it was asked for is asked of another one. */
  lost(key: SessionKey): void {
    for (const { of, done } of this.#waiting.values()) if (of === key) done(null);
    this.#held = this.#held.filter(({ from, late }) => {
      if (from === key) clearTimeout(late);
      return from !== key;
    });
  }

  /** This replica has no part in the step any more: whoever waits for it asks another one. */
  giveUp(): void {
    const { generation, send } = this.#ports;
    for (const { done } of this.#waiting.values()) done(null);
    const held = this.#held;
    this.#held = [];
    for (const { from, ask, late } of held) {
      clearTimeout(late);
      send(from, { type: "tieNone", generation, id: ask.id });
    }
  }

  hear(from: SessionKey, message: TieMessage, payload: Uint8Array): void {
    if (message.type === "tieAsk") return this.#asked(from, message);
    const waiting = this.#waiting.get(message.id);
    if (waiting?.of === from) waiting.done(message.type === "tiePart" ? payload : null);
  }

  async #one({ stage, sha256: due }: WantedTie, isWanted: () => boolean): Promise<boolean> {
    const own = this.#parts.get(stage);
    if (own !== undefined) return sha256(bytesOf(own)) === due;
    const refused = new Set<SessionKey>();
    while (isWanted()) {
      const givers = this.#ports.towards(stage).filter((key) => !refused.has(key));
      for (const key of givers) {
        const values = await this.#fetch(key, stage, isWanted);
        if (!isWanted()) return false;
        if (values === null) continue;
        if (sha256(bytesOf(values)) === due) {
          this.#parts.set(stage, values);
          this.#answerHeld();
          return true;
        }
        refused.add(key);
        this.#ports.accuse(
          key,
          `It gave other gradients of shared parameters than stage ${stage + 1} agreed on.`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return false;
  }

  async #fetch(key: SessionKey, stage: number, isWanted: () => boolean): Promise<Activations | null> {
    const values = new Float32Array(this.#ports.count(stage));
    const bytes = bytesOf(values);
    for (let from = 0; from < values.length; from += SUM_PART_VALUES) {
      const piece = isWanted() ? await this.#ask(key, stage, from) : null;
      const to = Math.min(values.length, from + SUM_PART_VALUES);
      if (piece === null || piece.length !== (to - from) * 4) return null;
      bytes.set(piece, from * 4);
    }
    return values;
  }

  #ask(key: SessionKey, stage: number, from: number): Promise<Uint8Array | null> {
    const { generation, send } = this.#ports;
    const id = this.#lastId++;
    return new Promise((resolve) => {
      const done = (bytes: Uint8Array | null): void => {
        clearTimeout(late);
        this.#waiting.delete(id);
        resolve(bytes);
      };
      const late = setTimeout(() => done(null), ANSWER_MS).unref();
      this.#waiting.set(id, { of: key, done });
      send(key, { type: "tieAsk", generation, id, step: this.#step, stage, from });
    });
  }

  #asked(from: SessionKey, ask: Held["ask"]): void {
    if (this.#answer(from, ask)) return;
    const { generation, send } = this.#ports;
    const none = (): void => send(from, { type: "tieNone", generation, id: ask.id });
    // What is over is nowhere; what comes later is held until it is here.
    if (ask.step < this.#step || this.#held.filter((each) => each.from === from).length >= MOST_HELD)
      return none();
    const late = setTimeout(() => {
      this.#held = this.#held.filter((each) => each.late !== late);
      none();
    }, HELD_MS).unref();
    this.#held.push({ from, ask, late });
  }

  #answer(from: SessionKey, { id, step, stage, from: at }: Held["ask"]): boolean {
    const { generation, send } = this.#ports;
    const values = step === this.#step ? this.#parts.get(stage) : undefined;
    if (values === undefined) return false;
    const piece = values.subarray(at, at + SUM_PART_VALUES);
    const name = `${from} ${stage} ${at}`;
    const times = (this.#given.get(name) ?? 0) + 1;
    this.#given.set(name, times);
    if (piece.length === 0 || times > MOST_GIVEN) send(from, { type: "tieNone", generation, id });
    else send(from, { type: "tiePart", generation, id }, bytesOf(piece));
    return true;
  }

  #answerHeld(): void {
    this.#held = this.#held.filter(({ from, ask, late }) => {
      const isAnswered = this.#answer(from, ask);
      if (isAnswered) clearTimeout(late);
      return !isAnswered;
    });
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Activations): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
