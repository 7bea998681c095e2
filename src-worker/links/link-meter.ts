import type { LinkStats } from "./link.ts";

interface Sample {
  readonly at: number;
  readonly sent: number;
  readonly received: number;
}

const SPAN_MS = 5_000;
const SAMPLES = 32;

/** Mbit/s of a link over the last few seconds, from looks at its counters. */
export class LinkMeter {
  #samples: Sample[] = [];

  look({ bytesSent, bytesReceived }: LinkStats, now: number): void {
    this.#samples.push({ at: now, sent: bytesSent, received: bytesReceived });
    while (this.#samples.length > SAMPLES || (this.#samples[1]?.at ?? now) < now - SPAN_MS)
      this.#samples.shift();
  }

  get rates(): { readonly mbitUp: number; readonly mbitDown: number } {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at <= first.at) return { mbitUp: 0, mbitDown: 0 };
    const mbit = (bytes: number): number => Math.max(0, (bytes * 8) / 1_000 / (last.at - first.at));
    return { mbitUp: mbit(last.sent - first.sent), mbitDown: mbit(last.received - first.received) };
  }
}
