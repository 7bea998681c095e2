import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KeptKeys } from "./kept-keys.ts";
import { OwnKey } from "./own-key.ts";
import { selectedWallet } from "./selected-wallet.ts";
import { SignatureLog } from "./signature-log.ts";
import { answerWallet } from "./wallet-book.ts";
import { WalletDesk } from "./wallet-desk.ts";

const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";
const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";
const ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";

let home: string;
let own: OwnKey;
let desk: WalletDesk;
/** The hotkey and payout address at each change that the rest of the daemon was told of. */
let told: [string, string][];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "tah desk "));
  own = await OwnKey.open(
    home,
    new SignatureLog(join(home, "signatures.jsonl"), () => 1),
    () => Promise.resolve(null),
    new KeptKeys(home, { keychain: "none", why: "no-app" }),
  );
  told = [];
  desk = new WalletDesk({
    home,
    own,
    ask: (request) => answerWallet(request),
    changed() {
      told.push([own.hotkey.address, own.payoutColdkey]);
      return Promise.resolve();
    },
  });
});
afterEach(() => rm(home, { recursive: true, force: true }));

const take = (wallet: string, phrase = PHRASE) =>
  desk.take({ wallet, hotkey: "default", from: { type: "phrase", phrase }, password: null });

describe("the wallet at the dashboard", () => {
  it("puts another hotkey to work at once, and after the next start too", async () => {
    const first = own.hotkey.address;
    await take("mine");
    expect(await desk.use({ wallet: "mine", hotkey: "default", password: null })).toEqual({
      hotkey: ADDRESS,
      payoutColdkey: ADDRESS,
    });
    expect(told).toEqual([[ADDRESS, ADDRESS]]);
    expect(selectedWallet(home)).toMatchObject({ wallet: "mine", isChosen: true });
    expect((await desk.list()).inUse).toBe(own.path);
    await desk.use({ wallet: "default", hotkey: "default", password: null });
    expect(own.hotkey.address).toBe(first);
  });

  it("leaves the key that works as it is when the other cannot be opened", async () => {
    const first = own.hotkey.address;
    await expect(desk.use({ wallet: "none", hotkey: "default", password: null })).rejects.toMatchObject({
      code: "wallet-missing",
    });
    expect([own.hotkey.address, selectedWallet(home).wallet, told.length]).toEqual([first, "default", 0]);
  });

  it("is paid to an address whose secret is elsewhere; another takes its place only when that is meant", async () => {
    expect((await desk.list()).payoutColdkey).toBeNull();
    await desk.payout({ address: ALICE, replace: false });
    await expect(desk.payout({ address: BOB, replace: false })).rejects.toMatchObject({
      code: "wallet-exists",
    });
    await desk.payout({ address: BOB, replace: true });
    await desk.payout({ address: BOB, replace: false });
    expect(told.map(([, payout]) => payout)).toEqual([ALICE, BOB]);
    expect((await desk.list()).payoutColdkey).toBe(BOB);
  });

  it("tells a new key's phrase once, with which the same key is made elsewhere", async () => {
    const { key, phrase } = await desk.create({ wallet: "paper", hotkey: "a", words: 24, password: null });
    expect(phrase.split(" ")).toHaveLength(24);
    expect((await take("again", phrase)).key.address).toBe(key.address);
  });

  it("gives a copy under a password that is taken in again with it alone", async () => {
    await take("mine");
    const { content, address } = await desk.backup({
      wallet: "mine",
      hotkey: "default",
      password: null,
      backupPassword: "a long password",
    });
    expect([address, content.includes("leopard")]).toEqual([ADDRESS, false]);
    const back = (password: string | null) =>
      desk.take({
        wallet: "back",
        hotkey: "default",
        from: { type: "content", content, password },
        password: null,
      });
    await expect(back(null)).rejects.toMatchObject({ code: "wallet-encrypted" });
    await expect(back("another")).rejects.toMatchObject({ code: "wallet-wrong-password" });
    expect((await back("a long password")).key.address).toBe(ADDRESS);
  });
});
