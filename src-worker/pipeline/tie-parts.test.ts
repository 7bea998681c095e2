import { expect, it } from "vitest";
import { TieParts } from "./tie-parts.ts";

const MILLION = 2 ** 20;
const info = (size: number) => ({ name: "embedding", shape: [size], size, decay: true });
const stage = { input: [1], output: [1], ties: [info(5 * MILLION), info(3)] };

it("gradients of tied parameters arrive as they were sent, in parts that fit into a frame", () => {
  const values = Float32Array.from({ length: 5 * MILLION + 3 }, (_, i) => i % 1000);
  const parts = new TieParts(stage).split(values);
  expect(parts.map(({ length }) => length)).toEqual([4 * MILLION, MILLION + 3]);
  const receiver = new TieParts(stage);
  const found = parts.map((part, i) => receiver.arrived("next", i, part));
  expect(found[0]).toBeNull();
  expect(found[1]).toEqual(values);
});

it("a part that is not due is refused", () => {
  const receiver = new TieParts(stage);
  expect(receiver.arrived("next", 1, new Float32Array(1))).toMatchObject({ code: "out-of-order" });
});
