import { chainClock } from "../chain/chain-connection.ts";
import type { ChainClock } from "../chain/chain.ts";
import type { LiveState } from "../state/live-state.ts";
import { EMBEDDED_CHAIN } from "../state/initial-state.ts";
import type { OwnKey } from "../wallet/own-key.ts";
import type { DaemonState } from "../../src-protocol/state.ts";

/** The chain that the owner has named, seen from the address that is paid; without one, nothing. */
export class FollowedChain {
  readonly #url: string | null;
  readonly #own: OwnKey;
  #clock: ChainClock | null;
  #live: LiveState | null = null;

  constructor(url: string | null, own: OwnKey) {
    this.#url = url;
    this.#own = own;
    this.#clock = this.#follow();
  }

  state(): DaemonState["chain"] {
    return this.#clock?.state() ?? EMBEDDED_CHAIN;
  }

  tell(live: LiveState): void {
    this.#live = live;
    this.#clock?.onChange((state) => live.chain(state));
  }

  /** The address that is paid has changed. */
  async again(): Promise<void> {
    await this.stop();
    this.#clock = this.#follow();
    if (this.#live === null || this.#clock === null) return;
    this.#live.chain(this.#clock.state());
    this.tell(this.#live);
  }

  async stop(): Promise<void> {
    await this.#clock?.stop();
  }

  #follow(): ChainClock | null {
    return this.#url === null ? null : chainClock({ url: this.#url, payout: this.#own.payoutColdkey });
  }
}
