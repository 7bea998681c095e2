import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { WorkerProcess } from "../processes.test-support.ts";
import type { ComputeOptions } from "./compute-call.ts";
import { Compute } from "./compute.ts";

/** A thread that never answers, as a driver that hangs leaves it: nothing says so but the time that it takes. */

describe("a compute thread that hangs", () => {
  let now = 0;
  let compute: Compute;

  afterEach(async () => {
    vi.useRealTimers();
    await compute.close();
  });

  /** It answers `answers` calls first. What looks after it is called by the test, once a second of `now`. */
  function begin(answers: number): void {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const options: ComputeOptions & { answers: number } = {
      threads: 1,
      executionProvider: "cpu",
      niceness: null,
      answers,
    };
    now = 0;
    compute = new Compute(options, () => now, new URL("./hung-thread.fixture.ts", import.meta.url));
  }

  function pass(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      now += 1000;
      vi.advanceTimersByTime(1000);
    }
  }

  const gradients = () => compute.call("gradients", { clear: false });

  it("is given up after a minute without an answer to what took less than a second: what waits fails, and so does all after it", async () => {
    begin(2);
    await gradients();
    await gradients();
    const failures: unknown[] = [];
    const waiting = [gradients(), compute.call("reset", {})].map((each) =>
      each.catch((error: unknown) => failures.push(error)),
    );
    pass(60);
    await new Promise(setImmediate);
    expect([failures, compute.busy]).toEqual([[], true]);
    pass(2);
    await Promise.all(waiting);
    const lost = {
      code: "compute-lost",
      message: expect.stringMatching(/not answered for 61 s \(gradients/),
    };
    expect(failures).toEqual([expect.objectContaining(lost), expect.objectContaining(lost)]);
    await expect(gradients()).rejects.toMatchObject(lost);
    expect(compute.busy).toBe(false);
  });

  it("does not count as one while it has nothing to do, nor while its computer is stopped", async () => {
    begin(2);
    await gradients();
    pass(10_000);
    await gradients();
    const failures: unknown[] = [];
    gradients().catch((error: unknown) => failures.push(error));
    pass(30);
    now += 8 * 3_600_000;
    pass(20);
    await new Promise(setImmediate);
    expect([failures, compute.busy]).toEqual([[], true]);
  });
});

describe("a worker whose compute thread hangs", () => {
  const folder = mkdtempSync(join(tmpdir(), "tah-hung-"));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("says why and ends, though the thread hears of no end", async () => {
    const preloaded = new URL("./hung-worker.fixture.ts", import.meta.url).href;
    const worker = new WorkerProcess({
      url: "http://127.0.0.1:9",
      folder,
      environment: { NODE_OPTIONS: `--import=${preloaded}` },
    });
    expect(await worker.exited).toEqual({ code: null, signal: "SIGKILL" });
    const failed = worker.said.filter(({ type }) => type === "failed");
    expect(failed).toMatchObject([
      { code: "compute-lost", message: expect.stringMatching(/has not answered .* has to be started again/) },
    ]);
  });
});
