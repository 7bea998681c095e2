import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Failure } from "../src-protocol/failure.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import { replicaBytes, sumValues } from "./replica-memory.ts";
import { stagesOf } from "./stages.ts";
import { LINES, USUAL_COMPUTER, chooseMicroBatches, estimateStep } from "./step-estimate.ts";
import type { Line, StepShape } from "./step-estimate.ts";

const STAGES = 3;
const FAST = { arithmetic: "fast", batch: 4, microBatches: 8 } as const;
const EXACT = { ...FAST, arithmetic: "exact" } as const;
const INT8 = { ...FAST, codecs: { forward: "int8b64", backward: "int8b64" } } as const;
const cut = (batch: number) => stagesOf({ model: DEFAULT_MODEL, batch, sequence: 128, stages: STAGES }, null);
const chosen = (run: StepShape["run"], line: Line, ...replicas: readonly number[]) =>
  chooseMicroBatches({ run, line, computer: USUAL_COMPUTER }, replicas, cut);

describe("the default model's micro-batches", () => {
  it("are small over home lines, so that the line of a middle slice is full soon", () => {
    const { batch, microBatches, estimates } = chosen(FAST, LINES.home, 1);
    expect([batch, microBatches]).toEqual([2, 16]);
    // The narrowest line has to carry 131,072 bytes of a sequence each way, whatever they are dealt into.
    const lineMs = (32 * 2 * 131_072) / (LINES.home.bytesPerSecond / 1000);
    expect(estimates[0]?.ms).toBeGreaterThan(lineMs);
    expect(estimates[0]?.ms).toBeLessThan(1.15 * lineMs);
  });

  it("are not so small that a line which others use, too, makes them wait for one another", () => {
    const { busy: _, ...alone } = LINES.home;
    expect(chosen(FAST, alone, 1).microBatches).toBe(32);
    const late = { ...alone, ...LINES.home.busy };
    expect(chosen(FAST, late, 1).microBatches).toBe(16);
  });

  it("are as usual where values travel in int8: their way is short of work, and each pays for its latency", () => {
    expect(chosen(INT8, LINES.home, 1)).toMatchObject({ batch: 4, microBatches: 8 });
  });

  it("are few in the class exact with replicas, which give the gradient of each", () => {
    expect(chosen(EXACT, LINES.home, 2).microBatches).toBe(2);
    expect(chosen(EXACT, LINES.home, 1).microBatches).toBe(16);
    const both = chosen(EXACT, LINES.home, 1, 2);
    expect(both.microBatches, "for one as for two, neither is bad").toBe(4);
    expect(both.estimates).toHaveLength(2);
  });

  it("are as usual on the cores of one computer", () => {
    const computer = { bytesPerSecond: 5e8, latencyMs: 0.2, isNear: true, cores: 2 };
    expect(chosen(FAST, computer, 1)).toMatchObject({ batch: 4, microBatches: 8 });
  });
});

it("a step's tokens stay the same, and of choices that are as good the one with fewer micro-batches is taken", () => {
  for (const sequences of [1, 30])
    for (const line of [{ ...LINES.home, busy: LINES.home }, LINES.lan]) {
      const run = { ...FAST, batch: sequences, microBatches: 1 };
      const { batch, microBatches, estimates } = chosen(run, line, 1);
      expect(batch * microBatches).toBe(sequences);
      const fewer = Array.from({ length: microBatches - 1 }, (_, i) => i + 1)
        .filter((count) => sequences % count === 0)
        .map((count) => {
          const its = { ...FAST, batch: sequences / count, microBatches: count };
          const stages = cut(its.batch);
          return estimateStep({ run: its, stages, line, computer: USUAL_COMPUTER, replicas: 1 }).ms;
        });
      expect(Math.min(...fewer)).toBeGreaterThan(estimates[0]?.ms ?? Infinity);
    }
});

it("the smallest computer's memory bounds what a micro-batch has, and what fits nowhere is said", () => {
  const computer = { ...USUAL_COMPUTER, memoryBytes: 56e6 };
  const shape = { run: FAST, line: LINES.home, computer };
  const { batch, estimates } = chooseMicroBatches(shape, [2], cut);
  expect(batch).toBeLessThan(16);
  expect(estimates[0]?.memoryBytes).toBeLessThan(56e6);
  const least = { ...shape, computer: { ...computer, memoryBytes: 1e6 } };
  expect(() => chooseMicroBatches(least, [2], cut)).toThrow(/Not even one sequence fits into 0.0 GB/);
});

it("what replicas send of their gradients hangs on the class, on how many they are, and on what each has counted", () => {
  const line = { ...LINES.home, latencyMs: 0 };
  const gradientMs = ((cut(4)[0]?.parameterCount ?? 0) * 4) / (line.bytesPerSecond / 1000);
  const gradients = (run: StepShape["run"], replicas: number) =>
    estimateStep({ run, stages: cut(4), line, computer: USUAL_COMPUTER, replicas }).sumMs / gradientMs;
  expect(gradients(FAST, 1)).toBe(0);
  expect(gradients(FAST, 4), "its sum, to the three others").toBeCloseTo(3);
  expect(gradients(FAST, 8), "each shard of it to two who add it up, and one total").toBeCloseTo(3);
  expect(gradients(EXACT, 4), "each of its two, to the three others").toBeCloseTo(6);
  const many = { ...EXACT, microBatches: 80 };
  expect(gradients(many, 8), "each of its ten to two who add them up, and one total").toBeCloseTo(21, 1);
});

it("what replicas keep beside activations is in a computer's memory, as the network and its worker count it", () => {
  const stages = cut(4);
  const estimated = (run: StepShape["run"], replicas: number) =>
    estimateStep({ run, stages, line: LINES.home, computer: USUAL_COMPUTER, replicas }).memoryBytes;
  const values = Math.max(...stages.map(sumValues));
  const boundaryBytes = Math.max(...stages.map((stage) => stage.boundaryBytes.in + stage.boundaryBytes.out));
  for (const run of [FAST, EXACT, { ...EXACT, microBatches: 80 }]) {
    const alone = estimated(run, 1);
    for (const replicas of [2, 8])
      expect(estimated(run, replicas) - alone).toBe(
        replicaBytes({ run, values, tiedValues: 0, boundaryBytes, replicas }),
      );
  }
});

it("a batch that cannot be cut is no choice, and where none can be, it is said why", () => {
  const failing = (from: number) => (batch: number) => {
    if (batch >= from) throw new Failure("boundary-too-large", "Stage 1 would send too much.");
    return cut(batch);
  };
  const shape = { run: EXACT, line: LINES.home, computer: USUAL_COMPUTER };
  expect(chooseMicroBatches(shape, [2], failing(8)).batch).toBeLessThan(8);
  expect(() => chooseMicroBatches(shape, [2], failing(0))).toThrow(/would send too much/);
});

it("an estimate is what the pipeline's own rules come to, done event by event", () => {
  const stage = cut(1)[1];
  if (stage === undefined) throw new RangeError("no middle stage");
  const pipes = fc.record({
    flops: fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 6 }),
    borderKb: fc.integer({ min: 1, max: 2_000 }),
    microBatches: fc.integer({ min: 1, max: 40 }),
    latencyMs: fc.integer({ min: 0, max: 80 }),
    replicas: fc.integer({ min: 1, max: 3 }),
  });
  const ratios = fc
    .sample(pipes, { numRuns: 300, seed: 1 })
    .map(({ flops, borderKb, microBatches, latencyMs, replicas }) => {
      const line: Line = { ...LINES.home, latencyMs };
      const stages = flops.map((mflop, at) => ({
        ...stage,
        parameterCount: 0,
        flops: { forward: mflop * 1e7, backward: 2 * mflop * 1e7 },
        boundaryBytes: {
          in: at === 0 ? 0 : borderKb * 1000,
          out: at === flops.length - 1 ? 0 : borderKb * 1000,
        },
      }));
      const run = { ...FAST, batch: 1, microBatches };
      const { ms, sumMs } = estimateStep({ run, stages, line, computer: USUAL_COMPUTER, replicas });
      const passes = flops.map((mflop) => mflop / 10 + 2 / 3);
      const done = simulated({
        forwardMs: passes,
        backwardMs: passes.map((each) => 2 * each),
        borderMs: borderKb / 2.5,
        latencyMs,
        microBatches,
        replicas,
      });
      return (ms - sumMs) / done;
    });
  expect(Math.min(...ratios)).toBeGreaterThan(0.6);
  expect(Math.max(...ratios)).toBeLessThan(1.6);
  const close = ratios.filter((ratio) => ratio > 0.85 && ratio < 1.25);
  expect(close.length).toBeGreaterThan(0.97 * ratios.length);
});

interface Pipe {
  readonly forwardMs: readonly number[];
  readonly backwardMs: readonly number[];
  readonly borderMs: number;
  readonly latencyMs: number;
  readonly microBatches: number;
  readonly replicas: number;
}

interface Event {
  readonly at: number;
  readonly do: () => void;
}

/** Stages that work on one thing at a time, gradients first, and send one thing at a time. */
function simulated({ forwardMs, backwardMs, borderMs, latencyMs, microBatches, replicas }: Pipe): number {
  const stages = forwardMs.length;
  const events: Event[] = [];
  let now = 0;
  const after = (ms: number, what: () => void): void => void events.push({ at: now + ms, do: what });
  const nodes = forwardMs.map(() =>
    Array.from({ length: replicas }, () => ({
      forwards: [] as number[],
      backwards: [] as number[],
      isBusy: false,
      lineFreeAt: 0,
    })),
  );
  let left = microBatches;
  let next = 0;
  let underWay = 0;
  const most = replicas === 1 ? stages + 1 : microBatches;
  const nodeOf = (stage: number, microBatch: number) => nodes[stage]?.[microBatch % replicas];
  const send = (from: number, microBatch: number, arrived: () => void): void => {
    const node = nodeOf(from, microBatch);
    if (node === undefined) return;
    node.lineFreeAt = Math.max(now, node.lineFreeAt) + borderMs;
    after(node.lineFreeAt - now + latencyMs, arrived);
  };
  const come = (stage: number, microBatch: number, kind: "forwards" | "backwards"): void => {
    nodeOf(stage, microBatch)?.[kind].push(microBatch);
    work(stage, microBatch % replicas);
  };
  const work = (stage: number, replica: number): void => {
    const node = nodes[stage]?.[replica];
    if (node === undefined || node.isBusy) return;
    const back = node.backwards.shift();
    const microBatch = back ?? node.forwards.shift();
    if (microBatch === undefined) return;
    node.isBusy = true;
    const isTail = stage === stages - 1;
    const isBack = back !== undefined;
    const ms = (isBack || isTail ? (backwardMs[stage] ?? 0) : 0) + (isBack ? 0 : (forwardMs[stage] ?? 0));
    after(ms, () => {
      node.isBusy = false;
      if (!isBack && !isTail) send(stage, microBatch, () => come(stage + 1, microBatch, "forwards"));
      else if (stage > 0) send(stage, microBatch, () => come(stage - 1, microBatch, "backwards"));
      else {
        left -= 1;
        underWay -= 1;
        lease();
      }
      work(stage, replica);
    });
  };
  const lease = (): void => {
    while (underWay < most && next < microBatches) {
      underWay += 1;
      come(0, next++, "forwards");
    }
  };
  lease();
  for (;;) {
    events.sort((a, b) => a.at - b.at);
    const event = events.shift();
    if (event === undefined) return left === 0 ? now : Number.NaN;
    now = event.at;
    event.do();
  }
}
