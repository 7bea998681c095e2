import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Tensor } from "onnxruntime-node";
import { randomStream } from "../src-engine/random.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import { ARITHMETICS } from "../src-protocol/arithmetic.ts";
import { sessionOptions } from "../src-worker/compute/session-options.ts";
import { loadRuntime } from "../src-worker/compute/sessions.ts";
import { StageCompute } from "../src-worker/compute/stage-compute.ts";
import { stageBytes, stageMemory } from "../src-worker/stage/stage-memory.ts";
import { type BitsCase, bitsCases, type BitsFeed, type BitsResult } from "./bits-case.ts";

/** Runs the cases of a folder on this computer, or on the one that is emulated around this program. */
const { values } = parseArgs({
  options: {
    folder: { type: "string", default: "." },
    threads: { type: "string", default: "1" },
    level: { type: "string" },
    steps: { type: "string", default: "0" },
    match: { type: "string", default: "" },
  },
});
const threads = Number(values.threads);
const runtime = await loadRuntime();
const { cases } = bitsCases.parse(JSON.parse(readFileSync(join(values.folder, "cases.json"), "utf8")));
for (const each of cases.filter(({ name }) => name.startsWith(values.match))) tell(await run(each));
if (Number(values.steps) > 0) for (const each of ARITHMETICS) tell(await train(each, Number(values.steps)));

function tell(result: BitsResult): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function run({ name, arithmetic, level, file, outputs, feeds }: BitsCase): Promise<BitsResult> {
  const asked = values.level as Parameters<typeof sessionOptions>[2];
  const options = sessionOptions(arithmetic, threads, asked ?? level);
  try {
    const session = await runtime.InferenceSession.create(join(values.folder, file), {
      ...options,
      logSeverityLevel: 4,
    });
    const results = await session.run(Object.fromEntries(feeds.map((each) => [each.name, tensorOf(each)])));
    await session.release();
    return { name, arithmetic, digests: outputs.map((output) => digest(results[output]?.data)) };
  } catch (error) {
    return { name, arithmetic, digests: [], refused: String(error) };
  }
}

function tensorOf({ name, type, shape, values: given, drawn = 1 }: BitsFeed): Tensor {
  const random = randomStream("bits", name);
  const size = shape.reduce((a, b) => a * b, 1);
  const numbers = given ?? Array.from({ length: size }, () => (random() - 0.5) * drawn);
  switch (type) {
    case "int64":
      return new runtime.Tensor(type, BigInt64Array.from(numbers.map(BigInt)), shape);
    case "int32":
      return new runtime.Tensor(type, Int32Array.from(numbers), shape);
    case "bool":
      return new runtime.Tensor(type, Uint8Array.from(numbers), shape);
    case "float32":
      return new runtime.Tensor(type, Float32Array.from(numbers), shape);
  }
}

function digest(data: unknown): string {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");
}

/** A whole small model: every parameter after so many steps, and each step's loss. */
async function train(arithmetic: BitsCase["arithmetic"], steps: number): Promise<BitsResult> {
  const compute = new StageCompute(runtime, { threads, executionProvider: "cpu", niceness: null });
  const model = { ...DEFAULT_MODEL, width: 64, heads: 2, blocks: 2, hidden: 192 };
  const shape = { batch: 2, sequence: 32 };
  const spec = { model, ...shape, stages: 1, stage: 0, arithmetic };
  const info = await compute.open({ spec, file: null });
  const buffer = new SharedArrayBuffer(stageBytes(info));
  await compute.load({ memory: buffer, seed: 1, recompute: "full" });
  const random = randomStream("bits", "tokens");
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const text = Int32Array.from({ length: 65 }, (_, i) => (i * i + step + Math.floor(random() * 3)) % 256);
    const data = { tokens: text.slice(0, 64), targets: text.slice(1) };
    losses.push((await compute.tail({ x: null, data })).loss);
    await compute.optimise({ optimizer: DEFAULT_OPTIMIZER, step, microBatches: 1 });
  }
  const { parameters } = stageMemory(info, buffer);
  return {
    name: `train ${steps} steps`,
    arithmetic,
    digests: [...parameters.map(digest), digest(Float32Array.from(losses))],
  };
}
