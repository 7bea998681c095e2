import { createCipheriv, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { deriveFileKey, lockKeyFile, openPolkadotJson, toPolkadotJson, unlockKeyFile } from "./key-lock.ts";
import { BTWALLET_COST, lock } from "./locked-file.ts";
import { lockedForm } from "./locked-form.ts";
import { encodeKeyFiles, decodeKeyFile } from "./wallet-key-file.ts";

const PASSWORD = "thisisafakepassword";
const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";
const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";

/** Written by PyNaCl 1.5.0, the library of btwallet up to 2.0, with `PASSWORD`. */
const WRITTEN_BY_PYNACL = Buffer.from(
  "244e41434c01333cf65ded5d1381ceee5b03e82fb6b0c01502f26f258a107c64cba0d7c472292a53" +
    "847163152776d225b022b5c594069b618d990136c9694a80f8377adcb58bb853583f2ccc82b70d30" +
    "c480294931dd5c7f39079059ba66968e0579b20c195953b1cf8b12ea7cf84038928b2baa7e99735f" +
    "865a2b23adc5894240511f117a615c3b71cfaa220d4f21df",
  "hex",
);

/** For what does not depend on how long a password takes. */
const cost = { passes: 3, memoryBytes: 8192 };
const open = (bytes: Uint8Array, password: string) => unlockKeyFile({ bytes, path: "KEY" }, password);

describe("a key file under a password", () => {
  it("that PyNaCl wrote is opened, its key is the phrase's, and it is written again byte for byte", async () => {
    expect(lockedForm(WRITTEN_BY_PYNACL)).toBe("nacl");
    // SECURITY: by what is used where nothing is said, which is Bittensor's and no less.
    expect(BTWALLET_COST).toEqual({ passes: 8, memoryBytes: 536_870_912 });
    const key = await deriveFileKey(PASSWORD);
    const content = await unlockKeyFile({ bytes: WRITTEN_BY_PYNACL, path: "KEY" }, key);
    expect(decodeKeyFile(content, "KEY").address).toBe(ADDRESS);
    const nonce = WRITTEN_BY_PYNACL.subarray(5, 5 + 24);
    expect(Buffer.from(await lock(content, key, BTWALLET_COST, nonce)).equals(WRITTEN_BY_PYNACL)).toBe(true);
  }, 120_000);

  it("under another password is told from a damaged one", async () => {
    const bytes = await lockKeyFile(Buffer.from("content"), PASSWORD, { cost });
    const opened = (password: string) => unlockKeyFile({ bytes, path: "KEY" }, password, { cost });
    expect(Buffer.from(await opened(PASSWORD)).toString()).toBe("content");
    await expect(opened(`${PASSWORD} `)).rejects.toMatchObject({ code: "wallet-wrong-password" });
    await expect(open(WRITTEN_BY_PYNACL.subarray(0, 30), PASSWORD)).rejects.toMatchObject({
      code: "wallet-corrupt",
    });
  });

  it("has another nonce each time, and nothing of its content", async () => {
    const content = new TextEncoder().encode(encodeKeyFiles(PHRASE).secret);
    const key = randomBytes(32);
    const [first, second] = [await lockKeyFile(content, key), await lockKeyFile(content, key)];
    expect(first.length).toBe(5 + 24 + 16 + content.length);
    expect(Buffer.from(first).equals(second)).toBe(false);
    expect(Buffer.from(first).includes("leopard")).toBe(false);
    expect(Buffer.from(await unlockKeyFile({ bytes: first, path: "KEY" }, key)).equals(content)).toBe(true);
  });

  it("in Ansible's old form is opened", async () => {
    const salt = Buffer.alloc(32, 7);
    const keys = pbkdf2Sync(PASSWORD, salt, 10_000, 80, "sha256");
    const text = Buffer.from(JSON.stringify({ secretPhrase: PHRASE }));
    const padding = 16 - (text.length % 16);
    const aes = createCipheriv("aes-256-ctr", keys.subarray(0, 32), keys.subarray(64));
    const cipher = aes.update(Buffer.concat([text, Buffer.alloc(padding, padding)]));
    const mac = createHmac("sha256", keys.subarray(32, 64)).update(cipher).digest("hex");
    const inner = Buffer.from(`${salt.toString("hex")}\n${mac}\n${cipher.toString("hex")}`).toString("hex");
    const vault = Buffer.from(`$ANSIBLE_VAULT;1.1;AES256\n${(inner.match(/.{1,80}/g) ?? []).join("\n")}\n`);
    expect(decodeKeyFile(await open(vault, PASSWORD), "KEY").address).toBe(ADDRESS);
    await expect(open(vault, "another")).rejects.toMatchObject({ code: "wallet-wrong-password" });
  });

  it("in Fernet, the oldest form, is opened", async () => {
    // What PBKDF2 makes of the password in 10 000 000 rounds, with Bittensor's salt: seconds, and once is enough.
    const key = Buffer.from("e038913aff90a88b4e354ab33f862b8475f14878073cc154bb2b9f51834170c0", "hex");
    const iv = Buffer.alloc(16, 3);
    const aes = createCipheriv("aes-128-cbc", key.subarray(16), iv);
    const body = Buffer.concat([
      Buffer.from([0x80]),
      Buffer.alloc(8),
      iv,
      aes.update(JSON.stringify({ secretPhrase: PHRASE })),
      aes.final(),
    ]);
    const mac = createHmac("sha256", key.subarray(0, 16)).update(body).digest();
    const token = Buffer.concat([body, mac]).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
    expect(decodeKeyFile(await open(Buffer.from(token), PASSWORD), "KEY").address).toBe(ADDRESS);
  }, 240_000);
});

describe("an account exported by polkadot-js", () => {
  it("goes out and comes in again as the same key, and a wrong password is said", async () => {
    const pair = decodeKeyFile(new TextEncoder().encode(encodeKeyFiles(PHRASE).secret), "KEY");
    const json: unknown = JSON.parse(await toPolkadotJson(pair, PASSWORD, "mine"));
    expect(json).toMatchObject({ address: ADDRESS, encoding: { content: ["pkcs8", "sr25519"] } });
    const file = { json, path: "KEY" };
    expect((await openPolkadotJson(file, PASSWORD)).address).toBe(ADDRESS);
    await expect(openPolkadotJson(file, "another")).rejects.toMatchObject({ code: "wallet-wrong-password" });
  }, 60_000);
});
