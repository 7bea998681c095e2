import { spawn } from "node:child_process";
import { expect, test } from "vitest";
import { stateOf, withDescendants } from "./inner-process.ts";
import { halt, resume, speedsIn } from "./pipeline-contestant.ts";

/** Two windows of 4 s, with 6 s of standing still between them. */
const WINDOWS = [
  { from: 1_000, to: 5_000 },
  { from: 11_000, to: 15_000 },
];

test("a step that two windows share counts in both", () => {
  // Steps of 3 s at work: ended at 1, 4 and 7 s of it.
  expect(speedsIn(WINDOWS, [2_000, 5_000, 14_000], 300)).toEqual([100, 100]);
});

test("a step that is heard of when the training stands still was the last window's", () => {
  expect(speedsIn(WINDOWS, [2_000, 5_020, 13_000, 15_000], 300)).toEqual([100, 150]);
});

test("what was finished before the first window and behind the last does not count", () => {
  expect(speedsIn(WINDOWS, [500, 3_000, 4_000, 16_000], 100)).toEqual([100, null]);
});

test("one step tells no speed", () => {
  expect(() => speedsIn(WINDOWS, [3_000], 100)).toThrow(/too slow or too busy/);
});

test.runIf(process.platform === "linux")(
  "a training stands still with all that it has started, and goes on",
  async () => {
    // As a worker in a box: the process that is listed only waits.
    const listed = spawn("sh", ["-c", "sleep 60 & wait"], { stdio: "ignore" });
    const pid = listed.pid ?? 0;
    const contestant = { pids: [pid], steps: () => 0, finished: async () => [], end: async () => undefined };
    await expect.poll(() => withDescendants(pid)).toHaveLength(2);
    const all = withDescendants(pid);
    try {
      await halt(contestant);
      expect(all.map(stateOf)).toEqual(["T", "T"]);
      resume(contestant);
      await expect.poll(() => all.map(stateOf)).toEqual(["S", "S"]);
    } finally {
      for (const each of all) process.kill(each, "SIGKILL");
    }
  },
);
