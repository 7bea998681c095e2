import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import { signableText } from "../../src-protocol/signable.ts";
import type { Signable } from "../../src-protocol/signable.ts";
import { SignatureLog, brokenSignatureLine } from "./signature-log.ts";
import { loggedHotkey, openOrCreateHotkey } from "./wallet.ts";

/** Windows knows no such bits. */
const OTHERS = process.platform === "win32" ? 0 : 0o077;
const NOW = 1_800_000_000_000;
const request = (target: string): Signable => ({
  kind: "request",
  body: { method: "GET", target, bodySha256: "0".repeat(64), nonce: "1", hotkey: "h", receiver: "" },
});

it("every signature is written down before it is made, in a chained file of the owner's", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "signatures.jsonl");
  const log = new SignatureLog(path, () => NOW);
  const hotkey = loggedHotkey(
    await openOrCreateHotkey({ root: join(folder, "wallets"), wallet: "w", hotkey: "h" }),
    log,
  );
  const signature = hotkey.sign(request("/v1/account"));
  expect(verifySr25519(hotkey.address, signableText(request("/v1/account")), signature)).toBe(true);
  hotkey.sign(request("/v1/claims"));
  expect(log.newest(10).map(({ about, key, at }) => [about, key, at])).toEqual([
    ["GET /v1/claims", hotkey.address, NOW],
    ["GET /v1/account", hotkey.address, NOW],
  ]);
  expect(statSync(path).mode & OTHERS).toBe(0);
  expect(readFileSync(path, "utf8")).not.toContain(signature.slice(2, 40));
  // Another process goes on with the same chain.
  new SignatureLog(path, () => NOW + 1).note(hotkey.address, request("/v1/run"));
  expect(brokenSignatureLine(path)).toBeNull();
  const lines = readFileSync(path, "utf8").split("\n");
  writeFileSync(path, [lines[0], lines[2], ""].join("\n"));
  expect(brokenSignatureLine(path)).toBe(2);
});

it("what cannot be written down is not signed", async () => {
  const folder = temporaryFolder();
  const log = new SignatureLog(join(folder, "no", "such", "folder.jsonl"), () => NOW);
  const key = await openOrCreateHotkey({ root: join(folder, "wallets"), wallet: "w", hotkey: "h" });
  expect(() => loggedHotkey(key, log).sign(request("/"))).toThrow(/nothing was signed/);
});
