import { expect, it } from "vitest";
import { addInto } from "./gradient-sum.ts";

it.each([0, 1, 3, 4, 5, 11])("adds arrays of %i values", (length) => {
  const sum = Float32Array.from({ length }, (_, i) => i / 3);
  addInto(
    sum,
    Float32Array.from({ length }, (_, i) => i / 7),
  );
  const expected = Float32Array.from({ length }, (_, i) => Math.fround(i / 3) + Math.fround(i / 7));
  expect(sum).toEqual(expected);
});
