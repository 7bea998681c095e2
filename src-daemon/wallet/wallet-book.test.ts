import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import { consentText } from "../../src-protocol/payout-consent.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import type { WalletAnswer, WalletRequest } from "../../src-protocol/wallet-ipc.ts";
import { selectedWallet } from "./selected-wallet.ts";
import { answerWallet } from "./wallet-book.ts";
import { openOrCreateHotkey, payoutAddress } from "./wallet.ts";

const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";
const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";
const SEED = "da3cf5b1e9144931a0f0db65664aab662673b099415a7f8121b7245fb0be4143";
const ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
/** Alice as Polkadot shows her: prefix 0. */
const ALICE_ON_POLKADOT = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";

let home: string;
let root: string;
const place = (hotkey: string | null = "default") => ({ root, wallet: "mine", hotkey });

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "tah wallets "));
  root = join(home, "wallets");
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function refused(request: WalletRequest): Promise<string> {
  const error: unknown = await answerWallet(request).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof Failure) return error.code;
  throw new Error(`not a Failure: ${String(error)}`);
}

async function list(): Promise<Extract<WalletAnswer, { type: "list" }>> {
  const answer = await answerWallet({ type: "list", root, home });
  if (answer.type === "list") return answer;
  throw new Error("no list");
}

const create = (hotkey: string | null = "default", words: 12 | 24 = 12): WalletRequest => ({
  type: "create",
  ...place(hotkey),
  words,
  password: null,
});
const fromPhrase = (hotkey: string | null, phrase = PHRASE): WalletRequest => ({
  type: "import",
  ...place(hotkey),
  from: { type: "phrase", phrase },
  password: null,
});

describe("a wallet's keys", () => {
  it("are made, listed with their addresses, and given out again as a phrase", async () => {
    const made = await answerWallet(create("default", 24));
    await answerWallet(fromPhrase(null));
    if (made.type !== "key") throw new Error("no key");
    expect(made.phrase?.split(" ")).toHaveLength(24);
    expect((await list()).wallets).toMatchObject([
      {
        name: "mine",
        coldkey: { address: ADDRESS, holds: "secret" },
        hotkeys: [{ name: "default", address: made.key.address }],
      },
    ]);
    const given = await answerWallet({
      type: "export",
      ...place(),
      password: null,
      to: { type: "phrase" },
    });
    expect(given).toMatchObject({ type: "key", phrase: made.phrase });
    expect((await stat(made.key.path)).mode & 0o777).toBe(process.platform === "win32" ? 0o666 : 0o600);
  });

  it("are never replaced, whatever is to take their place", async () => {
    await answerWallet(fromPhrase("default"));
    const before = await readFile(join(root, "mine", "hotkeys", "default"), "utf8");
    expect(await refused(create())).toBe("wallet-exists");
    expect(await refused(fromPhrase("default"))).toBe("wallet-exists");
    expect(await readFile(join(root, "mine", "hotkeys", "default"), "utf8")).toBe(before);
    const out = join(home, "taken.json");
    await writeFile(out, "mine");
    const to = { type: "bittensor" as const, path: out, password: null };
    expect(await refused({ type: "export", ...place(), password: null, to })).toBe("wallet-exists");
    expect(await readFile(out, "utf8")).toBe("mine");
  });

  it("come in from a phrase typed by hand, a seed with or without 0x, and a file", async () => {
    const shouted = `  ${PHRASE.toUpperCase().replaceAll(" ", "  ")} `;
    expect(await answerWallet(fromPhrase("typed", shouted))).toMatchObject({ key: { address: ADDRESS } });
    for (const seed of [SEED, `0x${SEED}`]) {
      const name = seed.slice(0, 4);
      expect(
        await answerWallet({
          type: "import",
          ...place(name),
          from: { type: "seed", seed },
          password: null,
        }),
      ).toMatchObject({ key: { address: ADDRESS } });
    }
    const path = join(root, "mine", "hotkeys", "0xda");
    const copied: WalletRequest = {
      type: "import",
      ...place("copied"),
      from: { type: "file", path, password: null },
      password: null,
    };
    expect(await answerWallet(copied)).toMatchObject({ key: { address: ADDRESS } });
  });

  it("with a wrong word are refused without a word of the phrase in the refusal", async () => {
    const error: unknown = await answerWallet(fromPhrase("a", PHRASE.replace("old", "odl"))).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: "wallet-bad-phrase" });
    for (const word of PHRASE.split(" ")) expect(String(error)).not.toMatch(new RegExp(`\\b${word}\\b`));
  });

  it("under a password are listed by their public half, and want the password", async () => {
    const locked: WalletRequest = { ...create("night"), password: "long enough" } as WalletRequest;
    // That the password is Bittensor's is shown elsewhere (locked-file.test.ts).
    const cost = { passes: 3, memoryBytes: 8192 };
    const made = await answerWallet(locked, { cost });
    const row = { holds: "locked", address: made.type === "key" ? made.key.address : null };
    expect((await list()).wallets[0]?.hotkeys).toMatchObject([row]);
    const asked: WalletRequest = {
      type: "export",
      ...place("night"),
      password: null,
      to: { type: "phrase" },
    };
    expect(await refused(asked)).toBe("wallet-encrypted");
    expect(await refused({ ...create("short"), password: "short" } as WalletRequest)).toBe(
      "wallet-weak-password",
    );
    const night = { root, wallet: "mine", hotkey: "night" };
    const own = await openOrCreateHotkey(night, () => Promise.resolve("long enough"), null, { cost });
    expect(own.address).toBe(row.address);
  });

  it("that cannot be used stand in the list with the reason, beside those that can", async () => {
    await answerWallet(fromPhrase("good"));
    const folder = join(root, "mine", "hotkeys");
    await writeFile(join(folder, "edge"), JSON.stringify({ secretPhrase: PHRASE, cryptoType: 0 }));
    await writeFile(join(folder, "torn"), '{"secretPhra');
    await symlink(join(home, "nowhere"), join(folder, "linked"));
    await writeFile(join(folder, ".DS_Store"), "x");
    await writeFile(join(folder, "notes.md"), "x");
    await mkdir(join(root, "empty"));
    const [wallet] = (await list()).wallets;
    const said = Object.fromEntries((wallet?.hotkeys ?? []).map(({ name, problem }) => [name, problem]));
    expect(Object.keys(said)).toEqual(["edge", "good", "linked", "torn"]);
    expect(said["good"]).toBeNull();
    expect(said["edge"]).toMatch(/sound.*ed25519/);
    expect(said["torn"]).toMatch(/not complete JSON/);
    expect(said["linked"]).toMatch(/is a link to .*nowhere/);
  });
});

describe("the payout address", () => {
  const payout = (address: string, replace = false): WalletRequest => ({
    type: "payout",
    root,
    wallet: "mine",
    address,
    replace,
  });

  it("is kept without its secret, and changed only when that is said", async () => {
    await answerWallet(payout(ADDRESS));
    await answerWallet(payout(ADDRESS));
    expect(await payoutAddress({ root, wallet: "mine" }, { address: ALICE as never })).toBe(ADDRESS);
    expect(await refused(payout(ALICE))).toBe("wallet-exists");
    await answerWallet(payout(ALICE, true));
    expect(await payoutAddress({ root, wallet: "mine" }, { address: ADDRESS as never })).toBe(ALICE);
    expect((await readdir(join(root, "mine"))).toSorted()).toEqual([
      "coldkeypub.txt",
      "coldkeypub.txt.before",
    ]);
  });

  it("of another network is refused with the address that it would be here", async () => {
    const error: unknown = await answerWallet(payout(ALICE_ON_POLKADOT)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "wallet-other-network" });
    expect(String(error)).toContain(ALICE);
    expect(await refused(payout(`${ALICE.slice(0, -1)}Z`))).toBe("wallet-bad-address");
  });

  it("stays that of a coldkey that lies there, and a coldkey fits the address that lies there", async () => {
    await answerWallet(payout(ALICE));
    expect(await refused(fromPhrase(null))).toBe("wallet-exists");
    await answerWallet(payout(ADDRESS, true));
    expect(await answerWallet(fromPhrase(null))).toMatchObject({ key: { address: ADDRESS } });
    expect(await refused(payout(ALICE, true))).toBe("wallet-exists");
  });
});

describe("the hotkey that this computer works with", () => {
  it("is the data folder's own until another is chosen, and a chosen one is never made anew", async () => {
    expect(selectedWallet(home)).toMatchObject({ root, wallet: "default", isChosen: false });
    const choice: WalletRequest = { type: "use", home, root, wallet: "mine", hotkey: "night" };
    expect(await refused(choice)).toBe("wallet-missing");
    await answerWallet(fromPhrase("night"));
    await answerWallet(choice);
    expect((await openOrCreateHotkey(selectedWallet(home))).address).toBe(ADDRESS);
    await rm(join(root, "mine"), { recursive: true });
    await expect(openOrCreateHotkey(selectedWallet(home))).rejects.toMatchObject({ code: "wallet-missing" });
    await writeFile(join(home, "wallet.json"), "{");
    expect(() => selectedWallet(home)).toThrow(/wallet use/);
  });
});

describe("a consent to be paid", () => {
  const consent = (payoutColdkey: string): string =>
    consentText({
      schema: "train-at-home/payout/v1",
      network: "n",
      netuid: 0,
      hotkey: ss58Address.parse(ALICE),
      payoutColdkey: ss58Address.parse(payoutColdkey),
      generation: 1,
      previous: null,
      nonce: "0".repeat(64),
      issuedAt: 1,
      expiresAt: 2,
    });
  const signing = (text: string): WalletRequest => ({
    type: "consent",
    home,
    root,
    wallet: "mine",
    text,
    password: null,
  });

  it("is all that a coldkey signs here, of its own address alone, and written down", async () => {
    await answerWallet(fromPhrase(null));
    const text = consent(ADDRESS);
    const answer = await answerWallet(signing(text));
    if (answer.type !== "signed") throw new Error("not signed");
    expect(verifySr25519(ADDRESS, text, answer.signature)).toBe(true);
    expect(await readFile(join(home, "coldkey-signatures.jsonl"), "utf8")).toContain(`is paid to ${ADDRESS}`);
    expect(await refused(signing(consent(ALICE)))).toBe("consent-other-address");
    for (const other of ["Transfer everything", `${text} `, text.replace("v1\n", "v2\n")])
      expect(await refused(signing(other))).toBe("consent-malformed");
  });

  it("of a wallet whose coldkey is elsewhere says so", async () => {
    await answerWallet(fromPhrase("default"));
    expect(await refused(signing(consent(ADDRESS)))).toBe("wallet-missing");
  });
});
