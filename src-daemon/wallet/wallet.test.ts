import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { inspect, promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { delegation } from "../../src-protocol/delegation.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sessionKey } from "../../src-protocol/keys.ts";
import { signableText } from "../../src-protocol/signable.ts";
import type { Signable } from "../../src-protocol/signable.ts";
import { verifyDelegation, verifySr25519 } from "../../src-protocol/sr25519.ts";
import { encodeKeyFiles } from "./wallet-key-file.ts";
import { delegate, openOrCreateHotkey, payoutAddress } from "./wallet.ts";

const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";
const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";

let root: string;
const place = () => ({ root, wallet: "default", hotkey: "default" });
const keyPath = () => join(root, "default", "hotkeys", "default");

beforeEach(async () => {
  root = join(await mkdtemp(join(tmpdir(), "tah wallet ")), "wallets");
});
afterEach(() => rm(dirname(root), { recursive: true, force: true }));

async function putKey(content: string | Uint8Array, mode = 0o600): Promise<void> {
  await mkdir(dirname(keyPath()), { recursive: true });
  await writeFile(keyPath(), content, { mode });
  await chmod(keyPath(), mode);
}

async function refusal(promise: Promise<unknown>): Promise<Failure> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof Failure) return error;
  throw new Error(`not a Failure: ${String(error)}`);
}

const WORK: Signable = {
  kind: "request",
  body: { method: "GET", target: "/", bodySha256: "0".repeat(64), nonce: "1", hotkey: "h", receiver: "" },
};

describe("the first start", () => {
  it("makes a hotkey in Bittensor's layout that later starts find again", async () => {
    const first = await openOrCreateHotkey(place());
    expect(first).toMatchObject({ created: true, warnings: [], path: keyPath() });
    expect(verifySr25519(first.address, signableText(WORK), first.sign(WORK))).toBe(true);
    expect(await readdir(join(root, "default"))).toEqual(["hotkeys"]);
    expect((await readdir(dirname(keyPath()))).sort()).toEqual(["default", "defaultpub.txt"]);
    const publicFile: unknown = JSON.parse(await readFile(`${keyPath()}pub.txt`, "utf8"));
    expect(publicFile).toMatchObject({ ss58Address: first.address });

    const second = await openOrCreateHotkey(place());
    expect(second).toMatchObject({ created: false, address: first.address, warnings: [] });
    expect(verifySr25519(first.address, signableText(WORK), second.sign(WORK))).toBe(true);
  });

  it.skipIf(process.platform === "win32")("keeps file and folders to the owner", async () => {
    await openOrCreateHotkey(place());
    expect((await stat(keyPath())).mode & 0o777).toBe(0o600);
    for (const folder of [root, join(root, "default"), dirname(keyPath())]) {
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
    }
  });

  it("in several processes at once makes one key that all of them use", async () => {
    const script = `
      import { openOrCreateHotkey } from ${JSON.stringify(join(import.meta.dirname, "wallet.ts"))};
      const hotkey = await openOrCreateHotkey(${JSON.stringify(place())});
      process.stdout.write(JSON.stringify([hotkey.address, hotkey.created]));`;
    const run = promisify(execFile);
    const answers = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
        return JSON.parse(stdout) as [string, boolean];
      }),
    );
    expect(new Set(answers.map(([address]) => address)).size).toBe(1);
    expect(answers.filter(([, created]) => created)).toHaveLength(1);
    const inOneProcess = await Promise.all(
      Array.from({ length: 8 }, () => openOrCreateHotkey({ ...place(), hotkey: "other" })),
    );
    expect(new Set(inOneProcess.map(({ address }) => address)).size).toBe(1);
    expect((await readdir(join(root, "default"))).sort()).toEqual(["hotkeys"]);
  });

  it("removes a secret that a crash left half-made", async () => {
    await openOrCreateHotkey(place());
    const leftover = join(root, "default", ".key-0123456789abcdef.tmp");
    await writeFile(leftover, "half");
    await openOrCreateHotkey(place());
    expect(await readdir(join(root, "default"))).toEqual(["hotkeys"]);
  });

  it("where nothing can be written says so", async () => {
    await writeFile(root, "a file where the folder should be");
    const failure = await refusal(openOrCreateHotkey(place()));
    expect(failure.code).toMatch(/^wallet-(unreadable|not-writable)$/);
    expect(failure.message).toContain("a part of its path is a file");
  });
});

describe("an existing wallet", () => {
  it("that btcli made is used as it is", async () => {
    await putKey(encodeKeyFiles(PHRASE).secret);
    expect(await openOrCreateHotkey(place())).toMatchObject({
      address: ADDRESS,
      created: false,
      warnings: [],
    });
  });

  it.skipIf(process.platform === "win32")(
    "that others can read is closed to them, and it is said",
    async () => {
      await putKey(encodeKeyFiles(PHRASE).secret, 0o644);
      const hotkey = await openOrCreateHotkey(place());
      expect(hotkey.warnings).toEqual([expect.stringContaining("Other users of this computer could read")]);
      expect((await stat(keyPath())).mode & 0o777).toBe(0o600);
      expect((await openOrCreateHotkey(place())).warnings).toEqual([]);
    },
  );

  it.each([
    ["empty", "", "wallet-corrupt"],
    ["cut off", encodeKeyFiles(PHRASE).secret.slice(0, 100), "wallet-corrupt"],
    ["encrypted", "$NACL....", "wallet-encrypted"],
    [
      "of another address",
      JSON.stringify({ secretPhrase: PHRASE, ss58Address: "5F" }),
      "wallet-key-mismatch",
    ],
    ["far too large", "x".repeat(70_000), "wallet-corrupt"],
  ])("whose file is %s is refused and stays byte for byte", async (_what, content, code) => {
    await putKey(content);
    expect((await refusal(openOrCreateHotkey(place()))).code).toBe(code);
    expect(await readFile(keyPath(), "utf8")).toBe(content);
    expect(await readdir(dirname(keyPath()))).toEqual(["default"]);
  });

  it("with a folder in the key's place is refused", async () => {
    await mkdir(keyPath(), { recursive: true });
    const failure = await refusal(openOrCreateHotkey(place()));
    expect(failure).toMatchObject({ code: "wallet-unreadable" });
    expect(failure.message).toContain("it is a folder");
  });

  it.skipIf(process.platform === "win32" || process.getuid?.() === 0)(
    "that may not be read is refused",
    async () => {
      await putKey(encodeKeyFiles(PHRASE).secret, 0o000);
      expect((await refusal(openOrCreateHotkey(place()))).message).toContain("permission denied");
    },
  );

  it.each(["../evil", "a/b", "", ".", "..", "a\\b", "defaultpub.txt", "x".repeat(65)])(
    "cannot be named %j",
    async (name) => {
      expect((await refusal(openOrCreateHotkey({ ...place(), hotkey: name }))).code).toBe("wallet-bad-name");
      expect((await refusal(openOrCreateHotkey({ ...place(), wallet: name }))).code).toBe("wallet-bad-name");
    },
  );
});

describe("the secret", () => {
  it("is in no log, error, JSON, clone or inspection of a hotkey", async () => {
    await putKey(encodeKeyFiles(PHRASE).secret);
    const hotkey = await openOrCreateHotkey(place());
    const shown = [
      JSON.stringify({ hotkey }),
      inspect(hotkey, { showHidden: true, depth: 10, customInspect: true }),
      inspect(hotkey, { showHidden: true, depth: 10, customInspect: false }),
      inspect({ nested: [hotkey] }, { showHidden: true, depth: 10 }),
      String(hotkey),
      JSON.stringify(structuredClone({ ...hotkey })),
      Object.keys(hotkey).join(),
    ].join("\n");
    const file = JSON.parse(await readFile(keyPath(), "utf8")) as Record<string, string>;
    for (const secret of [file["secretSeed"], file["privateKey"], "0xf8c8a8ec9d"]) {
      expect(secret).toBeTypeOf("string");
      const hex = (secret ?? "").slice(2, 12);
      expect(shown).not.toContain(hex);
      expect(shown).not.toContain([...Buffer.from(hex, "hex")].join(", "));
    }
    expect(shown).not.toContain("leopard");
    expect(JSON.stringify({ hotkey })).toBe(`{"hotkey":{"address":"${ADDRESS}"}}`);
    expect(inspect(hotkey)).toBe(`Hotkey(${ADDRESS})`);
  });
});

describe("the payout address", () => {
  it("is the wallet's coldkey when its public file is there, else the hotkey", async () => {
    const hotkey = await openOrCreateHotkey(place());
    expect(await payoutAddress(place(), hotkey)).toBe(hotkey.address);
    await writeFile(join(root, "default", "coldkeypub.txt"), encodeKeyFiles(PHRASE).public);
    expect(await payoutAddress(place(), hotkey)).toBe(ADDRESS);
    await writeFile(join(root, "default", "coldkeypub.txt"), "");
    expect((await refusal(payoutAddress(place(), hotkey))).code).toBe("wallet-corrupt");
  });
});

describe("a delegation by the hotkey", () => {
  const NOW = 1_800_000_000_000;
  const DAY = 86_400_000;
  const key = sessionKey.parse("ab".repeat(32));

  it("lets the session key act on its network until it ends, and nobody else", async () => {
    const hotkey = await openOrCreateHotkey(place());
    const granted = delegate(hotkey, { network: "embedded", sessionKey: key, now: NOW, days: 2 });
    expect(delegation.parse(JSON.parse(JSON.stringify(granted)))).toEqual(granted);
    const code = (now: number, network = "embedded", value = granted) =>
      verifyDelegation(value, { network, now })?.code ?? null;
    expect(code(NOW)).toBeNull();
    expect(code(NOW - 60_000), "a verifier whose clock is a minute behind").toBeNull();
    expect(code(NOW + 2 * DAY)).toBeNull();
    expect(code(NOW + 2 * DAY + 1)).toBe("delegation-expired");
    expect(code(NOW, "finney")).toBe("delegation-other-network");
    const stolen = { ...granted, body: { ...granted.body, sessionKey: sessionKey.parse("cd".repeat(32)) } };
    expect(code(NOW, "embedded", stolen)).toBe("delegation-forged");
    const another = await openOrCreateHotkey({ ...place(), hotkey: "another" });
    const forged = { ...granted, body: { ...granted.body, hotkey: another.address } };
    expect(code(NOW, "embedded", forged)).toBe("delegation-forged");
  });
});
