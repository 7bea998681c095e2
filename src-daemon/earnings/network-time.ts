import type { FailureBody } from "../../src-protocol/failure.ts";
import { RefusedByNetwork } from "./signed-request.ts";
import { STALE_REQUEST } from "./clock-problem.ts";

/** A clock further off than the longest wrong time zone is not followed: somebody may be lying. */
const MOST_MS = 26 * 3_600_000;

/**
 * The time by which requests to one network are dated. When the network refuses one because of the clock,
 * it is dated by the network's own time and sent again, once, and the owner is told by how much their
 * clock is off. SECURITY: what is signed so is good for seconds, once and for this request alone.
 */
export class NetworkTime {
  readonly #now: () => number;
  #offsetMs = 0;
  #heardOffsetMs = 0;
  #told: FailureBody | null = null;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  readonly now = (): number => this.#now() + this.#offsetMs;

  /**
   * The network's time as it was said last, however far off. For delegations: they name their network and are
   * of no use elsewhere, so that a computer whose clock has lost years works all the same.
   */
  readonly heardNow = (): number => this.#now() + this.#heardOffsetMs;

  /** Null: requests are dated by this computer's own clock. */
  get problem(): FailureBody | null {
    return this.#told;
  }

  async dated<T>(request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      if (!this.#follows(error)) throw error;
      return request();
    }
  }

  #follows(error: unknown): boolean {
    if (!(error instanceof RefusedByNetwork) || error.code !== STALE_REQUEST || error.serverTime === null)
      return false;
    // The server's Date has whole seconds; half of one is the least wrong.
    const offset = error.serverTime + 500 - this.#now();
    this.#heardOffsetMs = offset;
    if (Math.abs(offset) > MOST_MS) return false;
    // Our clock is right again.
    const isOwn = Math.abs(offset) < 4_000;
    this.#offsetMs = isOwn ? 0 : offset;
    this.#told = isOwn ? null : clockBody(offset);
    return true;
  }
}

function clockBody(offsetMs: number): FailureBody {
  const seconds = Math.round(Math.abs(offsetMs) / 1000).toLocaleString("en-US");
  const where = offsetMs < 0 ? "ahead of" : "behind";
  return {
    code: "clock-wrong",
    message: `This computer's clock is ${seconds} s ${where} the network's. Requests are dated by the network's clock meanwhile, so nothing that was earned is lost: set the clock, best by the internet.`,
  };
}
