import { describe, expect, it } from "vitest";
import { evaluate, fixture, golden, relativeError } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";

/**
 * Files as exporters write them by default: parameters are folded, merged, tied and stored twice, and
 * lie among tables, buffers and masks. PyTorch's numbers say which of them train.
 */
const CASES: readonly [name: string, dropped: number][] = [
  ["hf-llama", 0],
  ["hf-qwen3", 0],
  ["hf-gemma3", 0],
  // Biases that are 0 are left out of its products: 2 × (48 + 16 + 64 + 16).
  ["hf-gpt2", 288],
  ["waves", 0],
  ["alibi", 0],
  // The bias of the loop, which is 0.
  ["loop", 8],
  ["loop-old", 0],
  ["tied-folded", 0],
  ["tied-old", 0],
  // The biases of the attention's output, which are 0.
  ["encoder", 32],
  ["constants", 0],
];

describe("a file of an exporter", () => {
  it.each(CASES)(
    "%s: what trains is what trained in PyTorch, by the same gradients",
    async (name, dropped) => {
      const numbers = golden(name);
      const model = importModel(fixture(name));
      const expected = [...numbers.gradients.values()];
      const count = (rows: readonly { length: number }[]): number =>
        rows.reduce((sum, { length }) => sum + length, 0);
      expect(model.parameters.reduce((sum, { size }) => sum + size, 0)).toBe(count(expected) - dropped);

      const { output, gradients } = await evaluate(model, numbers);
      expect(relativeError(output, numbers.output.data)).toBeLessThanOrEqual(5e-6);
      // Exporters rename, transpose and reshape: a gradient is known by its numbers in order of size.
      const left = expected.map((each) => each.toSorted());
      const whole = Math.hypot(...expected.map((each) => Math.hypot(...each)));
      for (const [parameter, gradient] of Object.entries(gradients)) {
        const sorted = gradient.toSorted();
        const errors = left.map((each) =>
          each.length === sorted.length ? distance(sorted, each) : Infinity,
        );
        const best = errors.indexOf(Math.min(...errors));
        // One that is 0 but for rounding, as of a key's bias, is measured against the whole.
        const norm = Math.max(Math.hypot(...(left[best] ?? [])), 1e-2 * whole);
        expect.soft((errors[best] ?? Infinity) / norm, parameter).toBeLessThanOrEqual(5e-6);
        left.splice(best, 1);
      }
      expect(count(left)).toBe(dropped);
    },
  );

  it("says which tensors train, and why", () => {
    const rows = new Map(importModel(fixture("waves")).stored.map((row) => [row.name, row]));
    expect(rows.get("pe")).toMatchObject({ trains: false, why: "buffer", sure: true });
    expect(rows.get("cat")).toMatchObject({ trains: false, why: "folded-constant", sure: true });
    expect(rows.get("mask_token")).toMatchObject({ trains: true, why: "parameter", sure: true });
    const old = new Map(importModel(fixture("tied-old")).stored.map((row) => [row.name, row]));
    expect([...old.values()].filter(({ copy }) => copy !== null)).toMatchObject([
      { trains: true, sure: false, copy: { form: "transposed" } },
    ]);
  });
});

function distance(one: Float32Array, other: Float32Array): number {
  return Math.hypot(...one.map((value, i) => value - (other[i] ?? 0)));
}
