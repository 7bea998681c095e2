import { crc32 } from "node:zlib";
import { Failure } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { STATE_PART_BYTES } from "../../src-protocol/peer.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { runDigest } from "../../src-protocol/run-digest.ts";
import { isSoundState, snapshotDigest } from "../../src-protocol/snapshot.ts";
import type { Link } from "../links/index.ts";

type StateMessage = Extract<PeerMessage, { type: "stateAsk" | "statePart" | "stateNone" }>;

/** A replica that gives nothing for so long is left for another one. */
const ANSWER_MS = 10_000;
const ASKS_UNDER_WAY = 4;
/** SECURITY: of one peer, so many asks are answered at a time. */
const MOST_ANSWERS = 8;
const CRC_PIECE_BYTES = 4 * 1024 * 1024;

export interface WantedState {
  readonly step: number;
  /** `snapshotDigest` on which the replicas agree. */
  readonly digest: string;
  readonly link: string;
  readonly from: readonly SessionKey[];
}

export interface StatePorts {
  readonly spec: RunSpec;
  readonly stage: number;
  readonly generation: number;
  readonly memory: SharedArrayBuffer;
  readonly linkTo: (key: SessionKey) => Link | null;
  /** The step whose state lies in `memory` and stands still; null: it is being changed. */
  readonly standsAt: () => number | null;
  /** Brings `memory` up to date, where a device has the parameters. */
  readonly download: () => Promise<void>;
  readonly onBytes: (bytes: number) => void;
}

/** A stage's parameters and moments, given to and taken from other replicas of it, a piece at a time. */
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
        void this.#answer(from, message);
    }
  }

  /**
   * Fills the memory with the state of a step. Rejects with `state-unreachable` when no replica gives it,
   * and when `signal` aborts.
   */
  async take({ step, digest, link, from }: WantedState, signal: AbortSignal): Promise<void> {
    for (const key of from) {
      if (!(await this.#fetch(key, step, signal))) continue;
      if ((await stateSnapshotDigest(this.#ports, step, link)) === digest && this.#isSound()) return;
    }
    signal.throwIfAborted();
    throw new Failure(
      "state-unreachable",
      `No replica of stage ${this.#ports.stage + 1} gave the state of step ${step} as all of them have it. It is tried again with the next step.`,
    );
  }

  async #fetch(key: SessionKey, step: number, signal: AbortSignal): Promise<boolean> {
    const bytes = new Uint8Array(this.#ports.memory);
    let next = 0;
    let done = 0;
    let isGood = true;
    const one = async (): Promise<void> => {
      while (next < bytes.length && isGood) {
        const at = next;
        const length = Math.min(STATE_PART_BYTES, bytes.length - at);
        next += length;
        const part = await this.#ask(key, step, at, length, signal);
        if (part?.length !== length) isGood = false;
        else {
          bytes.set(part, at);
          done += length;
          this.#ports.onBytes(done);
        }
      }
    };
    await Promise.all(Array.from({ length: ASKS_UNDER_WAY }, one));
    return isGood && !signal.aborted;
  }

  #ask(
    key: SessionKey,
    step: number,
    from: number,
    length: number,
    signal: AbortSignal,
  ): Promise<Uint8Array | null> {
    const link = this.#ports.linkTo(key);
    if (link === null || signal.aborted) return Promise.resolve(null);
    const id = this.#lastId++;
    return new Promise((resolve) => {
      const done = (part: Uint8Array | null): void => {
        clearTimeout(late);
        signal.removeEventListener("abort", give);
        this.#waiting.delete(id);
        resolve(part);
      };
      const give = (): void => done(null);
      const late = setTimeout(give, ANSWER_MS).unref();
      signal.addEventListener("abort", give, { once: true });
      this.#waiting.set(id, done);
      const { generation } = this.#ports;
      link.send({ type: "stateAsk", generation, id, step, from, length }).catch(give);
    });
  }

  async #answer(
    to: SessionKey,
    { id, step, from, length }: Extract<StateMessage, { type: "stateAsk" }>,
  ): Promise<void> {
    const { generation, memory, linkTo, standsAt, download } = this.#ports;
    const busy = this.#answering.get(to) ?? 0;
    this.#answering.set(to, busy + 1);
    try {
      if (busy < MOST_ANSWERS && standsAt() === step && from === 0) await download();
      const isHere = busy < MOST_ANSWERS && standsAt() === step && from + length <= memory.byteLength;
      // A copy: the socket may be slow, and the parameters are changed by the next step.
      const part = isHere ? new Uint8Array(memory, from, length).slice() : null;
      if (part === null) await linkTo(to)?.send({ type: "stateNone", generation, id });
      else await linkTo(to)?.send({ type: "statePart", generation, id }, part);
    } catch {
      // The link has closed: it is asked for again, or of another replica.
    } finally {
      this.#answering.set(to, (this.#answering.get(to) ?? 1) - 1);
    }
  }

  #isSound(): boolean {
    const state = new Float32Array(this.#ports.memory);
    return isSoundState(state, 0, state.length);
  }
}

/** `snapshotDigest` of the file that this memory would be written to. */
export async function stateSnapshotDigest(
  { spec, stage, memory }: Pick<StatePorts, "spec" | "stage" | "memory">,
  step: number,
  link: string,
): Promise<string> {
  let sum = 0;
  for (let at = 0; at < memory.byteLength; at += CRC_PIECE_BYTES) {
    sum = crc32(new Uint8Array(memory, at, Math.min(CRC_PIECE_BYTES, memory.byteLength - at)), sum);
    await new Promise(setImmediate);
  }
  return snapshotDigest({
    schema: "train-at-home/snapshot/v1",
    runId: spec.runId,
    runSha256: runDigest(spec),
    stage,
    step,
    payloadBytes: memory.byteLength,
    payloadCrc32: sum,
    link,
  });
}
