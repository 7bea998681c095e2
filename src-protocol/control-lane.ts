/** Older ones are not kept: a connection that has not heard those begins anew, as if the node had just come. */
const MOST_MESSAGES = 1_024;
/** SECURITY: a node that never says what it has heard must not have much kept for it. */
const MOST_KEPT_CHARS = 128 * 1024;
const TOLD_AT_LEAST = 64;

/** A lane as data: an orchestrator that was killed goes on from there. */
export interface KeptLane {
  readonly id: string;
  readonly heard: number;
  readonly said: number;
  readonly unheard: readonly string[];
}

/**
 * What one side of a control connection has said and heard, counted from its beginning. The next
 * connection of the same session key goes on from there: what the broken one has swallowed is said
 * again, once, and nobody had to leave the run. Greetings and what is repeated anyway are not counted.
 */
export class ControlLane {
  /** Both sides count the same, which begins with the welcome that named it. */
  readonly id: string;
  /** The last of what was said. */
  #kept: string[] = [];
  #keptChars = 0;
  #said = 0;
  /** Messages of the other side. */
  heard = 0;

  constructor(id: string) {
    this.id = id;
  }

  static from({ id, heard, said, unheard }: KeptLane): ControlLane {
    const lane = new ControlLane(id);
    lane.heard = heard;
    lane.#said = said;
    lane.#kept = [...unheard];
    lane.#keptChars = unheard.reduce((sum, text) => sum + text.length, 0);
    return lane;
  }

  toKept(): KeptLane {
    return { id: this.id, heard: this.heard, said: this.#said, unheard: [...this.#kept] };
  }

  /** One more is heard. True: so much was heard that the other side should be told before the next heartbeat. */
  hears(): boolean {
    this.heard += 1;
    return this.heard % TOLD_AT_LEAST === 0;
  }

  said(text: string): void {
    this.#said += 1;
    this.#kept.push(text);
    this.#keptChars += text.length;
    if (this.#kept.length > MOST_MESSAGES || this.#keptChars > MOST_KEPT_CHARS) this.#forgetOldest();
  }

  /** The other side has heard the first `count` of all. False: it cannot have, or what came next is not kept any more. */
  acknowledge(count: number): boolean {
    if (!this.mayAcknowledge(count)) return false;
    this.#forget(count - this.acknowledged);
    return true;
  }

  mayAcknowledge(count: number): boolean {
    return count >= this.acknowledged && count <= this.#said;
  }

  /** So many of all were heard, or are not kept. */
  get acknowledged(): number {
    return this.#said - this.#kept.length;
  }

  /** Not heard by the other side yet, as far as we know. */
  get unheard(): readonly string[] {
    return this.#kept;
  }

  /** Half of them at once: whoever is behind stays so. */
  #forgetOldest(): void {
    const isMuch = (messages: number, chars: number): boolean =>
      messages > MOST_MESSAGES / 2 || chars > MOST_KEPT_CHARS / 2;
    let count = 0;
    for (let chars = this.#keptChars; isMuch(this.#kept.length - count, chars); count++)
      chars -= this.#kept[count]?.length ?? chars;
    this.#forget(count);
  }

  #forget(count: number): void {
    for (const text of this.#kept.splice(0, count)) this.#keptChars -= text.length;
  }
}
