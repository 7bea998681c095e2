import { fork, spawnSync } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ComputeOptions } from "../compute/compute-call.ts";
import { COLLECT_EVERY_MS, collectHeap, collectRegularly } from "./collected-heap.ts";

/** Where a minute passes at once, and who collects says so. */
const AT_ONCE = ["--import", new URL("./collected-heap.fixture.ts", import.meta.url).href];

describe("a worker's heap, which V8 looks through only when it is four times as large", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is collected each minute", () => {
    vi.useFakeTimers();
    const collect = vi.fn<() => void>();
    collectRegularly(collect);
    vi.advanceTimersByTime(3 * COLLECT_EVERY_MS);
    expect(collect).toHaveBeenCalledTimes(3);
  });

  it("gives back what nothing reaches any more, and keeps the rest", async () => {
    const kept = { it: "is used" };
    const references = [new WeakRef(kept), new WeakRef({ it: "was used" })];
    // What a reference was made for lives until the end of the turn.
    await turn();
    collectHeap();
    expect(references.map((each) => each.deref())).toEqual([kept, undefined]);
  });

  it("keeps no more room for what is young than it had when all was loaded", () => {
    const script = `
      import { getHeapSpaceStatistics } from "node:v8";
      import { settleHeap } from ${JSON.stringify(new URL("./collected-heap.ts", import.meta.url).href)};
      settleHeap();
      let kept = [];
      for (let i = 0; i < 1_000_000; i++) {
        kept.push([i]);
        if (kept.length === 100_000) kept = [];
      }
      console.log(getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size);
    `;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", script]);
    expect(Number(stdout)).toBeGreaterThan(0);
    expect(Number(stdout), "V8 would take 64 MB").toBeLessThan(8e6);
  });

  it("is collected by the thread that speaks to others", async () => {
    const child = fork(fileURLToPath(new URL("../main.ts", import.meta.url)), [], {
      execArgv: AT_ONCE,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    try {
      expect(await firstWord(child)).toBe("collected");
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("is collected by the thread that computes", async () => {
    const workerData: ComputeOptions = { threads: 1, executionProvider: "cpu", niceness: null };
    const script = new URL("../compute/compute-thread.ts", import.meta.url);
    const thread = new Worker(script, { workerData, env: SHARE_ENV, execArgv: AT_ONCE });
    try {
      expect(await firstWord(thread)).toBe("collected");
    } finally {
      await thread.terminate();
    }
  });
});

/** What it says that is no message of its own; its end without that is an error. */
async function firstWord(program: NodeJS.EventEmitter): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  program.on("message", (message: unknown) => {
    if (typeof message === "string") resolve(message);
  });
  program.on("exit", (code) => reject(new Error(`It ended with ${String(code)} and had not collected.`)));
  return await promise;
}
