import type { RunSpec } from "../../src-protocol/model.ts";
import { isCheckpointStep } from "../../src-protocol/model.ts";
import { firstLink, isDigestDue, nextLink } from "../../src-protocol/state-chain.ts";
import { StateDigest, stateRoot } from "../../src-protocol/state-digest.ts";

/** What a stage says of itself with every step that is saved. */
export interface SavedState {
  readonly link: string;
  /** Null where neither the chain, nor a checkpoint, nor other replicas need it. */
  readonly stateSha256: string | null;
}

/** The chain of one stage (state-chain.ts), from the step at which it was loaded. */
export class StageChain {
  readonly #spec: RunSpec;
  readonly #isShared: boolean;
  #link: string;
  #leaves: Uint8Array | null;

  /**
   * `link`: of the state at `step`; null where that is not known, and the chain begins there. `isShared`: other
   * replicas take the state over, and know it again by its digest at every step. `leaves`: of the state at
   * `step`; null: they are not known.
   */
  constructor(
    spec: RunSpec,
    stage: number,
    step: number,
    link: string | null,
    { isShared = false, leaves = null }: { isShared?: boolean; leaves?: Uint8Array | null } = {},
  ) {
    this.#spec = spec;
    this.#isShared = isShared;
    this.#link = link ?? firstLink(spec, stage, step);
    this.#leaves = leaves;
  }

  get link(): string {
    return this.#link;
  }

  /** Digests of the leaves of the state (state-digest.ts); null: it was not hashed. */
  get leaves(): Uint8Array | null {
    return this.#leaves;
  }

  /** One step on; `memory` holds the state after it and must not change until the promise settles. */
  async advance(step: number, squaredNorm: number, memory: SharedArrayBuffer): Promise<SavedState> {
    const isDue = isDigestDue(this.#spec, step);
    const isHashed = isDue || this.#isShared || isCheckpointStep(this.#spec, step);
    this.#leaves = isHashed ? await leavesOf(memory) : null;
    const stateSha256 = this.#leaves === null ? null : stateRoot(this.#leaves);
    this.#link = nextLink(this.#link, { step, squaredNorm, stateSha256: isDue ? stateSha256 : null });
    return { link: this.#link, stateSha256 };
  }
}

/** A few milliseconds at a time. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** The digest of a stage's whole state. */
export async function stateDigestOf(memory: SharedArrayBuffer): Promise<string> {
  return stateRoot(await leavesOf(memory));
}

/** In pieces: heartbeats and tensors go between. */
async function leavesOf(memory: SharedArrayBuffer): Promise<Uint8Array> {
  const digest = new StateDigest();
  for (let at = 0; at < memory.byteLength; at += PIECE_BYTES) {
    if (at > 0) await new Promise(setImmediate);
    digest.update(new Uint8Array(memory, at, Math.min(PIECE_BYTES, memory.byteLength - at)));
  }
  return digest.leaves();
}
