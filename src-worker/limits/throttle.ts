import type { LineLimits, LineUse } from "../../src-protocol/line-limits.ts";
import type { LinkClock } from "../links/index.ts";
import { systemClock } from "../links/index.ts";
import { Bandwidth } from "./bandwidth.ts";

/**
 * What the owner allows this worker to send and to receive, over all its links and transfers
 * together. One for a process; its limits change while everything goes on.
 */
export class Throttle {
  readonly up: Bandwidth;
  readonly down: Bandwidth;

  constructor(clock: LinkClock = systemClock) {
    this.up = new Bandwidth(clock);
    this.down = new Bandwidth(clock);
  }

  limit({ uploadMbit, downloadMbit }: LineLimits): void {
    this.up.limit(uploadMbit);
    this.down.limit(downloadMbit);
  }

  /** Resolves when `bytes` may be sent. Rejects when `signal` aborts. */
  async toSend(bytes: number, signal?: AbortSignal): Promise<void> {
    if (this.up.isFree) this.up.spend(bytes);
    else await turnOf(this.up, bytes, signal);
  }

  /** `bytes` have come; resolves when more may be read. Rejects when `signal` aborts. */
  async received(bytes: number, signal?: AbortSignal): Promise<void> {
    this.down.spend(bytes);
    if (!this.down.isFree) await turnOf(this.down, 0, signal);
  }

  /** For the daemon: what was used, and whether more would have been. */
  takeUse(): LineUse {
    return {
      sentBytes: this.up.bytes,
      receivedBytes: this.down.bytes,
      uploadHeld: this.up.takeHeld(),
      downloadHeld: this.down.takeHeld(),
    };
  }
}

function turnOf(bandwidth: Bandwidth, bytes: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    const cancel = bandwidth.whenFree(() => {
      signal?.removeEventListener("abort", abort);
      bandwidth.spend(bytes);
      resolve();
    });
    const abort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}
