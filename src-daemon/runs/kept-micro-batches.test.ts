import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { keptMicroBatches } from "./kept-micro-batches.ts";

let path: string;
const places = () => ({ path, network: join(path, "network") });
const USUAL = { runId: "run-1", microBatches: 8 };
const none = { said: null, chosen: null };

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "tah-micro-batches-"));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

it("a run that begins is dealt as was chosen, and goes on so when something else would be", () => {
  expect(keptMicroBatches(places(), USUAL, { ...none, chosen: 4 })).toBe(4);
  mkdirSync(places().network);
  expect(keptMicroBatches(places(), USUAL, { ...none, chosen: 32 })).toBe(4);
  expect(keptMicroBatches(places(), USUAL, none)).toBe(4);
  const another = { ...USUAL, runId: "run-2" };
  expect(keptMicroBatches(places(), another, { ...none, chosen: 32 })).toBe(32);
  expect(keptMicroBatches(places(), { ...USUAL, runId: "run-3" }, none)).toBe(8);
});

it("one of an earlier version goes on as all were dealt then", () => {
  mkdirSync(places().network);
  expect(keptMicroBatches(places(), USUAL, { ...none, chosen: 4 })).toBe(8);
  expect(keptMicroBatches(places(), { ...USUAL, runId: "run-2" }, { ...none, chosen: 4 }), "a new one").toBe(
    4,
  );
});

it("the owner's word is stronger, and is kept", () => {
  expect(keptMicroBatches(places(), USUAL, { said: 16, chosen: 4 })).toBe(16);
  expect(keptMicroBatches(places(), USUAL, { said: null, chosen: 4 })).toBe(16);
  expect(keptMicroBatches(places(), USUAL, { said: 2, chosen: 4 })).toBe(2);
});
