import { isMainThread, parentPort } from "node:worker_threads";

/**
 * Loaded into a worker before anything of it, and into its compute thread: the thread hangs at its first call, and for
 * who looks at it an hour is over in a second.
 */
if (isMainThread) {
  const now = performance.now.bind(performance);
  performance.now = () => now() * 3600;
  const setRealInterval = globalThis.setInterval;
  const setFastInterval = (action: () => void, ms?: number): NodeJS.Timeout =>
    setRealInterval(action, ms === 1000 ? 1 : ms);
  globalThis.setInterval = setFastInterval as typeof setInterval;
} else
  parentPort?.on("message", () => {
    for (;;);
  });
