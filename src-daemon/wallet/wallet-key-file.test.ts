import { Keyring } from "@polkadot/keyring";
import { cryptoWaitReady } from "@polkadot/util-crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { decodeKeyFile, decodePublicKeyFile, encodeKeyFiles } from "./wallet-key-file.ts";

// btwallet's own vectors (tests/test_keyfile.py).
const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";
const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";
const PUBLIC = "0xe4359ad3e2716c539a1d663ebd0a51bdc5c98a12e663bb4c4402db47828c9446";
const SEED = "0xda3cf5b1e9144931a0f0db65664aab662673b099415a7f8121b7245fb0be4143";
const PRIVATE =
  "0x1f1995bdf3a17b60626a26cfe6f564b337d46056b7a1281b64c649d592ccda0a9cffd34d9fb01cae1fba61aeed184c817442a2186d5172416729a4b54dd4b84e";
const ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

const decode = (content: unknown) =>
  decodeKeyFile(Buffer.from(typeof content === "string" ? content : JSON.stringify(content)), "KEY");

function thrownBy(act: () => unknown): Error | null {
  try {
    act();
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function refusal(act: () => unknown): Failure {
  const error = thrownBy(act);
  if (error instanceof Failure) return error;
  throw new Error(`not a Failure: ${String(error)}`);
}

beforeAll(() => cryptoWaitReady());

describe("btwallet's key file", () => {
  it("is written with btwallet's fields and values", () => {
    const files = encodeKeyFiles(PHRASE);
    const publicFields = { accountId: PUBLIC, publicKey: PUBLIC, ss58Address: ADDRESS };
    expect(JSON.parse(files.secret)).toEqual({
      ...publicFields,
      privateKey: PRIVATE,
      secretPhrase: PHRASE,
      secretSeed: SEED,
    });
    expect(JSON.parse(files.public)).toEqual(publicFields);
  });

  it.each([
    ["the phrase alone", { secretPhrase: PHRASE }],
    ["the seed alone", { secretSeed: SEED }],
    ["btwallet's private key alone", { privateKey: PRIVATE }],
    ["everything", JSON.parse(encodeKeyFiles(PHRASE).secret) as object],
    [
      "null fields, as old Python wrote",
      { secretPhrase: null, privateKey: null, secretSeed: SEED, ss58Address: ADDRESS },
    ],
    ["the type that newer tools write", { secretSeed: SEED, cryptoType: 1 }],
    ["a type that is a word, which counts as none", { secretSeed: SEED, cryptoType: "ed25519" }],
    ["hex without 0x", { secretSeed: SEED.slice(2), publicKey: PUBLIC.slice(2) }],
    ["a private key without 0x", { privateKey: PRIVATE.slice(2) }],
    [
      "odd fields that are not needed",
      { secretPhrase: PHRASE, privateKey: 7, secretSeed: "x", accountId: [] },
    ],
  ])("with %s gives the same key", (_what, content) => {
    expect(decode(content).address).toBe(ADDRESS);
  });

  it("is taken in btwallet's order: phrase, then seed, then private key", () => {
    const other = `0x${"07".repeat(32)}`;
    expect(decode({ secretPhrase: PHRASE, secretSeed: other }).address).toBe(ADDRESS);
    expect(decode({ secretSeed: SEED, privateKey: `0x${"09".repeat(64)}` }).address).toBe(ADDRESS);
  });

  it("gives the addresses of @polkadot/api's keyring for any seed, by seed and by private key", () => {
    const keyring = new Keyring({ type: "sr25519", ss58Format: 42 });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
        const address = keyring.addFromSeed(seed).address;
        expect(decode({ secretSeed: `0x${Buffer.from(seed).toString("hex")}` }).address).toBe(address);
      }),
      { seed: 1, numRuns: 10 },
    );
  });

  it.each([
    ["ss58Address", { ss58Address: ALICE }],
    ["publicKey", { publicKey: `0x${"11".repeat(32)}` }],
    ["accountId", { accountId: `0x${"11".repeat(32)}` }],
  ])("whose %s belongs to another secret is refused", (_field, change) => {
    const content = { ...(JSON.parse(encodeKeyFiles(PHRASE).secret) as object), ...change };
    expect(refusal(() => decode(content)).code).toBe("wallet-key-mismatch");
  });

  it("with polkadot's form of the private key is refused: it is eight times btwallet's", () => {
    const secretKey = Buffer.from(decode({ secretPhrase: PHRASE }).secretKey).toString("hex");
    expect(secretKey.startsWith("f8c8a8ec9d")).toBe(true);
    const failure = refusal(() => decode({ privateKey: `0x${secretKey}`, ss58Address: ADDRESS }));
    expect(["wallet-key-mismatch", "wallet-corrupt"]).toContain(failure.code);
  });

  it.each([
    ["empty", "", "wallet-corrupt"],
    ["white space", " \n", "wallet-corrupt"],
    ["cut off", encodeKeyFiles(PHRASE).secret.slice(0, -40), "wallet-corrupt"],
    ["zeros after a power cut", "\0".repeat(300), "wallet-corrupt"],
    ["a list", "[]", "wallet-corrupt"],
    ["a bare number", "7", "wallet-corrupt"],
    ["a number as its only secret", { secretSeed: 7 }, "wallet-no-secret"],
    ["a short seed", { secretSeed: SEED.slice(0, 40) }, "wallet-corrupt"],
    ["a misspelt phrase", { secretPhrase: PHRASE.replace("old", "odl") }, "wallet-corrupt"],
    ["a zero private key", { privateKey: `0x${"00".repeat(64)}` }, "wallet-corrupt"],
    ["public fields only", { publicKey: PUBLIC, ss58Address: ADDRESS }, "wallet-no-secret"],
    ["NaCl-encrypted", "$NACL\u0001\u0002\u0003", "wallet-encrypted"],
    ["vault-encrypted", "$ANSIBLE_VAULT;1.1;AES256\n3531", "wallet-encrypted"],
    ["Fernet-encrypted", "gAAAAABh", "wallet-encrypted"],
  ])("that is %s has its own code and a sentence naming the file", (_what, content, code) => {
    const failure = refusal(() => decode(content));
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(/KEY.*left untouched/);
  });

  it.each([
    ["by its type", { secretPhrase: PHRASE, cryptoType: 0 }],
    ["by its type, beside an sr25519 address", { secretPhrase: PHRASE, cryptoType: 0, ss58Address: ADDRESS }],
    ["by the length of its private key", { privateKey: SEED }],
    ["as a type that is not known", { secretSeed: SEED, cryptoType: 2 }],
  ])("of another kind of key (%s) is called sound, and refused", (_how, content) => {
    const failure = refusal(() => decode(content));
    expect(failure.code).toBe("wallet-key-type");
    expect(failure.message).toMatch(/is sound/);
  });

  it("of another network's address is refused with the prefix, and with neither a backup nor a new key in mind", () => {
    const file = JSON.stringify({ ss58Address: "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5" });
    const failure = refusal(() => decodePublicKeyFile(Buffer.from(file), "KEY"));
    expect(failure.code).toBe("wallet-other-network");
    expect(failure.message).toMatch(/prefix 0\).*prefix 42/);
  });

  it("never has its content in a refusal, however it is broken", () => {
    const whole = encodeKeyFiles(PHRASE).secret;
    const broken = fc.oneof(
      fc.nat(whole.length - 1).map((length) => whole.slice(0, length)),
      fc
        .tuple(fc.nat(whole.length - 1), fc.constantFrom("!", '"', "}", "0", "x"))
        .map(([at, letter]) => whole.slice(0, at) + letter + whole.slice(at + 1)),
    );
    fc.assert(
      fc.property(broken, (content) => {
        const error = thrownBy(() => decode(content));
        expect(error === null || error instanceof Failure).toBe(true);
        const told = `${error?.stack} ${JSON.stringify(error)} ${String(error?.cause)}`;
        for (const secret of ["leopard", "caution", PRIVATE.slice(2, 12), SEED.slice(2, 12)]) {
          expect(told).not.toContain(secret);
        }
      }),
      { seed: 4, numRuns: 200 },
    );
  });
});

describe("coldkeypub.txt", () => {
  const read = (content: object) => decodePublicKeyFile(Buffer.from(JSON.stringify(content)), "PUB");

  it("names the payout address, by any of its fields", () => {
    expect(read(JSON.parse(encodeKeyFiles(PHRASE).public) as object)).toBe(ADDRESS);
    expect(read({ ss58Address: ADDRESS })).toBe(ADDRESS);
    expect(read({ accountId: PUBLIC, publicKey: null })).toBe(ADDRESS);
  });

  it("that is wrong is refused, so that no money goes astray", () => {
    expect(refusal(() => read({ ss58Address: ADDRESS.replace("zk", "zj") })).code).toBe("wallet-corrupt");
    expect(refusal(() => read({ publicKey: PUBLIC, ss58Address: ALICE })).code).toBe("wallet-key-mismatch");
    expect(refusal(() => read({})).code).toBe("wallet-corrupt");
  });
});
