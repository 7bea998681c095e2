import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { dealtInto } from "../../src-protocol/run-size.ts";
import { keptDealing } from "./kept-dealing.ts";

let path: string;
const places = () => ({ path, network: join(path, "network") });
const USUAL = { runId: "run-1", batch: 4, microBatches: 8 };
const into = (microBatches: number) => dealtInto(microBatches, USUAL);
const none = { said: null, chosen: null };

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "tah-micro-batches-"));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

it("a run that begins is dealt as was chosen, and goes on so when something else would be", () => {
  expect(keptDealing(places(), USUAL, { ...none, chosen: into(4) })).toEqual(into(4));
  mkdirSync(places().network);
  expect(keptDealing(places(), USUAL, { ...none, chosen: into(32) })).toEqual(into(4));
  expect(keptDealing(places(), USUAL, none)).toEqual(into(4));
  const another = { ...USUAL, runId: "run-2" };
  expect(keptDealing(places(), another, { ...none, chosen: into(32) })).toEqual(into(32));
  expect(keptDealing(places(), { ...USUAL, runId: "run-3" }, none)).toEqual(into(8));
});

it("one of an earlier version goes on as all were dealt then", () => {
  mkdirSync(places().network);
  expect(keptDealing(places(), USUAL, { ...none, chosen: into(4) })).toEqual(into(8));
  expect(
    keptDealing(places(), { ...USUAL, runId: "run-2" }, { ...none, chosen: into(4) }),
    "a new one",
  ).toEqual(into(4));
});

it("the owner's word is stronger, and is kept", () => {
  expect(keptDealing(places(), USUAL, { said: into(16), chosen: into(4) })).toEqual(into(16));
  expect(keptDealing(places(), USUAL, { said: null, chosen: into(4) })).toEqual(into(16));
  expect(keptDealing(places(), USUAL, { said: into(2), chosen: into(4) })).toEqual(into(2));
});

it("micro-batches that are larger than usual are kept, too; others are noted as earlier versions read them", () => {
  const file = () => JSON.parse(readFileSync(join(path, "micro-batches.json"), "utf8")) as unknown;
  const large = { batch: 64, microBatches: 128 };
  expect(keptDealing(places(), USUAL, { ...none, chosen: large })).toEqual(large);
  expect(keptDealing(places(), USUAL, none)).toEqual(large);
  const another = { ...USUAL, runId: "run-2" };
  expect(keptDealing(places(), another, { ...none, chosen: into(4_096) })).toEqual({
    batch: 4,
    microBatches: 4_096,
  });
  expect(file()).toEqual({ "run-1": large, "run-2": 4_096 });
});

it("a network of an earlier version goes on as that noted", () => {
  writeFileSync(join(path, "micro-batches.json"), JSON.stringify({ "run-1": 256 }));
  expect(keptDealing(places(), USUAL, { ...none, chosen: { batch: 64, microBatches: 128 } })).toEqual(
    into(256),
  );
});
