import type { UpkeepMessage } from "../../src-protocol/peer.ts";
import { systemClock } from "./link-clock.ts";
import type { LinkClock } from "./link-clock.ts";
import type { Link } from "./link.ts";

/** The word travels with the dialler's hello. */
const WORD_WITHIN_MS = 5_000;
const WORDLESS_LIMIT = 64;
/** Of one message of a peer that has not said what it wants. */
const STRANGER_PAYLOAD_BYTES = 64 * 1024;

/** By which a dialler says what its link is for. */
export type FirstWord = Exclude<UpkeepMessage, { type: "received" }>;
const WORDLESS = "you have not said what this link is for";

/** Whoever has dialled and proved its key, until its first word says for what. */
export class Arrivals {
  readonly #heard: (link: Link, word: FirstWord) => void;
  readonly #clock: LinkClock;
  /** Oldest first. */
  readonly #wordless = new Set<Link>();

  constructor(heard: (link: Link, word: FirstWord) => void, clock: LinkClock = systemClock) {
    this.#heard = heard;
    this.#clock = clock;
  }

  add(link: Link): void {
    // SECURITY: anybody may dial; who says nothing costs a bounded number of places for a bounded time.
    link.limitPayload(STRANGER_PAYLOAD_BYTES);
    this.#wordless.add(link);
    const cancel = this.#clock.after(WORD_WITHIN_MS, () => link.close(WORDLESS));
    const gone = (): void => {
      cancel();
      this.#wordless.delete(link);
    };
    link.onClose(gone);
    link.onUpkeep((word) => {
      if (!this.#wordless.has(link)) return;
      if (word.type === "received") return link.close(WORDLESS);
      gone();
      this.#heard(link, word);
    });
    const [oldest] = this.#wordless;
    if (this.#wordless.size > WORDLESS_LIMIT) oldest?.close("too many links wait here");
  }

  close(reason: string): void {
    for (const link of this.#wordless) link.close(reason);
  }
}
