import { expect, test } from "vitest";
import type { ClaimBody } from "./claim.ts";
import { claimBody, claimText, parseClaimText } from "./claim.ts";

const body: ClaimBody = claimBody.parse({
  schema: "train-at-home/claim/v1",
  network: "embedded",
  netuid: 0,
  claimId: "7a0f7a54-8f0c-4c5b-9a5e-0a3d1d1c1f10",
  hotkey: "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX",
  payoutColdkey: "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX",
  epochFrom: 0,
  epochTo: 10,
  amountRao: "18446744073709551615",
  asset: "test",
  receiptsRoot: "0".repeat(64),
  nonce: "a".repeat(64),
  issuedAt: 1,
  expiresAt: 2,
});

test("a claim starts with its fixed line and is read back as it was signed", () => {
  expect(claimText(body).split("\n")[0]).toBe("Claim Train at Home rewards v1");
  expect(parseClaimText(claimText(body))).toEqual(body);
});

test.each([
  ["another first line", claimText(body).replace("v1", "v2")],
  ["white space", claimText(body).replace('"asset":', '"asset": ')],
  ["an unknown member", claimText(body).replace('{"amountRao"', '{"aaa":1,"amountRao"')],
  ["a number for the amount", claimText(body).replace('"18446744073709551615"', "5")],
  ["a member twice", claimText(body).replace('"netuid":0', '"netuid":0,"netuid":0')],
  ["no JSON at all", "Claim Train at Home rewards v1\nplease"],
])("a text with %s is no claim", (_, text) => {
  expect(parseClaimText(text)).toBeNull();
});
