import { randomStream } from "../src-engine/random.ts";
import { CODECS } from "../src-engine/codecs/codecs.ts";
import type { CodecName } from "../src-protocol/link-codecs.ts";
import type { Codec } from "../src-engine/codecs/codec.ts";
import type { Progress } from "./bench.ts";
import { interleave, cpuClock } from "./interleave.ts";
import { median } from "./median.ts";

/** A micro-batch of 1024 tokens at width 1024: 4 MiB of float32. */
const COUNT = 1024 * 1024;
/** A task is repeated within a round to take about as long as the others. */
const SLICE_MS = 5;

export interface CodecSpeed {
  codec: CodecName;
  bitsPerValue: number;
  /** Of the float32 side, in 10⁹ bytes. */
  encodeGigabytesPerSecond: number;
  encodeStochasticGigabytesPerSecond: number;
  decodeGigabytesPerSecond: number;
  /** Medians of the rounds' own shares of the copy's speed. */
  encodeOfCopy: number;
  encodeStochasticOfCopy: number;
  decodeOfCopy: number;
}

export interface CodecsResult {
  valuesPerTensor: number;
  copyGigabytesPerSecond: number;
  rounds: number;
  codecs: CodecSpeed[];
}

/** CPU time of one thread: each codec both ways against copying the same float32 values, in turn. */
export async function benchCodecs(progress: Progress): Promise<CodecsResult> {
  const random = randomStream("bench", "codecs");
  const values = Float32Array.from({ length: COUNT }, () => random() + random() + random() - 1.5);
  const into = new Float32Array(COUNT);
  const tasks = new Map<string, () => void>([["copy", () => into.set(values)]]);
  for (const [name, codec] of Object.entries<Codec>(CODECS)) {
    const bytes = new Uint8Array(codec.encodedBytes(COUNT));
    tasks.set(`${name} encode`, () => codec.encode(values, bytes));
    tasks.set(`${name} stochastic`, () => codec.encode(values, bytes, random));
    tasks.set(`${name} decode`, () => codec.decode(bytes, into));
  }
  const repeats = new Map([...tasks].map(([name, task]) => [name, repeatsOf(task)]));
  const repeated = [...tasks].map(([name, task]) => {
    const times = repeats.get(name) ?? 1;
    return [
      name,
      () => {
        for (let i = 0; i < times; i++) task();
      },
    ] as const;
  });
  const times = await interleave(Object.fromEntries(repeated), {
    warmUp: 3,
    rounds: 60,
    seconds: 60,
    clock: cpuClock,
  });
  const speeds = (task: string): number[] =>
    (times[task] ?? []).map((ms) => ((repeats.get(task) ?? 1) * COUNT * 4) / ms / 1e6);
  const copy = speeds("copy");
  const speed = (task: string): number => rounded(median(speeds(task)));
  const ofCopy = (task: string): number => rounded(median(speeds(task).map((s, i) => s / (copy[i] ?? s))));
  const codecs = Object.values(CODECS).map((codec) => ({
    codec: codec.name as CodecName,
    bitsPerValue: (codec.encodedBytes(COUNT) * 8) / COUNT,
    encodeGigabytesPerSecond: speed(`${codec.name} encode`),
    encodeStochasticGigabytesPerSecond: speed(`${codec.name} stochastic`),
    decodeGigabytesPerSecond: speed(`${codec.name} decode`),
    encodeOfCopy: ofCopy(`${codec.name} encode`),
    encodeStochasticOfCopy: ofCopy(`${codec.name} stochastic`),
    decodeOfCopy: ofCopy(`${codec.name} decode`),
  }));
  progress(`${copy.length} rounds of ${tasks.size} tasks`);
  return {
    valuesPerTensor: COUNT,
    copyGigabytesPerSecond: rounded(median(copy)),
    rounds: copy.length,
    codecs,
  };
}

function repeatsOf(task: () => void): number {
  for (let times = 1; ; times *= 2) {
    const start = cpuClock();
    for (let i = 0; i < times; i++) task();
    if (cpuClock() - start > SLICE_MS) return times;
  }
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
