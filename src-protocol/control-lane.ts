/** More is not kept: the connection after this one then begins anew, as if the node had just come. */
const MOST_MESSAGES = 1_024;
/** SECURITY: a node that never says what it has heard must not have much kept for it. */
const MOST_KEPT_CHARS = 128 * 1024;
const TOLD_AT_LEAST = 64;

/**
 * What one side of a control connection has said and heard, counted from its beginning. The next
 * connection of the same session key goes on from there: what the broken one has swallowed is said
 * again, once, and nobody had to leave the run. Greetings and what is repeated anyway are not counted.
 */
export class ControlLane {
  #kept: string[] = [];
  #keptChars = 0;
  #acknowledged = 0;
  #isWhole = true;
  /** Messages of the other side. */
  heard = 0;

  /** One more is heard. True: so much was heard that the other side should be told before the next heartbeat. */
  hears(): boolean {
    this.heard += 1;
    return this.heard % TOLD_AT_LEAST === 0;
  }

  said(text: string): void {
    if (!this.#isWhole) return;
    this.#kept.push(text);
    this.#keptChars += text.length;
    if (this.#kept.length <= MOST_MESSAGES && this.#keptChars <= MOST_KEPT_CHARS) return;
    this.#isWhole = false;
    this.#kept = [];
  }

  /** The other side has heard the first `count` of all. False: that cannot be, or too much was to be kept. */
  acknowledge(count: number): boolean {
    const fresh = count - this.#acknowledged;
    if (!this.#isWhole || fresh < 0 || fresh > this.#kept.length) return false;
    for (const text of this.#kept.splice(0, fresh)) this.#keptChars -= text.length;
    this.#acknowledged = count;
    return true;
  }

  /** Not heard by the other side yet, as far as we know. */
  get unheard(): readonly string[] {
    return this.#kept;
  }

  /** Nothing is missing: the next connection may go on from here. */
  get isWhole(): boolean {
    return this.#isWhole;
  }
}
