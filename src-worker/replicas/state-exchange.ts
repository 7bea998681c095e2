import { Failure } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { isSoundState } from "../../src-protocol/snapshot.ts";
import { LEAF_DIGEST_BYTES, STATE_LEAF_BYTES, stateRoot } from "../../src-protocol/state-digest.ts";
import type { Link } from "../links/index.ts";

type StateMessage = Extract<PeerMessage, { type: "stateAsk" | "leavesAsk" | "statePart" | "stateNone" }>;

/** A replica that gives nothing for so long is left for another one. */
const ANSWER_MS = 10_000;
/** The same for one of which nothing at all is heard: longer than two heartbeats are apart. */
const SILENT_MS = 3_000;
const LOOK_MS = 500;
const ASKS_UNDER_WAY = 4;
/** SECURITY: of one peer, so many asks are answered at a time. */
const MOST_ANSWERS = 8;

export interface WantedState {
  readonly step: number;
  /** On which the replicas agree. */
  readonly stateSha256: string;
  readonly from: readonly SessionKey[];
}

export interface StatePorts {
  readonly stage: number;
  readonly generation: number;
  readonly memory: SharedArrayBuffer;
  readonly linkTo: (key: SessionKey) => Link | null;
  /** The step whose state lies in `memory` and stands still; null: it is being changed. */
  readonly standsAt: () => number | null;
  /** Digests of the leaves of that state; null: they are not known. */
  readonly leaves: () => Uint8Array | null;
  /** Brings `memory` up to date, where a device has the parameters. */
  readonly download: () => Promise<void>;
  readonly onBytes: (bytes: number) => void;
  /** What the replica gave is not what all have agreed on. */
  readonly accuse: (replica: SessionKey, message: string) => void;
}

/** Of the state that is being taken over. */
interface Coming {
  readonly step: number;
  readonly leaves: Uint8Array;
  /** Leaves that are not here yet. */
  readonly missing: Set<number>;
}

/**
 * A stage's parameters and moments, given to and taken from other replicas of it, a leaf at a time. Each leaf
 * is checked when it comes, so what is right stays where another replica has to give the rest.
 */
export class StateExchange {
  readonly #ports: StatePorts;
  readonly #waiting = new Map<number, (part: Uint8Array | null) => void>();
  readonly #answering = new Map<SessionKey, number>();
  #lastId = 0;

  constructor(ports: StatePorts) {
    this.#ports = ports;
  }

  hear(from: SessionKey, message: StateMessage, payload: Uint8Array): void {
    switch (message.type) {
      case "statePart":
        return this.#waiting.get(message.id)?.(payload);
      case "stateNone":
        return this.#waiting.get(message.id)?.(null);
      case "stateAsk":
      case "leavesAsk":
        void this.#answer(from, message);
    }
  }

  /**
   * Fills the memory with the state of a step, and gives the digests of its leaves. Rejects with
   * `state-unreachable` when no replica gives it, and when `signal` aborts.
   */
  async take({ step, stateSha256, from }: WantedState, signal: AbortSignal): Promise<Uint8Array> {
    let coming: Coming | null = null;
    for (const key of from) {
      const giver = watched(this.#ports.linkTo(key), signal);
      coming ??= await this.#begin(key, step, stateSha256, giver.signal);
      const isWhole = coming !== null && (await this.#fetch(key, coming, giver.signal));
      giver.done();
      if (coming !== null && isWhole && !signal.aborted && this.#isSound()) return coming.leaves;
    }
    signal.throwIfAborted();
    throw new Failure(
      "state-unreachable",
      `No replica of stage ${this.#ports.stage + 1} gave the state of step ${step} as all of them have it. It is tried again with the next step.`,
    );
  }

  async #begin(
    key: SessionKey,
    step: number,
    stateSha256: string,
    signal: AbortSignal,
  ): Promise<Coming | null> {
    const count = Math.ceil(this.#ports.memory.byteLength / STATE_LEAF_BYTES);
    const { generation } = this.#ports;
    const leaves =
      count === 0
        ? new Uint8Array(0)
        : await this.#ask(key, { type: "leavesAsk", generation, id: this.#lastId++, step }, signal);
    if (leaves === null) return null;
    if (leaves.length === count * LEAF_DIGEST_BYTES && stateRoot(leaves) === stateSha256)
      return { step, leaves, missing: new Set(Array.from({ length: count }, (_, at) => at)) };
    this.#ports.accuse(key, "It gave digests of another state than the one that all replicas agreed on.");
    return null;
  }

  /** True when all of it is here. */
  async #fetch(key: SessionKey, { step, leaves, missing }: Coming, signal: AbortSignal): Promise<boolean> {
    const bytes = new Uint8Array(this.#ports.memory);
    const open = [...missing];
    let isGood = true;
    const one = async (): Promise<void> => {
      for (let at = open.shift(); at !== undefined && isGood; at = open.shift()) {
        const from = at * STATE_LEAF_BYTES;
        const length = Math.min(STATE_LEAF_BYTES, bytes.length - from);
        const { generation } = this.#ports;
        const ask = { type: "stateAsk", generation, id: this.#lastId++, step, from, length } as const;
        const part = await this.#ask(key, ask, signal);
        if (part === null) {
          isGood = false;
          return;
        }
        const due = leaves.subarray(at * LEAF_DIGEST_BYTES, (at + 1) * LEAF_DIGEST_BYTES);
        if (part.length !== length || sha256(part) !== Buffer.from(due).toString("hex")) {
          if (isGood)
            this.#ports.accuse(key, "It gave another state than the one that all replicas agreed on.");
          isGood = false;
          return;
        }
        bytes.set(part, from);
        missing.delete(at);
        this.#ports.onBytes(bytes.length - missing.size * STATE_LEAF_BYTES);
      }
    };
    await Promise.all(Array.from({ length: ASKS_UNDER_WAY }, one));
    return missing.size === 0;
  }

  #ask(
    key: SessionKey,
    ask: Extract<StateMessage, { type: "stateAsk" | "leavesAsk" }>,
    signal: AbortSignal,
  ): Promise<Uint8Array | null> {
    const link = this.#ports.linkTo(key);
    if (link === null || signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      const done = (part: Uint8Array | null): void => {
        clearTimeout(late);
        signal.removeEventListener("abort", give);
        this.#waiting.delete(ask.id);
        resolve(part);
      };
      const give = (): void => done(null);
      const late = setTimeout(give, ANSWER_MS).unref();
      signal.addEventListener("abort", give, { once: true });
      this.#waiting.set(ask.id, done);
      link.send(ask).catch(give);
    });
  }

  async #answer(
    to: SessionKey,
    ask: Extract<StateMessage, { type: "stateAsk" | "leavesAsk" }>,
  ): Promise<void> {
    const { generation, linkTo } = this.#ports;
    const { id } = ask;
    const busy = this.#answering.get(to) ?? 0;
    this.#answering.set(to, busy + 1);
    try {
      const part = busy < MOST_ANSWERS ? await this.#part(ask) : null;
      if (part === null) await linkTo(to)?.send({ type: "stateNone", generation, id });
      else await linkTo(to)?.send({ type: "statePart", generation, id }, part);
    } catch {
      // The link has closed: it is asked for again, or of another replica.
    } finally {
      this.#answering.set(to, (this.#answering.get(to) ?? 1) - 1);
    }
  }

  async #part(ask: Extract<StateMessage, { type: "stateAsk" | "leavesAsk" }>): Promise<Uint8Array | null> {
    const { memory, standsAt, leaves, download } = this.#ports;
    if (standsAt() !== ask.step) return null;
    if (ask.type === "leavesAsk") return leaves();
    if (ask.from === 0) await download();
    if (standsAt() !== ask.step || ask.from + ask.length > memory.byteLength) return null;
    // A copy: the socket may be slow, and the parameters are changed by the next step.
    return new Uint8Array(memory, ask.from, ask.length).slice();
  }

  #isSound(): boolean {
    const state = new Float32Array(this.#ports.memory);
    return isSoundState(state, 0, state.length);
  }
}

/** Aborts when the giver is lost, or `signal` does: the next one gives the rest. */
function watched(link: Link | null, signal: AbortSignal): { signal: AbortSignal; done: () => void } {
  const lost = new AbortController();
  link?.onClose(() => lost.abort());
  const looks = setInterval(() => {
    if ((link?.silentMs ?? Infinity) > SILENT_MS) lost.abort();
  }, LOOK_MS).unref();
  return { signal: AbortSignal.any([signal, lost.signal]), done: () => clearInterval(looks) };
}
