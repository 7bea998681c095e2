import { join } from "node:path";
import { expect, test } from "vitest";
import { unportableArithmetic, unportableIn } from "./portable-rules.ts";

test("this checkout computes what reaches tensors alike on every processor", () => {
  expect(unportableArithmetic(join(import.meta.dirname, ".."))).toEqual([]);
});

test("functions and powers are found with their line, comments and powers of two are not", () => {
  const source = [
    "/** η · cos(Math.PI) ** 2 */",
    "const limit = 2 ** 31; // as Math.pow(2, 31)",
    "const rate = Math.cos(x) + y ** 2;",
    "const table = values.map(Math.exp);",
    "const root = Math.sqrt(12 ** 2);",
  ].join("\n");
  const after = ", whose last digit differs between processors: take src-engine/portable-math.ts";
  expect(unportableIn("a.ts", source)).toEqual([
    `a.ts:3 uses Math.cos${after}`,
    `a.ts:3 uses **${after}`,
    `a.ts:4 uses Math.exp${after}`,
    `a.ts:5 uses **${after}`,
  ]);
});
