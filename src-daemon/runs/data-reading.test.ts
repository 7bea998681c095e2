import { expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import type { LoadingProgress } from "../../src-protocol/loading.ts";
import { DataReading } from "./data-reading.ts";

/** A reading whose work is answered by hand. */
function reading(isWorking = true) {
  const shown: (LoadingProgress | null)[] = [];
  const begun: { signal: AbortSignal; done: (result: string) => void; fail: (error: Error) => void }[] = [];
  const policy = { isWorking };
  let clock = 0;
  const data = new DataReading({
    isWorking: () => policy.isWorking,
    show: (progress) => shown.push(progress),
    now: () => clock,
  });
  const work = (signal: AbortSignal): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    begun.push({ signal, done: resolve, fail: reject });
    signal.addEventListener("abort", () => reject(new Failure("interrupted", "")));
    return promise;
  };
  return { data, shown, begun, policy, work, at: (ms: number) => (clock = ms) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

it("begins when the policy lets the computer work, ends with a pause, and goes on after it", async () => {
  const { data, begun, policy, work } = reading(false);
  const result = data.run(work);
  await turn();
  expect(begun).toHaveLength(0);
  policy.isWorking = true;
  data.decided();
  await turn();
  expect(begun).toHaveLength(1);
  policy.isWorking = false;
  data.decided();
  await turn();
  expect(begun[0]?.signal.aborted).toBe(true);
  expect(begun).toHaveLength(1);
  policy.isWorking = true;
  data.decided();
  await turn();
  begun[1]?.done("read");
  expect(await result).toBe("read");
});

it("ends for good when it is stopped, while it reads or while it waits", async () => {
  const running = reading();
  const result = running.data.run(running.work);
  await turn();
  running.data.stop();
  await expect(result).rejects.toMatchObject({ code: "interrupted" });
  const waiting = reading(false);
  const never = waiting.data.run(waiting.work);
  await turn();
  waiting.data.stop();
  await expect(never).rejects.toMatchObject({ code: "interrupted" });
  expect(waiting.begun).toHaveLength(0);
});

it("hands on what goes wrong", async () => {
  const { data, begun, work } = reading();
  const result = data.run(work);
  await turn();
  begun[0]?.fail(new Failure("data-not-text", "Nothing."));
  await expect(result).rejects.toMatchObject({ code: "data-not-text" });
});

it("shows how far it is and how long it takes, and then nothing", async () => {
  const { data, shown, begun, work, at } = reading();
  const result = data.run(work);
  await turn();
  const progress = { file: "a.txt", totalBytes: 1000, tokens: 0 };
  data.onProgress({ ...progress, stage: "looking", bytes: 0 });
  at(5_000);
  data.onProgress({ ...progress, stage: "reading", bytes: 100 });
  at(7_000);
  data.onProgress({ ...progress, stage: "reading", bytes: 300 });
  begun[0]?.done("");
  await result;
  expect(shown).toEqual([
    { what: "files", bytes: 0, ofBytes: 1000, bytesPerSecond: null, secondsLeft: null },
    { what: "data", bytes: 100, ofBytes: 1000, bytesPerSecond: null, secondsLeft: null },
    { what: "data", bytes: 300, ofBytes: 1000, bytesPerSecond: 100, secondsLeft: 7 },
    null,
  ]);
});
