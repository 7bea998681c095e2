/** More is not kept: the connection after this one then begins anew, as if the node had just come. */
const MOST_MESSAGES = 1_024;
/** SECURITY: a node that never says what it has heard must not have much kept for it. */
const MOST_KEPT_CHARS = 128 * 1024;
const TOLD_AT_LEAST = 64;

/** A lane as data: an orchestrator that was killed goes on from there. */
export interface KeptLane {
  readonly id: string;
  readonly heard: number;
  readonly acknowledged: number;
  readonly kept: readonly string[];
  readonly isWhole: boolean;
}

/**
 * What one side of a control connection has said and heard, counted from its beginning. The next
 * connection of the same session key goes on from there: what the broken one has swallowed is said
 * again, once, and nobody had to leave the run. Greetings and what is repeated anyway are not counted.
 */
export class ControlLane {
  /** Both sides count the same, which begins with the welcome that named it. */
  readonly id: string;
  #kept: string[] = [];
  #keptChars = 0;
  #acknowledged = 0;
  #isWhole = true;
  /** Messages of the other side. */
  heard = 0;

  constructor(id: string) {
    this.id = id;
  }

  static from({ id, heard, acknowledged, kept, isWhole }: KeptLane): ControlLane {
    const lane = new ControlLane(id);
    lane.heard = heard;
    lane.#acknowledged = acknowledged;
    lane.#kept = [...kept];
    lane.#keptChars = kept.reduce((sum, text) => sum + text.length, 0);
    lane.#isWhole = isWhole;
    return lane;
  }

  toKept(): KeptLane {
    const { id, heard } = this;
    return { id, heard, acknowledged: this.#acknowledged, kept: [...this.#kept], isWhole: this.#isWhole };
  }

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

  /** False: the other side cannot have heard so many, or too much was to be kept. */
  mayAcknowledge(count: number): boolean {
    const fresh = count - this.#acknowledged;
    return this.#isWhole && fresh >= 0 && fresh <= this.#kept.length;
  }

  /** The other side has heard the first `count` of all. False: see `mayAcknowledge`. */
  acknowledge(count: number): boolean {
    if (!this.mayAcknowledge(count)) return false;
    for (const text of this.#kept.splice(0, count - this.#acknowledged)) this.#keptChars -= text.length;
    this.#acknowledged = count;
    return true;
  }

  get acknowledged(): number {
    return this.#acknowledged;
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
