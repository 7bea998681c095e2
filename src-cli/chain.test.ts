import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHAINS, HAS_CHAIN, TAO } from "../src-daemon/chain/test-chain.test-support.ts";
import type { TestChain } from "../src-daemon/chain/test-chain.test-support.ts";
import { encodeKeyFiles } from "../src-daemon/wallet/wallet-key-file.ts";
import { newPhrase } from "../src-daemon/wallet/wallet-phrase.ts";
import { ss58Address } from "../src-protocol/keys.ts";
import { formatTao } from "../src-protocol/units.ts";

/** Of nobody before: a real chain remembers. */
const PHRASE = newPhrase();
const ADDRESS = ss58Address.parse(
  (JSON.parse(encodeKeyFiles(PHRASE).public) as { ss58Address: string }).ss58Address,
);

const home = mkdtempSync(join(tmpdir(), "tah chain cli "));
afterAll(() => rmSync(home, { recursive: true, force: true }));

function tah(...words: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "tah.ts"), ...words], {
    env: { ...process.env, TAH_HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, error] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out, error })));
}

// Finney's metadata (spec 393) is no part of the repository: without it, and without a real chain, these are left out.
describe.skipIf(!HAS_CHAIN).each(CHAINS)("tah chain, on $chain", ({ start }) => {
  let chain: TestChain;
  let at: string[] = [];
  let netuid = "";
  beforeAll(async () => {
    chain = await start();
    netuid = String(chain.netuid);
    at = ["--chain", chain.url, "--genesis", chain.genesis, "--json"];
    await chain.fund(ADDRESS, 50n * TAO);
    const file = join(home, "phrase.txt");
    writeFileSync(file, PHRASE);
    const words = ["wallet", "import", "mine", "--phrase-file", file, "--no-password"];
    // The same phrase for both: only the addresses matter here.
    await tah(...words, "--coldkey");
    await tah(...words);
  }, 120_000);
  afterAll(() => chain.stop());
  const act = (...words: string[]) => tah("chain", ...words, "--wallet", "mine", "--yes", ...at);

  it("looks at a subnet, and says what a chain does not tell", async () => {
    const { code, out } = await tah("chain", "price", netuid, ...at);
    expect(code).toBe(0);
    const rao = expect.stringMatching(/^[1-9]\d*$/) as string;
    const seen = { netuid: chain.netuid, exists: true, priceRao: rao, burnRao: rao };
    expect(JSON.parse(out)).toMatchObject(
      chain.node === null ? seen : { ...seen, tempo: 360, priceRao: "20000000", burnRao: "100000000" },
    );
    const text = await tah("chain", "price", "65000", "--chain", chain.url);
    expect(text.out).toMatch(/There is no subnet 65000/);
  });

  it("registers, stakes, serves and takes stake back, and each signature is written down", async () => {
    expect((await tah("chain", "limit", "1")).out).toContain("1 TAO");
    expect((await act("register", netuid, ADDRESS, "--most", "0.5")).code).toBe(0);
    // One TAO a day until its owner says otherwise: 0.5 are used.
    const refused = await act("stake", netuid, ADDRESS, "2");
    expect([refused.code === 0, JSON.parse(refused.out)]).toMatchObject([
      false,
      { error: { code: "spend-limit" } },
    ]);
    expect((await tah("chain", "limit", "20")).out).toContain("20 TAO");
    const staked = JSON.parse((await act("stake", netuid, ADDRESS, "2")).out) as { creditedRao: string };
    expect(staked).toMatchObject({ kind: "stake", from: ADDRESS });
    const alpha = BigInt(staked.creditedRao);
    expect((await tah("chain", "limit", formatTao(alpha), "--alpha", netuid)).out).toContain(
      `${formatTao(alpha)} alpha of subnet ${netuid}`,
    );
    const half = await act("unstake", netuid, ADDRESS, formatTao(alpha / 2n));
    expect(BigInt((JSON.parse(half.out) as { creditedRao: string }).creditedRao)).toBeGreaterThan(
      (TAO * 9n) / 10n,
    );
    expect((await act("axon", netuid, "[2001:db8::1]:8091")).code).toBe(0);
    const { out } = await tah("chain", "emission", netuid, ADDRESS, ...at);
    const place = JSON.parse(out) as { uid: number; owner: string; stakeRao: string };
    expect(place.owner).toBe(ADDRESS);
    expect(BigInt(place.stakeRao)).toBeGreaterThan(0n);
    const balance = await tah("chain", "balance", ADDRESS, "--chain", chain.url);
    expect(balance.out).toMatch(
      new RegExp(`free +4\\d\\.\\d+ TAO\\n +subnet ${netuid} +\\S+ alpha at ${ADDRESS.slice(0, 4)}`),
    );
    // A real subnet may take sealed weights alone, or only a validator's.
    const weights = chain.node === null ? { code: 0 } : await act("weights", netuid, "0=1");
    expect(weights.code).toBe(0);
    const log = readFileSync(join(home, "coldkey-signatures.jsonl"), "utf8");
    const kinds = [...log.matchAll(/"kind":"([^"]+)"/g)].map(([, kind]) => kind);
    const signed = ["register", "stake", "unstake", "axon", ...(chain.node === null ? [] : ["weights"])];
    expect(kinds.slice(-signed.length)).toEqual(signed);
  }, 180_000);

  it("asks before it signs, refuses what is no amount, and signs for no other chain", async () => {
    const asked = await tah("chain", "pay", ADDRESS, "1", "--wallet", "mine", ...at);
    expect(JSON.parse(asked.out)).toMatchObject({ error: { code: "consent-needed" } });
    expect(JSON.parse((await act("pay", ADDRESS, "0.0000000001")).out)).toMatchObject({
      error: { code: "bad-amount" },
    });
    const words = ["--wallet", "mine", "--yes", "--json", "--chain", chain.url];
    const other = await tah("chain", "axon", netuid, "203.0.113.7:80", ...words);
    expect(JSON.parse(other.out)).toMatchObject({ error: { code: "chain-other-genesis" } });
  });
});
