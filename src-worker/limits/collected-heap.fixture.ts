import { PerformanceObserver, constants } from "node:perf_hooks";
import { parentPort } from "node:worker_threads";
import { COLLECT_EVERY_MS } from "./collected-heap.ts";

const COLLECTED = "collected";

/** Loaded before a program of ours: a minute passes at once, and whenever somebody has asked for a collection it says so. */
const usual = globalThis.setInterval;
globalThis.setInterval = Object.assign(
  (heard: () => void, ms?: number) => usual(heard, ms === COLLECT_EVERY_MS ? 1 : ms),
  usual,
);

new PerformanceObserver((list) => {
  for (const entry of list.getEntries() as (PerformanceEntry & { detail: { flags: number } })[]) {
    if ((entry.detail.flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) === 0) continue;
    if (parentPort === null) process.send?.(COLLECTED);
    else parentPort.postMessage(COLLECTED);
  }
}).observe({ entryTypes: ["gc"] });
