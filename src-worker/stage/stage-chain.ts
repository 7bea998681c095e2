import type { RunSpec } from "../../src-protocol/model.ts";
import { isCheckpointStep } from "../../src-protocol/model.ts";
import { firstLink, isDigestDue, nextLink } from "../../src-protocol/state-chain.ts";
import { StateDigest } from "../../src-protocol/state-digest.ts";

/** What a stage says of itself with every step that is saved. */
export interface SavedState {
  readonly link: string;
  /** Null where neither the chain nor a checkpoint needs it. */
  readonly stateSha256: string | null;
}

/** The chain of one stage (state-chain.ts), from the step at which it was loaded. */
export class StageChain {
  readonly #spec: RunSpec;
  #link: string;

  /** `link`: of the state at `step`; null where that is not known, and the chain begins there. */
  constructor(spec: RunSpec, stage: number, step: number, link: string | null) {
    this.#spec = spec;
    this.#link = link ?? firstLink(spec, stage, step);
  }

  get link(): string {
    return this.#link;
  }

  /** One step on; `memory` holds the state after it and must not change until the promise settles. */
  async advance(step: number, squaredNorm: number, memory: SharedArrayBuffer): Promise<SavedState> {
    const isDue = isDigestDue(this.#spec, step);
    const stateSha256 = isDue || isCheckpointStep(this.#spec, step) ? await stateDigestOf(memory) : null;
    this.#link = nextLink(this.#link, { step, squaredNorm, stateSha256: isDue ? stateSha256 : null });
    return { link: this.#link, stateSha256 };
  }
}

/** A few milliseconds at a time. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** The digest of a stage's whole state, in pieces: heartbeats and tensors go between. */
export async function stateDigestOf(memory: SharedArrayBuffer): Promise<string> {
  const digest = new StateDigest();
  for (let at = 0; at < memory.byteLength; at += PIECE_BYTES) {
    if (at > 0) await new Promise(setImmediate);
    digest.update(new Uint8Array(memory, at, Math.min(PIECE_BYTES, memory.byteLength - at)));
  }
  return digest.digest();
}
