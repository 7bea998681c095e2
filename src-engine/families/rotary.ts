import type { Rope } from "../../src-protocol/decoder.ts";
import { cos, log, power, sin } from "../portable-math.ts";
import type { Tensor, TensorGraph } from "../tensor.ts";

/** cos and sin [sequence, size/2] of the angles at each position, stretched as `rope` says. */
export function rotaryTables(graph: TensorGraph, sequence: number, rope: Rope): [Tensor, Tensor] {
  const frequencies = rotaryFrequencies(rope, sequence);
  const half = frequencies.length;
  const { scaling } = rope;
  const scale = scaling?.kind === "yarn" || scaling?.kind === "longrope" ? scaling.attention : 1;
  const table = (of: (angle: number) => number): Tensor =>
    graph.constant(
      graph.float,
      [sequence, half],
      Array.from(
        { length: sequence * half },
        (_, k) => of(Math.floor(k / half) * (frequencies[k % half] ?? 0)) * scale,
      ),
    );
  return [table(cos), table(sin)];
}

/** Radians a token, for each pair of elements that are turned: `base^(-2i/size)`, stretched. */
export function rotaryFrequencies({ size, base, scaling }: Rope, sequence: number): number[] {
  const plain = powers(base, size);
  switch (scaling?.kind) {
    case undefined:
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "dynamic": {
      // A longer text is turned more slowly, by a larger base.
      const { factor, original } = scaling;
      const longer = (factor * Math.max(sequence, original)) / original - (factor - 1);
      return powers(base * power(longer, size / (size - 2)), size);
    }
    case "llama3": {
      // Llama 3.1: long waves are stretched, short ones are not, and between them it goes over.
      const { factor, lowFrequency, highFrequency, original } = scaling;
      return plain.map((frequency) => {
        const turns = (original * frequency) / (2 * Math.PI);
        if (turns < lowFrequency) return frequency / factor;
        if (turns > highFrequency) return frequency;
        const share = (turns - lowFrequency) / (highFrequency - lowFrequency);
        return ((1 - share) * frequency) / factor + share * frequency;
      });
    }
    case "longrope": {
      const factors = sequence > scaling.original ? scaling.long : scaling.short;
      return plain.map((frequency, i) => frequency / (factors[i] ?? 1));
    }
    case "yarn": {
      // arXiv:2309.00071, section 3.2.
      const { factor, betaFast, betaSlow, original, truncate } = scaling;
      const pairOf = (turns: number): number =>
        (size * log(original / (turns * 2 * Math.PI))) / (2 * log(base));
      const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)];
      const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
      const high = Math.min(truncate ? Math.ceil(slow) : slow, size - 1);
      const width = high === low ? 0.001 : high - low;
      return plain.map((frequency, i) => {
        const stretched = Math.min(Math.max((i - low) / width, 0), 1);
        return (frequency / factor) * stretched + frequency * (1 - stretched);
      });
    }
  }
}

function powers(base: number, size: number): number[] {
  return Array.from({ length: size / 2 }, (_, i) => power(base, (-2 * i) / size));
}
