import { expect, it } from "vitest";
import { StateSample, stateSample } from "./state-sample.ts";

function stateOf(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (i * 7919) % 251);
}

function inPieces(state: Uint8Array, size: number): string {
  const sample = new StateSample(state.length);
  for (let at = 0; at < state.length; at += size) sample.update(state.subarray(at, at + size));
  return sample.digest();
}

it.each([0, 12, 16_384, 16_388, 3_000_012])(
  "a state of %i bytes has one sample, in whatever pieces it comes",
  (bytes) => {
    const state = stateOf(bytes);
    const shared = new SharedArrayBuffer(bytes);
    new Uint8Array(shared).set(state);
    const whole = inPieces(state, bytes + 1);
    expect([inPieces(state, 1_000), inPieces(state, 65), stateSample(shared)]).toEqual([whole, whole, whole]);
  },
);

it.each([12, 16_384, 3_000_012])("of %i bytes, the first and the last one are in it", (bytes) => {
  const state = stateOf(bytes);
  const samples = [0, bytes - 1].map((at) => {
    const other = state.slice();
    other[at] = 255;
    return inPieces(other, 1_000);
  });
  expect(new Set([inPieces(state, 1_000), ...samples]).size).toBe(3);
});

it("two states put together, wherever they meet, have a sample of neither", () => {
  const [before, after] = [stateOf(300_012), stateOf(300_012).map((value) => value ^ 1)];
  const own = [before, after].map((state) => inPieces(state, 1_000));
  for (let meet = 4_096; meet < before.length; meet += 4_096) {
    const torn = before.slice();
    torn.set(after.subarray(0, meet));
    expect(own).not.toContain(inPieces(torn, 1_000));
  }
});
