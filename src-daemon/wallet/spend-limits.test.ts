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
  limits().spend(TAO);
  expect(() => limits().spend(1n)).toThrow(/1 TAO, of which 1 are used/);
  limits().setTaoPerDay(5n * TAO);
  limits().spend(4n * TAO);
  expect(() => limits().spend(1n)).toThrow(/Nothing was signed/);
  // A clock that is set back makes no room.
  now -= 86_400_000 * 3;
  expect(() => limits().spend(1n)).toThrow(/Nothing was signed/);
  now += 86_400_000 * 4 + 1;
  limits().spend(5n * TAO);
});

it("lets nothing out by limits that cannot be read", () => {
  const home = temporaryFolder();
  writeFileSync(join(home, "spend-limits.json"), "{");
  expect(() => new SpendLimits(home, Date.now).spend(1n)).toThrow(/spend|more than may be sent/);
});
