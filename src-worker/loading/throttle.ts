/** What the owner allows this node to send and to receive; a transfer asks it before and after each piece. */
export interface Throttle {
  /** Resolves when `bytes` may be sent. Rejects when `signal` aborts. */
  toSend(bytes: number, signal?: AbortSignal): Promise<void>;
  /** `bytes` have come; resolves when more may be read. Rejects when `signal` aborts. */
  received(bytes: number, signal?: AbortSignal): Promise<void>;
}

/** No limit. */
export const freely: Throttle = { toSend: async () => undefined, received: async () => undefined };
