import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { CODECS } from "../src-engine/codecs/codecs.ts";
import { stagesOf } from "../src-engine/stages.ts";
import { defaultCorpus } from "../src-daemon/runs/corpus.ts";
import { planRun } from "../src-daemon/runs/run-plan.ts";
import { kernelsFor } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import { readCodecs } from "../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../src-protocol/link-codecs.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { memoryCorpus } from "../src-worker/corpus/corpus-reader.ts";
import { OfflineRun } from "../src-worker/replay/offline-run.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { GateSums } from "./gate-sums.ts";

/** As an operator says them (`--codec`): activations, gradients, sums of replicas. */
const CANDIDATES = [
  "f16",
  "int8b64",
  "int8b64/f16",
  "int4h/int8b64",
  "int4h",
  "f32/f32/f16",
  "f32/f32/int8b64",
  "int8b64/int8b64/int8b64",
];
/** Of each stage, where sums are rounded: the fewer there are, the more of the sum is one replica's rounding. */
const REPLICAS = 2;
/**
 * f32 again, computed with other kernels: the last bits of every number are others. Two trainings part by as
 * much when nothing is wrong with either, and no codec can be told from f32 by less.
 */
const CONTROL = "f32 in class exact";
const STEPS = 400;
const SEEDS = 2;
/** The training loss is the mean of the last tenth: one step's is of 4,096 tokens only. */
const LAST = 0.1;
const HELD_OUT_MICRO_BATCHES = 64;
/** Of the loss with f32 at equal tokens, on the mean of the seeds; and of each seed alone. */
export const MOST_WORSE = 0.005;
const MOST_WORSE_OF_ONE = 0.01;

/** Of one training. */
export interface Losses {
  readonly training: number;
  readonly heldOut: number;
}

export interface Candidate {
  readonly codec: string;
  /** Sent over all borders in both directions, payloads alone. */
  readonly bytesPerStep: number;
  readonly ofF32: number;
  /** Sent between the replicas of all stages; 0 where each stage has one holder. */
  readonly sumBytesPerStep: number;
  readonly training: number;
  readonly heldOut: number;
  /** Loss ÷ loss with f32 − 1, mean of the seeds; and the worst of them. */
  readonly trainingWorse: number;
  readonly heldOutWorse: number;
  readonly worst: number;
  readonly passed: boolean;
}

export interface CodecGateResult {
  model: string;
  steps: number;
  tokensPerStep: number;
  seeds: number;
  mostWorse: number;
  cores: number;
  candidates: Candidate[];
}

/**
 * Which codecs may be a default: the default model in three stages on the default text, trained with the
 * product's own stages and codecs, everything else the same: seeds, tokens, order. What would travel is
 * encoded and decoded; no socket is needed for that. Sums are those of two replicas of each stage.
 */
export async function benchCodecGate(
  progress: Progress,
  { only, runs: seeds = SEEDS, steps = STEPS }: BenchOptions,
): Promise<CodecGateResult> {
  const cache = mkdtempSync(join(tmpdir(), "tah-bench-"));
  try {
    const corpus = await defaultCorpus(cache);
    const bytes = readFileSync(corpus.file);
    const specOf = (codec: string, seed: number): RunSpec => {
      const codecs = codecsOf(codec);
      const spec = planRun({ corpus, size: "default", steps, workers: 3, arithmetic: "fast", codecs });
      const arithmetic = codec === CONTROL ? "exact" : "fast";
      return { ...spec, seed, arithmetic, kernels: kernelsFor(arithmetic, spec.model) };
    };
    const names = ["f32", CONTROL, ...CANDIDATES].filter(
      (name) => name === "f32" || only.length === 0 || only.includes(name),
    );
    const losses = new Map<string, Losses[]>();
    const sumBytes = new Map<string, number>();
    for (let seed = 1; seed <= seeds; seed++)
      for (const name of names) {
        const { sumBytesPerStep, ...its } = await trained(specOf(name, seed), bytes, steps);
        sumBytes.set(name, sumBytesPerStep);
        losses.set(name, [...(losses.get(name) ?? []), its]);
        progress(
          `seed ${seed}, ${name}: training ${its.training.toFixed(4)}, held out ${its.heldOut.toFixed(4)}`,
        );
      }
    const base = losses.get("f32") ?? [];
    const spec = specOf("f32", 1);
    const candidateOf = (codec: string): Candidate => ({
      codec,
      ...traffic(spec, codecsOf(codec)),
      sumBytesPerStep: sumBytes.get(codec) ?? 0,
      ...verdict(base, losses.get(codec) ?? []),
    });
    return {
      model: "default, 3 stages",
      steps,
      tokensPerStep: spec.batch * spec.sequence * spec.microBatches,
      seeds,
      mostWorse: MOST_WORSE,
      cores: availableParallelism(),
      candidates: names.map(candidateOf),
    };
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

/** Whether losses may stand for those with f32: of the same seeds, one after another. */
export function verdict(
  base: readonly Losses[],
  coded: readonly Losses[],
): Omit<Candidate, "codec" | "bytesPerStep" | "ofF32" | "sumBytesPerStep"> {
  if (base.length === 0 || base.length !== coded.length)
    throw new Failure("bench-failed", "There is no training of the same seeds to compare with.");
  const worse = (of: keyof Losses): number[] =>
    coded.map((its, seed) => its[of] / (base[seed]?.[of] ?? Number.NaN) - 1);
  const [training, heldOut] = [worse("training"), worse("heldOut")];
  const worst = Math.max(...training, ...heldOut);
  const [trainingWorse, heldOutWorse] = [mean(training), mean(heldOut)];
  return {
    training: rounded(mean(coded.map((its) => its.training))),
    heldOut: rounded(mean(coded.map((its) => its.heldOut))),
    trainingWorse: rounded(trainingWorse),
    heldOutWorse: rounded(heldOutWorse),
    worst: rounded(worst),
    // A loss that is no number passes no comparison.
    passed: trainingWorse <= MOST_WORSE && heldOutWorse <= MOST_WORSE && worst <= MOST_WORSE_OF_ONE,
  };
}

function codecsOf(name: string): LinkCodecs {
  return readCodecs(name === CONTROL ? "f32" : name);
}

async function trained(
  spec: RunSpec,
  corpus: Uint8Array,
  steps: number,
): Promise<Losses & Pick<Candidate, "sumBytesPerStep">> {
  const codec = spec.codecs?.sums;
  const sums = codec === undefined ? null : new GateSums(codec, REPLICAS, spec.microBatches);
  const run = await OfflineRun.open({
    spec,
    corpus: memoryCorpus(corpus),
    file: null,
    threads: 1,
    from: null,
    ...(sums !== null && { replicas: sums.replicas }),
  });
  try {
    const last: number[] = [];
    for (let step = 0; step < steps; step++) {
      const { loss } = await run.next();
      if (step >= steps * (1 - LAST)) last.push(loss);
    }
    return {
      training: mean(last),
      heldOut: await run.heldOut(HELD_OUT_MICRO_BATCHES),
      sumBytesPerStep: (sums?.bytes ?? 0) / steps,
    };
  } finally {
    await run.close();
  }
}

function traffic(spec: RunSpec, codecs: LinkCodecs): Pick<Candidate, "bytesPerStep" | "ofF32"> {
  const own = bytesPerStep(spec, codecs);
  return {
    bytesPerStep: own,
    ofF32: Number((own / bytesPerStep(spec, { forward: "f32", backward: "f32" })).toFixed(3)),
  };
}

/** What all stages send, of activations and gradients. */
function bytesPerStep(spec: RunSpec, { forward, backward }: LinkCodecs): number {
  const values = stagesOf(spec, null)
    .slice(0, -1)
    .map(({ boundaryBytes }) => boundaryBytes.out / Float32Array.BYTES_PER_ELEMENT);
  return values.reduce(
    (sum, count) =>
      sum + spec.microBatches * (CODECS[forward].encodedBytes(count) + CODECS[backward].encodedBytes(count)),
    0,
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function rounded(value: number): number {
  return Number(value.toFixed(5));
}
