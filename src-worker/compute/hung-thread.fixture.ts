import { parentPort, workerData } from "node:worker_threads";

/** A compute thread whose driver hangs: it answers so many calls, each after 400 ms by its own word, and then no more. */
let left = (workerData as { answers: number }).answers;

parentPort?.on("message", ({ id }: { id: number }) => {
  // As within a native call: not even an exit is heard.
  if (left === 0) for (;;);
  left -= 1;
  parentPort?.postMessage({ id, answer: {}, ms: 400 });
});
