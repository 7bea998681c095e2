import { expect, test } from "vitest";
import { canonicalJson } from "./canonical.ts";

test("keys are sorted and there is no white space, so one value has one text", () => {
  expect(canonicalJson({ b: [1, "x", null], a: { d: true, c: -5 } })).toBe(
    '{"a":{"c":-5,"d":true},"b":[1,"x",null]}',
  );
  expect(canonicalJson({ a: 1, b: 2 })).toBe(canonicalJson({ b: 2, a: 1 }));
});

test("a number that two programs could print differently is refused", () => {
  for (const value of [0.1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
    expect(() => canonicalJson(value)).toThrow(/safe integers/);
});

test("text is escaped as JSON does", () => {
  expect(canonicalJson({ 'a"': "\n\u2028é" })).toBe('{"a\\"":"\\n\u2028é"}');
});
