import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasSubtensorMetadata } from "../src-daemon/chain/subtensor-node.test-support.ts";
import { TAO, startOurs } from "../src-daemon/chain/test-chain.test-support.ts";

const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";
const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";

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

// Finney's metadata (spec 393) is no part of the repository.
describe.skipIf(!hasSubtensorMetadata)("tah chain", () => {
  let chain: Awaited<ReturnType<typeof startOurs>>;
  let at: string[] = [];
  beforeAll(async () => {
    chain = await startOurs();
    at = ["--chain", chain.url, "--genesis", chain.genesis, "--json"];
    chain.node.state.account(ADDRESS).free = 50n * TAO;
    const file = join(home, "phrase.txt");
    writeFileSync(file, PHRASE);
    const words = ["wallet", "import", "mine", "--phrase-file", file, "--no-password"];
    // The same phrase for both: only the addresses matter here.
    await tah(...words, "--coldkey");
    await tah(...words);
  });
  afterAll(() => chain.stop());
  const act = (...words: string[]) => tah("chain", ...words, "--wallet", "mine", "--yes", ...at);

  it("looks at a subnet, and says what a chain does not tell", async () => {
    const { code, out } = await tah("chain", "price", "1", ...at);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      netuid: 1,
      exists: true,
      tempo: 360,
      priceRao: "20000000",
      burnRao: "100000000",
    });
    const text = await tah("chain", "price", "7", "--chain", chain.url);
    expect(text.out).toMatch(/There is no subnet 7/);
  });

  it("registers, stakes, serves and takes stake back, and each signature is written down", async () => {
    expect((await act("register", "1", ADDRESS, "--most", "0.5")).code).toBe(0);
    // One TAO a day until its owner says otherwise: 0.5 are used.
    const refused = await act("stake", "1", ADDRESS, "2");
    expect([refused.code === 0, JSON.parse(refused.out)]).toMatchObject([
      false,
      { error: { code: "spend-limit" } },
    ]);
    expect((await tah("chain", "limit", "20")).out).toContain("20 TAO");
    expect(JSON.parse((await act("stake", "1", ADDRESS, "2")).out)).toMatchObject({
      kind: "stake",
      from: ADDRESS,
      creditedRao: String(100n * TAO),
    });
    expect((await tah("chain", "limit", "100", "--alpha", "1")).out).toContain("100 alpha of subnet 1");
    expect(JSON.parse((await act("unstake", "1", ADDRESS, "50")).out)).toMatchObject({
      creditedRao: String(TAO),
    });
    expect((await act("axon", "1", "[2001:db8::1]:8091")).code).toBe(0);
    expect((await act("weights", "1", "0=1")).code).toBe(0);
    const { out } = await tah("chain", "emission", "1", ADDRESS, ...at);
    expect(JSON.parse(out)).toMatchObject({ uid: 0, owner: ADDRESS, stakeRao: String(50n * TAO) });
    const balance = await tah("chain", "balance", ADDRESS, "--chain", chain.url);
    expect(balance.out).toMatch(/free +48\.\d+ TAO\n +subnet 1 +50 alpha at 5HDv/);
    const log = readFileSync(join(home, "coldkey-signatures.jsonl"), "utf8");
    expect([...log.matchAll(/"kind":"([^"]+)"/g)].map(([, kind]) => kind)).toEqual([
      "register",
      "stake",
      "unstake",
      "axon",
      "weights",
    ]);
  }, 180_000);

  it("asks before it signs, refuses what is no amount, and signs for no other chain", async () => {
    const asked = await tah("chain", "pay", ADDRESS, "1", "--wallet", "mine", ...at);
    expect(JSON.parse(asked.out)).toMatchObject({ error: { code: "consent-needed" } });
    expect(JSON.parse((await act("pay", ADDRESS, "0.0000000001")).out)).toMatchObject({
      error: { code: "bad-amount" },
    });
    const words = ["--wallet", "mine", "--yes", "--json", "--chain", chain.url];
    const other = await tah("chain", "axon", "1", "203.0.113.7:80", ...words);
    expect(JSON.parse(other.out)).toMatchObject({ error: { code: "chain-other-genesis" } });
  });
});
