import { describe, expect, it } from "vitest";
import { tinyRun } from "../tiny-run.test-support.ts";
import { DiskPeriod } from "./disk-period.ts";

const FOR_EVER = tinyRun({ steps: null, stages: 3, checkpointEverySteps: 512 });

interface Written {
  readonly states: readonly number[];
  readonly checkpoints: readonly number[];
}

/** After so many steps of so many milliseconds each: the steps of the last `last` whose states go to the disk. */
function writtenBy(
  bytes: number,
  workers: number,
  stepMs: number,
  { spec = FOR_EVER, last = 2048 } = {},
): Written {
  let now = 0;
  const period = new DiskPeriod(spec, bytes, workers, () => now);
  const states: number[] = [];
  const checkpoints: number[] = [];
  for (let step = 1; step <= 952 + last; step++) {
    now += stepMs;
    const { state, checkpoint } = period.isDue(step);
    if (state && step > 952) states.push(step);
    if (checkpoint && step > 952) checkpoints.push(step);
  }
  return { states, checkpoints };
}

describe("of its states", () => {
  it("a small one goes to the disk at every step: its pages are changed again before they are written", () => {
    expect(writtenBy(200_000, 3, 10).states).toHaveLength(2048);
  });

  it("a large one as seldom as the disk of all workers wants it, at steps that a power of two divides", () => {
    const mine = writtenBy(9_600_000, 3, 360).states;
    expect(mine).toEqual(mine.filter((step) => step % 256 === 0));
    expect((3 * 9_600_000 * mine.length) / (2048 * 0.36)).toBeLessThan(0.55e6);
    // Whoever shares its disk with more writes at some of the same steps.
    const others = writtenBy(9_600_000, 6, 360).states;
    expect(others.every((step) => mine.includes(step))).toBe(true);
    expect(others.length).toBeLessThan(mine.length);
  });

  it("no more than ten minutes lie between two, however large they are", () => {
    expect(writtenBy(40e9, 1, 5_000).states).toEqual(writtenBy(1e9, 1, 5_000).states);
    expect(writtenBy(40e9, 1, 60_000).states).toHaveLength(128);
  });
});

describe("of its checkpoints", () => {
  it.each([
    ["as many as it asks for where its steps take as long as usual", 260, 16],
    ["fewer where they are quicker", 70, 4],
    ["as many as it asks for where they are slow", 5_000, 16],
  ])("a run without an end stores %s", (_, stepMs, count) => {
    const { checkpoints, states } = writtenBy(11e6, 3, stepMs, { last: 8192 });
    expect(checkpoints).toHaveLength(count);
    expect(checkpoints.every((step) => states.includes(step))).toBe(true);
    expect((3 * 11e6 * count) / (8192 * stepMs * 1e-3)).toBeLessThan(0.26e6);
    const slower = writtenBy(11e6, 3, stepMs * 2, { last: 8192 });
    expect(checkpoints.every((step) => slower.checkpoints.includes(step))).toBe(true);
  });

  it("all of them where they are small, and where the run has an end", () => {
    expect(writtenBy(500_000, 3, 1).checkpoints).toHaveLength(4);
    const spec = tinyRun({ steps: 3_000, checkpointEverySteps: 20 });
    const { checkpoints } = writtenBy(11e6, 3, 1, { spec });
    expect(checkpoints).toHaveLength(103);
    expect(checkpoints.at(-1)).toBe(3_000);
  });

  it("at ten minutes' distance at most, or at the run's own", () => {
    expect(writtenBy(40e9, 3, 250, { last: 8192 }).checkpoints).toEqual([4096, 8192]);
  });
});
