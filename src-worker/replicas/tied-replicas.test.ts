import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, expect, it } from "vitest";
import { sumValues, tiedValues } from "../../src-engine/replica-memory.ts";
import { stagesOf } from "../../src-engine/stages.ts";
import { kernelsFor } from "../../src-protocol/arithmetic.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { parametersSha256 } from "../../src-protocol/parameters-digest.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { tiedCount } from "../compute/parameter-home.ts";
import { loadRuntime } from "../compute/sessions.ts";
import { StageCompute } from "../compute/stage-compute.ts";
import { memoryCorpus } from "../corpus/corpus-reader.ts";
import { OfflineRun } from "../replay/offline-run.ts";
import { trainSingle } from "../replay/single.ts";
import { parametersIn } from "../stage/stage-memory.ts";
import { TINY_CORPUS, tinyRun } from "../tiny-run.test-support.ts";
import { Fleet } from "./replica-fleet.test-support.ts";
import type { FleetNode } from "./replica-fleet.test-support.ts";

/** A Llama whose embedding is also its output matrix: the first stage and the last hold it. */
const FILE = new Uint8Array(
  readFileSync(join(import.meta.dirname, "..", "..", "src-engine", "fixtures", "llama-tied.onnx")),
);
const corpus = TINY_CORPUS.map((byte) => byte % 24);
const STEPS = 12;

function tiedRun(changes: Partial<RunSpec> = {}): RunSpec {
  return tinyRun({
    model: {
      kind: "onnx",
      file: { sha256: sha256(FILE), bytes: FILE.length },
      vocabulary: 24,
      tokens: "input",
      scores: "output",
      sizes: { batch: 2, sequence: 6 },
      fixed: {},
    },
    sequence: 6,
    steps: STEPS,
    evaluateEverySteps: 100,
    corpus: { name: "tiny", sha256: sha256(corpus), bytes: corpus.length, tokenBytes: 1 },
    ...changes,
  });
}

/** What is done to replicas is done in the second step. */
const EXACT_STEPS = 2;
const EXACT = tiedRun({
  arithmetic: "exact",
  kernels: kernelsFor("exact", tiedRun().model),
  steps: EXACT_STEPS,
});
let ofOne: string;

beforeAll(async () => {
  const alone = await OfflineRun.open({
    spec: EXACT,
    corpus: memoryCorpus(corpus),
    file: FILE,
    threads: 1,
    from: null,
  });
  for (let step = 0; step < EXACT_STEPS; step++) await alone.next();
  ofOne = parametersSha256(alone.weights());
  await alone.close();
});

let fleet: Fleet;
afterEach(() => fleet.close());

const at = (stage: number, which = 0): FleetNode =>
  fleet.nodes.filter((node) => node.stage === stage)[which] as FleetNode;

/** What was done to replicas, as the orchestrator named it. */
const fencedFor = (): string[] =>
  fleet.effects.flatMap((effect) => (effect.type === "fenced" ? effect.code : []));

function tiedMatrix({ info, memory }: FleetNode): Float32Array {
  const name = info?.ties[0]?.name;
  const found = info && parametersIn(info, memory).find(([each]) => each === name);
  if (!found) throw new Error("it holds no tied parameter");
  return found[1].slice();
}

function expectBitsOfOne(): void {
  expect(parametersSha256(fleet.weights())).toBe(ofOne);
  for (const stage of [0, 1, 2]) expect(fleet.states(stage).size, `stage ${stage}`).toBe(1);
}

it.each([
  ["whoever gives what the other end waits for", [0]],
  ["the last stage", [2]],
  ["both ends", [0, 2]],
] as const)(
  "all replicas of %s are killed as the step is taken, and come back into it",
  async (_, stages) => {
    fleet = await Fleet.open(EXACT, corpus, [2, 2, 2], FILE);
    fleet.mayStandBy = true;
    const back = fleet.killWhenTaken(stages, 1).then(async (lost) => {
      await fleet.still();
      for (const node of lost) await fleet.resume(node);
    });
    await fleet.train(EXACT_STEPS);
    await back;
    expectBitsOfOne();
    expect(fleet.run.redone).toEqual({ byLostStages: 0, byOthers: 0 });
  },
);

it("three stages of two replicas train a tied model as one process does, with a kill and a newcomer", async () => {
  const spec = tiedRun();
  const alone = await trainSingle({ spec, corpus, file: FILE, steps: STEPS, threads: 1 });
  fleet = await Fleet.open(spec, corpus, [2, 2, 2], FILE);
  const tails = [at(2), at(2, 1)];
  let victim: (typeof tails)[number] | null = null;
  fleet.watchers.push((node, report) => {
    if (victim !== null || node.stage !== 2 || report.type !== "counted" || report.step !== 3) return;
    victim = node;
    queueMicrotask(() => fleet.kill(node));
  });
  fleet.onStep = (step) => {
    if (step === 5) void fleet.join(2);
  };
  await fleet.train(STEPS);
  for (const { step, loss } of alone)
    expect(Math.abs((fleet.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(1e-5);
  expect(alone.at(-1)?.loss).toBeLessThan((alone[0]?.loss ?? 0) - 0.1);
  for (const stage of [0, 1, 2]) expect(fleet.states(stage).size, `stage ${stage}`).toBe(1);
  expect(tiedMatrix(at(0)), "the matrix is the same at both ends").toEqual(
    tiedMatrix(tails.find((tail) => tail !== victim) ?? at(2)),
  );
  expect(fencedFor()).toEqual(["closed"]);
});

it.each([
  ["a head that has its sum", 0, "summed"],
  ["a middle one that is asked for the tail's", 1, "tieAsk"],
  ["a tail that is asked for its own", 2, "tieAsk"],
] as const)(
  "in the class exact they have the bits of one process, though %s dies",
  async (_, stage, when) => {
    fleet = await Fleet.open(EXACT, corpus, [2, 2, 2], FILE);
    const victim = at(stage);
    let isDone = false;
    const die = (): void => {
      if (isDone || fleet.run.step !== 1) return;
      isDone = true;
      queueMicrotask(() => fleet.kill(victim));
    };
    if (when === "summed")
      fleet.watchers.push((node, report) => {
        if (node === victim && report.type === when) die();
      });
    else
      for (const node of fleet.nodes)
        node.sends = (message, payload, to) => {
          if (to === victim.key && message.type === when) die();
          return [[message, payload]];
        };
    await fleet.train(EXACT_STEPS);
    expect(isDone, "it died").toBe(true);
    expectBitsOfOne();
  },
);

it("one that gives other gradients than its stage agreed on is named, and another one gives them", async () => {
  fleet = await Fleet.open(EXACT, corpus, [2, 2, 2], FILE);
  const liar = at(1);
  let lies = 0;
  liar.sends = (message, payload) => {
    if (message.type !== "tiePart" || fleet.run.step !== 1) return [[message, payload]];
    lies += 1;
    return [[message, payload.map((byte, i) => (i === 8 ? byte ^ 1 : byte))]];
  };
  await fleet.train(EXACT_STEPS);
  expect(lies).toBeGreaterThan(0);
  expect(fencedFor()).toContain("wrong-tie");
  expectBitsOfOne();
});

it("of three, one that tells another digest of what it gives finds that out, and the step is the others'", async () => {
  fleet = await Fleet.open(EXACT, corpus, [1, 1, 3], FILE);
  const liar = at(2);
  liar.says = (report) =>
    report.type === "summed" && report.step === 1 ? [{ ...report, tied: "ab".repeat(32) }] : [report];
  await fleet.train(EXACT_STEPS);
  expect(fleet.losses.size, "no step was lost").toBe(EXACT_STEPS);
  expectBitsOfOne();
});

it("one that says nothing of what others need has no part in the step", async () => {
  fleet = await Fleet.open(tiedRun({ steps: 2 }), corpus, [1, 1, 2], FILE);
  at(2).says = (report) => {
    if (report.type !== "summed" || report.step !== 1) return [report];
    const { tied: _, ...rest } = report;
    return [rest];
  };
  await fleet.train(2);
  expect(fencedFor()).toEqual(["wrong-sums"]);
});

it("a worker counts what replicas keep by the same values as the planner and the network", async () => {
  const run = tiedRun();
  const stages = stagesOf(run, FILE);
  const compute = new StageCompute(await loadRuntime(), {
    threads: 1,
    executionProvider: "cpu",
    niceness: null,
  });
  expect(tiedValues(stages)).toBeGreaterThan(0);
  for (const [index, stage] of stages.entries()) {
    const info = await compute.open({ spec: { ...run, stage: index }, file: FILE.slice() });
    expect(sumValues(info)).toBe(sumValues(stage));
    expect(stages.reduce((sum, _, at) => sum + tiedCount(info, at), 0)).toBe(tiedValues(stages));
  }
});
