import type { StageMessage } from "../../src-protocol/peer.ts";
import type { MessageHandler } from "./link.ts";

/** Queued bytes above which the link stops reading. One message may be larger than this. */
export const INBOX_HIGH_WATER_BYTES = 4 * 1024 * 1024;
/** What an empty payload counts for: the message's own memory, roughly. */
const MESSAGE_BYTES = 1024;

type Item =
  | { readonly type: "message"; readonly message: StageMessage; readonly payload: Uint8Array<ArrayBuffer> }
  | { readonly type: "goodbye"; readonly reason: string };

export interface LinkInboxEvents {
  /** Too much is queued (true), or no longer (false). */
  full(full: boolean): void;
  /** The peer's goodbye, after all that it sent before has been handled. */
  goodbye(reason: string): void;
  /** The handler threw. */
  failed(error: unknown): void;
}

/** What has arrived and waits for the handler: one at a time, in order. */
export class LinkInbox {
  readonly #events: LinkInboxEvents;
  #handler: MessageHandler | null = null;
  #items: Item[] = [];
  #queuedBytes = 0;
  #full = false;
  #state: "idle" | "handling" | "stopped" = "idle";

  constructor(events: LinkInboxEvents) {
    this.#events = events;
  }

  get full(): boolean {
    return this.#full;
  }

  /** The peer has said goodbye: only the handler is behind. */
  get endsWithGoodbye(): boolean {
    return this.#items.at(-1)?.type === "goodbye";
  }

  handleWith(handler: MessageHandler): void {
    this.#handler = handler;
    this.#drain();
  }

  add(item: Item): void {
    // Whoever goes on after a goodbye would fill memory that no high-water mark counts.
    if (this.#state === "stopped" || this.endsWithGoodbye) return;
    this.#items.push(item);
    if (item.type === "message") this.#queuedBytes += item.payload.byteLength + MESSAGE_BYTES;
    this.#drain();
    this.#weigh();
  }

  stop(): void {
    this.#state = "stopped";
    this.#items = [];
  }

  #drain(): void {
    while (this.#state === "idle") {
      const item = this.#items[0];
      if (item === undefined || (item.type === "message" && this.#handler === null)) return;
      this.#items.shift();
      if (item.type === "goodbye") return this.#events.goodbye(item.reason);
      this.#handle(item.message, item.payload);
    }
  }

  #handle(message: StageMessage, payload: Uint8Array<ArrayBuffer>): void {
    this.#state = "handling";
    const done = (): void => {
      this.#queuedBytes -= payload.byteLength + MESSAGE_BYTES;
      if (this.#state === "handling") this.#state = "idle";
    };
    try {
      const pending = this.#handler?.(message, payload);
      if (pending === undefined) return done();
      pending.then(
        () => {
          done();
          this.#drain();
          this.#weigh();
        },
        (error: unknown) => this.#events.failed(error),
      );
    } catch (error) {
      this.#events.failed(error);
    }
  }

  #weigh(): void {
    const full = this.#queuedBytes > INBOX_HIGH_WATER_BYTES && this.#items.length > 0;
    if (full === this.#full || this.#state === "stopped") return;
    this.#full = full;
    this.#events.full(full);
  }
}
