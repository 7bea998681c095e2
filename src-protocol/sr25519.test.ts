import { Keyring } from "@polkadot/keyring";
import { cryptoWaitReady } from "@polkadot/util-crypto";
import * as wasm from "@polkadot/wasm-crypto";
import * as schnorrkel from "@scure/sr25519";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { Delegation, DelegationBody } from "./delegation.ts";
import { delegationText } from "./delegation.ts";
import { sessionKey, ss58Address } from "./keys.ts";
import { LONGEST_DELEGATION_DAYS, ready, verifyDelegation, verifySr25519 } from "./sr25519.ts";
import { encodeSs58 } from "./ss58.ts";

const SECRET = schnorrkel.secretFromSeed(new Uint8Array(32).fill(7));
const ADDRESS = encodeSs58(schnorrkel.getPublicKey(SECRET));
const sign = (text: string) => hex(schnorrkel.sign(SECRET, Buffer.from(text)));
const hex = (bytes: Uint8Array) => `0x${Buffer.from(bytes).toString("hex")}`;

beforeAll(async () => {
  await ready();
  await cryptoWaitReady();
});

describe("an sr25519 signature", () => {
  it("verifies raw and inside <Bytes>", () => {
    expect(verifySr25519(ADDRESS, "hello", sign("hello"))).toBe(true);
    expect(verifySr25519(ADDRESS, "hello", sign("<Bytes>hello</Bytes>"))).toBe(true);
  });

  it("does not verify for another text, another address, or unwrapped the other way round", () => {
    expect(verifySr25519(ADDRESS, "hello!", sign("hello"))).toBe(false);
    expect(verifySr25519(ADDRESS, "<Bytes>hello</Bytes>", sign("hello"))).toBe(false);
    expect(verifySr25519(encodeSs58(new Uint8Array(32).fill(9)), "hello", sign("hello"))).toBe(false);
  });

  it("of @polkadot/api's keyring verifies here, non-ASCII text included", () => {
    const pair = new Keyring({ type: "sr25519", ss58Format: 42 }).addFromUri("//Alice");
    for (const text of ["", "plain", "Übung — 漢字 🙂"]) {
      expect(verifySr25519(pair.address, text, hex(pair.sign(text)))).toBe(true);
    }
  });

  it("agrees both ways with schnorrkel itself (Rust, compiled to wasm)", () => {
    const seed = new Uint8Array(32).fill(7);
    const pair = wasm.sr25519KeypairFromSeed(seed);
    const publicKey = pair.slice(64);
    expect(encodeSs58(publicKey)).toBe(ADDRESS);
    const theirs = wasm.sr25519Sign(publicKey, pair.slice(0, 64), Buffer.from("work"));
    expect(verifySr25519(ADDRESS, "work", hex(theirs))).toBe(true);
    expect(
      wasm.sr25519Verify(Buffer.from(sign("work").slice(2), "hex"), Buffer.from("work"), publicKey),
    ).toBe(true);
  });

  it("is refused, not thrown at, when anything about it is malformed", () => {
    const good = sign("x");
    for (const bad of [
      "",
      "0x",
      good.slice(2),
      good.slice(0, -2),
      good.toUpperCase(),
      `0x${"0".repeat(128)}`,
      `0x${"f".repeat(128)}`,
    ]) {
      expect(verifySr25519(ADDRESS, "x", bad)).toBe(false);
    }
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.string(), (bytes, text) => {
        expect(verifySr25519(ADDRESS, text, hex(bytes))).toBe(false);
      }),
      { seed: 3, numRuns: 20 },
    );
  });
});

describe("a delegation", () => {
  const NOW = 1_800_000_000_000;
  const body: DelegationBody = {
    network: "embedded",
    hotkey: ss58Address.parse(ADDRESS),
    sessionKey: sessionKey.parse("ab".repeat(32)),
    notBefore: NOW - 1000,
    notAfter: NOW + 1000,
  };
  const signed = (changes: Partial<DelegationBody> = {}): Delegation => {
    const changed = { ...body, ...changes };
    return { body: changed, signature: sign(delegationText(changed)) };
  };
  const code = (delegation: Delegation, now = NOW) =>
    verifyDelegation(delegation, { network: "embedded", now })?.code ?? null;

  it("holds from its first to its last millisecond", () => {
    expect(code(signed())).toBeNull();
    expect(code(signed(), body.notBefore)).toBeNull();
    expect(code(signed(), body.notAfter)).toBeNull();
    expect(code(signed(), body.notBefore - 1)).toBe("delegation-not-yet");
    expect(code(signed(), body.notAfter + 1)).toBe("delegation-expired");
  });

  it("for another network is refused", () => {
    expect(code(signed({ network: "finney" }))).toBe("delegation-other-network");
  });

  it("that is for ever, or for no time, is refused", () => {
    const tooLong = NOW + (LONGEST_DELEGATION_DAYS + 1) * 86_400_000;
    expect(code(signed({ notAfter: tooLong }))).toBe("delegation-bad-period");
    expect(code(signed({ notAfter: Number.MAX_SAFE_INTEGER }))).toBe("delegation-bad-period");
    expect(code(signed({ notAfter: body.notBefore }))).toBe("delegation-bad-period");
  });

  it("with any member changed after signing is forged", () => {
    const { signature } = signed();
    const other = sessionKey.parse("cd".repeat(32));
    const alice = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
    expect(code({ body: { ...body, sessionKey: other }, signature })).toBe("delegation-forged");
    expect(code({ body: { ...body, hotkey: alice }, signature })).toBe("delegation-forged");
    expect(code({ body: { ...body, notAfter: body.notAfter + 5 }, signature })).toBe("delegation-forged");
    expect(code({ body, signature: `0x${"0".repeat(128)}` })).toBe("delegation-forged");
  });
});
