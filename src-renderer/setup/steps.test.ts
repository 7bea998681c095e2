import { expect, test } from "vitest";
import { ALWAYS } from "../../src-protocol/policy.ts";
import { previewOf } from "../schedule/next-runs.ts";
import {
  largestSlice,
  rulesProblem,
  stepAfter,
  stepBefore,
  STEPS,
  SUGGESTED,
  tokensPerSecond,
} from "./steps.ts";

test("the steps lead from the first to the last and back", () => {
  expect(STEPS.map(stepAfter)).toEqual([...STEPS.slice(1), "summary"]);
  expect(STEPS.map(stepBefore)).toEqual(["welcome", ...STEPS.slice(0, -1)]);
});

test("what is suggested is at night, on power, and on this computer alone", () => {
  expect(previewOf({ ...SUGGESTED.rules, timeZone: "UTC" }, Date.parse("2026-11-28T12:00Z"))).toEqual([
    expect.stringContaining("tonight 23:00–07:00"),
    "Only while the computer is on power.",
  ]);
  expect(SUGGESTED.where).toEqual({ kind: "alone" });
});

test("half of 16 GB holds a slice of half a billion parameters", () => {
  expect(largestSlice(16e9)).toBe(500e6);
});

test("60 GFLOP/s are a hundred tokens a second of a model of a hundred million parameters", () => {
  expect(tokensPerSecond(60, 100e6)).toBe(100);
});

test("rules that never run are asked about", () => {
  expect(rulesProblem({ ...ALWAYS, schedule: "windows" })?.code).toBe("no-hours");
  expect(rulesProblem(ALWAYS)).toBeNull();
});
