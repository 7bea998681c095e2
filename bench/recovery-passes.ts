import { Worker } from "node:worker_threads";
import { sharedNow } from "./shared-clock.ts";

/**
 * Loaded into a worker before everything else: it says of each pass of a micro-batch through its stage that its
 * compute thread is given it, whoever counts it later, or nobody.
 */
export interface PassTold {
  readonly type: "passTold";
  readonly stage: number;
  readonly call: string;
  /** Null: the tail, which goes both ways at once, is not told which one it is. */
  readonly microBatch: number | null;
  /** See `sharedNow`. */
  readonly at: number;
}

interface Call {
  readonly call: string;
  readonly request: {
    readonly spec?: { readonly stage: number };
    readonly keep?: boolean;
    readonly microBatch?: number;
  };
}

const stages = new WeakMap<Worker, number>();
const post = Worker.prototype.postMessage as (this: Worker, ...all: unknown[]) => void;
Worker.prototype.postMessage = function (this: Worker, ...all: unknown[]): void {
  const { call, request } = (all[0] ?? {}) as Partial<Call>;
  if (call === "open") stages.set(this, request?.spec?.stage ?? 0);
  const isPass = call === "tail" || call === "backward" || (call === "forward" && request?.keep === true);
  const stage = stages.get(this);
  if (isPass && stage !== undefined && process.connected) {
    const microBatch = request?.microBatch ?? null;
    process.send?.({ type: "passTold", stage, call, microBatch, at: sharedNow() } satisfies PassTold);
  }
  return post.apply(this, all);
};
