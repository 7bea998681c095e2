import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { KeptKeys } from "./kept-keys.ts";
import { OwnKey } from "./own-key.ts";
import type { NamedHotkey } from "./selected-wallet.ts";
import { SignatureLog } from "./signature-log.ts";
import { encodeKeyFiles } from "./wallet-key-file.ts";

const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";
const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";

const started = (home: string, named: NamedHotkey | null = null) =>
  OwnKey.open(
    home,
    new SignatureLog(join(home, "signatures.jsonl"), () => 1),
    () => Promise.resolve(null),
    new KeptKeys(home, { keychain: "none", why: "no-app" }),
    named,
  );

async function put(home: string, { wallet, hotkey }: { wallet: string; hotkey: string }, text: string) {
  const path = join(home, "wallets", wallet, "hotkeys", hotkey);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text, { mode: 0o600 });
}

describe("a hotkey that a start names", () => {
  it("is the chosen one from then on", async () => {
    const home = temporaryFolder();
    await put(home, { wallet: "mine", hotkey: "night" }, encodeKeyFiles(PHRASE).secret);
    const first = await started(home);
    const named = await started(home, { wallet: "mine", hotkey: "night" });
    expect(named.hotkey.address).toBe(ADDRESS);
    expect((await started(home)).hotkey.address).toBe(ADDRESS);
    const back = await started(home, { wallet: "default", hotkey: null });
    expect(back.hotkey.address).toBe(first.hotkey.address);
  });

  it("leads past one that is locked with a password", async () => {
    const home = temporaryFolder();
    await put(home, { wallet: "default", hotkey: "default" }, "$NACL....");
    await put(home, { wallet: "default", hotkey: "open" }, encodeKeyFiles(PHRASE).secret);
    await expect(started(home)).rejects.toMatchObject({ code: "wallet-encrypted" });
    await expect(started(home)).rejects.toThrow("--hotkey");
    expect((await started(home, { wallet: null, hotkey: "open" })).hotkey.address).toBe(ADDRESS);
  });

  it.each([
    [{ wallet: "nobody", hotkey: null }, "wallet-missing"],
    [{ wallet: null, hotkey: "../../elsewhere" }, "wallet-bad-name"],
  ])("and is not there is refused, and the one before stays: %j", async (named, code) => {
    const home = temporaryFolder();
    await put(home, { wallet: "mine", hotkey: "night" }, encodeKeyFiles(PHRASE).secret);
    await started(home, { wallet: "mine", hotkey: "night" });
    const chosen = readFileSync(join(home, "wallet.json"), "utf8");
    await expect(started(home, named)).rejects.toMatchObject({ code });
    expect(readFileSync(join(home, "wallet.json"), "utf8")).toBe(chosen);
  });
});
