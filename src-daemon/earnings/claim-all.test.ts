import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getPublicKey, secretFromSeed, sign } from "@scure/sr25519";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { CLAIM_FIRST_LINE, parseClaimText, signedClaim } from "../../src-protocol/claim.ts";
import type { ClaimBody } from "../../src-protocol/claim.ts";
import { sha256Hex } from "../../src-protocol/keys.ts";
import { receiptsRoot, sha256 } from "../../src-protocol/signing.ts";
import { signableText } from "../../src-protocol/signable.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import { encodeSs58 } from "../../src-protocol/ss58.ts";
import type { ClaimRow } from "../../src-protocol/state.ts";
import { refusedClaims } from "./refused-claims.ts";
import { claimAll } from "./claim-all.ts";
import { makeClaim } from "./claim.ts";
import type { Hotkey } from "../wallet/wallet.ts";

/** Windows knows no such bits. */
const OTHERS = process.platform === "win32" ? 0 : 0o077;
const NOW = 1_800_000_000_000;
const hotkeyOf = (seed: number): Hotkey => {
  const secret = secretFromSeed(new Uint8Array(32).fill(seed));
  return {
    address: encodeSs58(getPublicKey(secret)),
    sign: (thing) => `0x${Buffer.from(sign(secret, Buffer.from(signableText(thing)))).toString("hex")}`,
  };
};
const hotkey = hotkeyOf(5);
const terms = {
  hotkey,
  network: "embedded",
  netuid: 0,
  payoutColdkey: hotkeyOf(6).address,
  asset: "test" as const,
};

/** A network with the ledger's rules that matter to a client; `faults` go wrong in the order given. */
class FakeNetwork {
  readonly granted = new Map<string, ClaimRow>();
  readonly posted: ClaimBody[] = [];
  readonly faults: ("lost-before" | "lost-after" | 500 | 401 | 429 | 410)[] = [];
  unclaimed: string[];
  readonly perClaim: number;

  constructor(receipts: number, perClaim = 10_000) {
    this.unclaimed = Array.from({ length: receipts }, (_, index) => sha256(`receipt ${index}`));
    this.perClaim = perClaim;
  }

  readonly fetch: typeof globalThis.fetch = (input, init) => {
    const { pathname } = new URL(String(input));
    if (pathname === "/v1/account/claimable") return Promise.resolve(Response.json(this.#claimable()));
    const fault = this.faults.shift();
    if (fault === "lost-before") return Promise.reject(new TypeError("fetch failed"));
    if (typeof fault === "number") {
      return Promise.resolve(Response.json({ code: "refused", message: "No." }, { status: fault }));
    }
    const row = this.#claim(Buffer.from(init?.body as Uint8Array).toString());
    if (fault === "lost-after") return Promise.reject(new TypeError("fetch failed"));
    return Promise.resolve(
      row === null
        ? Response.json({ code: "claim-too-high", message: "No." }, { status: 409 })
        : Response.json(row),
    );
  };

  #claimable() {
    const statementIds = this.unclaimed.slice(0, this.perClaim);
    return {
      amountRao: String(statementIds.length * 7),
      statementIds,
      epochFrom: 3,
      epochTo: 9,
      later: null,
    };
  }

  #claim(text: string): ClaimRow | null {
    const sent = z
      .strictObject({ claim: signedClaim, statementIds: z.array(sha256Hex) })
      .parse(JSON.parse(text));
    const body = parseClaimText(sent.claim.text);
    if (body === null || !verifySr25519(body.hotkey, sent.claim.text, sent.claim.signature)) return null;
    if (body.receiptsRoot !== receiptsRoot(sent.statementIds)) return null;
    this.posted.push(body);
    const before = this.granted.get(body.claimId);
    if (before !== undefined) return before;
    if (!sent.statementIds.every((id) => this.unclaimed.includes(id))) return null;
    this.unclaimed = this.unclaimed.filter((id) => !sent.statementIds.includes(id));
    const { claimId, amountRao, asset, payoutColdkey } = body;
    const row = {
      claimId,
      amountRao,
      asset,
      payoutColdkey,
      receipts: sent.statementIds.length,
      status: "accepted",
      detail: null,
      payment: null,
      at: NOW,
    } as const;
    this.granted.set(claimId, row);
    return row;
  }

  paid(): number {
    return [...this.granted.values()].reduce((sum, { amountRao }) => sum + Number(amountRao), 0);
  }
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah claim "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const claim = (network: FakeNetwork, changes: { hotkey?: Hotkey } = {}) =>
  claimAll({
    ...terms,
    ...changes,
    folder,
    orchestratorUrl: "http://network.test",
    fetch: network.fetch,
    now: () => NOW,
    statementsPerClaim: 10,
  });

describe("a claim", () => {
  it("is a readable text for exactly what is claimable, which its hotkey signed", () => {
    const claimable = {
      amountRao: "21",
      statementIds: ["aa".repeat(32)],
      epochFrom: 1,
      epochTo: 2,
      later: null,
    };
    const { claim: signed, body } = makeClaim({ ...terms, claimable, now: NOW });
    expect(signed.text.split("\n")[0]).toBe(CLAIM_FIRST_LINE);
    expect(parseClaimText(signed.text)).toEqual(body);
    expect(body).toMatchObject({ amountRao: "21", epochFrom: 1, epochTo: 2, issuedAt: NOW, asset: "test" });
    expect(body.expiresAt).toBeGreaterThan(NOW);
    expect(verifySr25519(hotkey.address, signed.text, signed.signature)).toBe(true);
    const again = makeClaim({ ...terms, claimable, now: NOW }).body;
    expect([again.claimId, again.nonce]).not.toEqual([body.claimId, body.nonce]);
  });
});

describe("claiming all", () => {
  it("gets everything that accrued, once, and leaves nothing behind", async () => {
    const network = new FakeNetwork(25, 10);
    const rows = await claim(network);
    expect(rows.map(({ receipts }) => receipts)).toEqual([10, 10, 5]);
    expect(network.paid()).toBe(25 * 7);
    expect(await claim(network)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("twice at the same time is one claim", async () => {
    const network = new FakeNetwork(5);
    const [first, second] = await Promise.all([claim(network), claim(network)]);
    expect(first).toBe(second);
    expect(network.granted.size).toBe(1);
  });

  it.each(["lost-before", "lost-after", 500, 401, 429] as const)(
    "after %s sends the same claim again, and it is paid once",
    async (fault) => {
      const network = new FakeNetwork(5);
      network.faults.push(fault);
      await expect(claim(network)).rejects.toMatchObject({ name: "Failure" });
      const kept = JSON.parse(readFileSync(join(folder, "claim.json"), "utf8")) as {
        claim: { text: string };
      };
      expect(statSync(join(folder, "claim.json")).mode & OTHERS).toBe(0);
      const [row] = await claim(network);
      expect(row?.claimId).toBe(parseClaimText(kept.claim.text)?.claimId);
      expect(network.granted.size).toBe(1);
      expect(network.paid()).toBe(35);
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  it("that is refused for good says why and is not sent again", async () => {
    const network = new FakeNetwork(5);
    network.faults.push(410);
    await expect(claim(network)).rejects.toMatchObject({ code: "refused" });
    expect(readdirSync(folder)).toEqual(["refused-claims.json"]);
    expect(refusedClaims(folder)).toMatchObject([{ status: "refused", amountRao: "35", payment: null }]);
    expect(await claim(network)).toHaveLength(1);
  });

  it("whose kept claim has expired meanwhile makes a new one for the same receipts", async () => {
    const network = new FakeNetwork(5);
    network.faults.push("lost-before", 410);
    await expect(claim(network)).rejects.toMatchObject({ code: "network-unreachable" });
    expect(await claim(network)).toHaveLength(1);
    expect(network.paid()).toBe(35);
  });

  it("with a corrupt claim file keeps it aside and claims what is left", async () => {
    writeFileSync(join(folder, "claim.json"), '{"claim":');
    const network = new FakeNetwork(5);
    expect(await claim(network)).toHaveLength(1);
    expect(readFileSync(join(folder, "claim-set-aside.json"), "utf8")).toBe('{"claim":');
  });

  it("does not send another hotkey's claim", async () => {
    const network = new FakeNetwork(5);
    network.faults.push("lost-before");
    await expect(claim(network)).rejects.toMatchObject({ code: "network-unreachable" });
    const other = hotkeyOf(9);
    const [row] = await claim(network, { hotkey: other });
    expect(network.posted.map(({ hotkey }) => hotkey)).toEqual([other.address]);
    expect(row?.receipts).toBe(5);
    expect(readdirSync(folder)).toEqual(["claim-set-aside.json"]);
  });

  it("that cannot be written to disk is not sent", async () => {
    const network = new FakeNetwork(5);
    const file = join(folder, "a file");
    writeFileSync(file, "");
    const request = { ...terms, folder: join(file, "sub"), orchestratorUrl: "http://network.test" };
    await expect(claimAll({ ...request, fetch: network.fetch })).rejects.toMatchObject({
      code: expect.stringMatching(/^claim-(unreadable|not-saved)$/) as string,
    });
    expect(network.posted).toEqual([]);
  });
});
