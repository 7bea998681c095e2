import { describe, expect, it } from "vitest";
import { evaluate, fixture, golden, relativeError } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";
import { GOLDEN_CASES, optionsOf } from "./golden-cases.test-support.ts";
import { matchGradients } from "./golden-match.test-support.ts";

/** Of both exporters and several libraries; by name where names were kept (import-model.test.ts). */
describe("a file of an exporter", () => {
  it.each(GOLDEN_CASES.map((each) => [each.name, each] as const))(
    "%s: what trains is what trained in its framework, by the same gradients",
    async (name, each) => {
      const numbers = golden(name);
      const model = importModel(fixture(name), optionsOf(each));
      const count = (rows: Iterable<{ length: number }>): number =>
        [...rows].reduce((sum, { length }) => sum + length, 0);
      expect(model.parameters.reduce((sum, { size }) => sum + size, 0)).toBe(
        count(numbers.gradients.values()),
      );

      const { output, gradients } = await evaluate(model, numbers);
      expect(relativeError(output, numbers.output.data)).toBeLessThanOrEqual(5e-6);
      const { errors, left } = matchGradients(gradients, numbers.gradients);
      for (const [parameter, error] of errors) expect.soft(error, parameter).toBeLessThanOrEqual(5e-6);
      expect(count(left)).toBe(0);
    },
  );

  it("knows frozen layers and adapters by the names that they had in their framework", () => {
    const options = { freeze: ["*.base.*", "embed.*"] };
    const { parameters, stored } = importModel(fixture("lora"), options);
    const rows = new Map(stored.map(({ from = [], name, trains }) => [from.join() || name, trains]));
    expect(Object.fromEntries(rows)).toEqual({
      "embed.weight": false,
      "first.base.weight": false,
      "first.base.bias": false,
      "first.lora_a": true,
      "first.lora_b": true,
      "second.base.weight": false,
      "second.base.bias": false,
      "second.lora_a": true,
      "second.lora_b": true,
      "head.weight": true,
      "head.bias": true,
    });
    expect(parameters).toHaveLength(6);
    expect(() => importModel(fixture("lora"), { train: ["*.lora_c"] })).toThrow(/first\.lora_a, permute/);
  });

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
