import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How long what is not reached any more may lie in a thread's heap. */
export const COLLECT_EVERY_MS = 60_000;

/**
 * This heap is small (25 MB) and its tensors lie outside of it, freed by hand; V8 counts both, and so marked the
 * whole heap once or twice a second for nothing: three workers' V8 helpers took 29 to 49 ms of a step, and take 12.
 * Said when all is loaded and not at the start: compiled code is kept for V8's flags, Node's own is for none, and
 * compiling that again takes each thread 35 ms.
 *
 * Its room for what is young stays as large as it is then: V8 doubles that now and then, up to 64 MB a thread, for
 * garbage alone.
 */
export function settleHeap(): void {
  setFlagsFromString("--heap-growing-percent=300");
  setFlagsFromString("--semi-space-growth-factor=1");
}

/**
 * Collects the heap of the thread that calls it, from now on. Each step leaves some 50 KB in it, and V8, which
 * marks less often, lets each thread's heap grow to four times what is in use before it looks: in twenty minutes a
 * worker took 33 to 68 MB more, and above what its owner allows it is ended. Collecting takes 11 ms, and 23 of
 * processor time.
 */
export function collectRegularly(collect: () => void = collectHeap): NodeJS.Timeout {
  return setInterval(collect, COLLECT_EVERY_MS).unref();
}

let collector: (() => void) | null = null;

/** Gives back what this thread's heap holds and nothing reaches. */
export function collectHeap(): void {
  collector ??= madeCollector();
  collector();
}

/** Made when it is first needed: by then all is loaded (see `settleHeap`). */
function madeCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  return () => {
    if (typeof collect === "function") collect();
  };
}
