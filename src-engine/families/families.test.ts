import { describe, expect, it } from "vitest";
import { compile } from "../run.test-support.ts";
import type { Stage } from "../stage.ts";
import { cutModel } from "../stages.ts";
import { openModel } from "../trainable-model.ts";
import { decoderParameters } from "./decoder-parameters.ts";
import {
  FAMILY_FOLDERS,
  familyFiles,
  familyGolden,
  familySpec,
  goldenGradients,
} from "./folder.test-support.ts";
import { readParameter } from "./stored-parameter.ts";

/** |a - b| / |b|, in the Euclidean norm; of a gradient that is 0 but for rounding, against the whole. */
function error(found: ArrayLike<number>, expected: Float32Array, whole: number): number {
  const distance = Math.hypot(...expected.map((value, i) => value - (found[i] ?? Number.NaN)));
  return distance / Math.max(Math.hypot(...expected), 1e-2 * whole);
}

describe("a folder of Transformers", () => {
  it.each(FAMILY_FOLDERS)("%s: loss and gradients are those of Transformers", async (name) => {
    const [spec, golden, files] = [familySpec(name), familyGolden(name), familyFiles(name)];
    const model = openModel(spec, golden, null);
    const [stage] = cutModel(model, 1) as [Stage];
    const run = await compile(stage.train());
    const ids = (data: readonly number[]) => ({ type: "int32" as const, shape: [data.length], data });
    const values = stage.parameters.map(
      (info) =>
        [
          info.name,
          { type: "float32" as const, shape: info.shape, data: model.initial(info, 0, undefined, files) },
        ] as const,
    );
    const found = await run({
      tokens: ids(golden.tokens),
      targets: ids(golden.targets),
      ...Object.fromEntries(values),
    });

    expect(found["loss"]?.[0]).toBeCloseTo(golden.loss, 5);
    // PyTorch's gradients are laid out as its parameters are.
    const expected = decoderParameters(spec).map((info) => {
      const values = new Float32Array(info.size);
      readParameter(goldenGradients(name), info, values);
      return { name: info.name, values };
    });
    const whole = Math.hypot(...expected.map(({ values }) => Math.hypot(...values)));
    for (const { name, values } of expected)
      expect.soft(error(found[`d_${name}`] ?? [], values, whole), name).toBeLessThanOrEqual(5e-6);
  });
});
