import { expect, test } from "vitest";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { claimable } from "./claimable.ts";

const key = (accruedRao: string, isHere: boolean, asset: "test" | "tao" = "test") => ({
  hotkey: "5".repeat(48) as Ss58Address,
  asset,
  accruedRao,
  isHere,
  asOf: 0,
});
const earned = (accruedRao: string, former: ReturnType<typeof key>[] = [], later: string | null = null) => ({
  accruedRao,
  asset: "test" as const,
  former,
  later: later === null ? null : { amountRao: later, fromBlock: 7 },
});

test("a claim is of all that is pending, but not of what waits for its block", () => {
  expect(claimable(earned("500"))).toEqual({ isAny: true, rao: "500" });
  expect(claimable(earned("500", [], "200"))).toEqual({ isAny: true, rao: "300" });
  expect(claimable(earned("500", [], "500"))).toEqual({ isAny: false, rao: null });
  expect(claimable(earned("0"))).toEqual({ isAny: false, rao: null });
});

test("keys of before are taken along where their files are here, and two assets are no one amount", () => {
  expect(claimable(earned("0", [key("70", true), key("9", false)]))).toEqual({ isAny: true, rao: "70" });
  expect(claimable(earned("5", [key("70", true)]))).toEqual({ isAny: true, rao: "75" });
  expect(claimable(earned("5", [key("70", true, "tao")]))).toEqual({ isAny: true, rao: null });
});
