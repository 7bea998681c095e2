import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { SpendLimits } from "./spend-limits.ts";

const TAO = 1_000_000_000n;

it("lets as much out in 24 hours as its owner allows, counted before it is signed and over processes", () => {
  const home = temporaryFolder();
  let now = 1_800_000_000_000;
  const limits = () => new SpendLimits(home, () => now);
  limits().spend("tao", TAO);
  expect(() => limits().spend("tao", 1n)).toThrow(/1 TAO, of which 1 are used/);
  limits().setPerDay("tao", 5n * TAO);
  limits().spend("tao", 4n * TAO);
  expect(() => limits().spend("tao", 1n)).toThrow(/Nothing was signed/);
  // A clock that is set back makes no room.
  now -= 86_400_000 * 3;
  expect(() => limits().spend("tao", 1n)).toThrow(/Nothing was signed/);
  now += 86_400_000 * 4 + 1;
  limits().spend("tao", 5n * TAO);
});

it("lets nothing out by limits that cannot be read", () => {
  const home = temporaryFolder();
  writeFileSync(join(home, "spend-limits.json"), "{");
  expect(() => new SpendLimits(home, Date.now).spend("tao", 1n)).toThrow(/spend|more than may be sent/);
});

it("keeps a limit for each subnet's alpha, apart from TAO", () => {
  // The data folder is not there yet.
  const home = join(temporaryFolder(), "new");
  const limits = () => new SpendLimits(home, () => 1_800_000_000_000);
  limits().setPerDay("alpha-9", 10n * TAO);
  limits().spend("alpha-9", 10n * TAO);
  expect(() => limits().spend("alpha-9", 1n)).toThrow(/alpha of subnet 9, of which 10 are used.*--alpha 9/s);
  limits().spend("alpha-8", TAO);
  limits().spend("tao", TAO);
  expect(() => limits().spend("tao", 1n)).toThrow(/Nothing was signed/);
  // What was refused is not counted.
  limits().setPerDay("tao", 2n * TAO);
  limits().spend("tao", TAO);
});

it("has room again for what never moved, once, also after a crash", () => {
  const home = temporaryFolder();
  const limits = () => new SpendLimits(home, () => 1_800_000_000_000);
  limits().spend("tao", TAO, "signed text");
  limits().giveBack("signed text", { rao: TAO / 4n, part: "one claim" });
  limits().giveBack("signed text", { rao: TAO / 4n, part: "one claim" });
  expect(() => limits().spend("tao", TAO / 2n)).toThrow(/of which 0.75 are used/);
  limits().spend("tao", TAO / 4n);
  limits().giveBack("signed text", { rao: TAO / 4n, part: "another claim" });
  limits().giveBack("another text", { rao: TAO, part: "one claim" });
  expect(() => limits().spend("tao", TAO)).toThrow(/of which 0.75 are used/);
});
