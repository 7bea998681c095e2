import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { AS_THEY_ARE, readCodecs } from "../../src-protocol/link-codecs.ts";
import { keptCodecs } from "./kept-codecs.ts";

const AUTO = readCodecs("auto");
const F16 = readCodecs("f16");
let path: string;
const places = () => ({ path, network: join(path, "network") });
const RUN = { runId: "run-1" };

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "tah-codecs-"));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

it("a run that begins has what was chosen, and goes on so when something else would be", () => {
  expect(keptCodecs(places(), RUN, { said: null, chosen: AUTO })).toEqual(AUTO);
  mkdirSync(places().network);
  expect(keptCodecs(places(), RUN, { said: null, chosen: F16 })).toEqual(AUTO);
  expect(keptCodecs(places(), { runId: "run-2" }, { said: null, chosen: F16 })).toEqual(F16);
});

it("one of an earlier version goes on with values as they are", () => {
  mkdirSync(places().network);
  expect(keptCodecs(places(), RUN, { said: null, chosen: AUTO })).toEqual(AS_THEY_ARE);
  expect(keptCodecs(places(), RUN, { said: null, chosen: AUTO })).toEqual(AS_THEY_ARE);
  expect(keptCodecs(places(), { runId: "run-2" }, { said: null, chosen: AUTO }), "a new one").toEqual(AUTO);
});

it("the owner's word is stronger, and is kept", () => {
  expect(keptCodecs(places(), RUN, { said: F16, chosen: AUTO })).toEqual(F16);
  expect(keptCodecs(places(), RUN, { said: null, chosen: AUTO })).toEqual(F16);
  expect(keptCodecs(places(), RUN, { said: AS_THEY_ARE, chosen: AUTO })).toEqual(AS_THEY_ARE);
});
