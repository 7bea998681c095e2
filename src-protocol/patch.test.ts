import fc from "fast-check";
import { expect, test } from "vitest";
import type { Json } from "./patch.ts";
import { applyPatch, diff, patchOperation } from "./patch.ts";

test("a client that applies every patch holds the daemon's own state", () => {
  const tree = fc.dictionary(fc.string(), fc.jsonValue()) as fc.Arbitrary<Record<string, Json>>;
  fc.assert(
    fc.property(tree, tree, (before, after) => {
      const operations = diff(before, after).map((operation) =>
        patchOperation.parse(JSON.parse(JSON.stringify(operation))),
      );
      // What travels is JSON: −0 arrives as 0.
      expect(applyPatch(before, operations)).toEqual(JSON.parse(JSON.stringify(after)));
    }),
    { seed: 7, numRuns: 500 },
  );
});

test("only what changed travels", () => {
  const before = { run: { step: 1, loss: 5, stages: [1, 2] }, node: { phase: "training" } };
  const after = { ...before, run: { ...before.run, step: 2 } };
  expect(diff(before, after)).toEqual([{ path: ["run", "step"], value: 2 }]);
});

test("what did not change is shared with the old tree, so that a view can tell", () => {
  const before = { run: { step: 1 }, node: { phase: "training" } };
  const after = applyPatch(before, [{ path: ["run", "step"], value: 2 }]) as typeof before;
  expect(after.node).toBe(before.node);
  expect(after.run).not.toBe(before.run);
});

test("a path cannot reach an object's prototype", () => {
  const patched = applyPatch({}, [{ path: ["__proto__", "polluted"], value: true }]);
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  expect(Object.getPrototypeOf(patched)).toBe(Object.prototype);
});
