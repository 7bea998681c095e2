import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { HandedOver } from "../../src-protocol/keychain.ts";
import { readHandedOver } from "./handed-over.ts";
import { KeptKeys } from "./kept-keys.ts";
import { unlockKeyFile } from "./key-lock.ts";
import { OwnKey } from "./own-key.ts";
import { SignatureLog } from "./signature-log.ts";
import { answerWallet } from "./wallet-book.ts";
import { WalletDesk } from "./wallet-desk.ts";
import { decodeKeyFile } from "./wallet-key-file.ts";
import { openFormerHotkey } from "./wallet.ts";

const PASSPHRASE = Buffer.alloc(32, 7).toString("base64url");
const HERE: HandedOver = { keychain: "here", passphrase: PASSPHRASE };
const ANOTHER: HandedOver = { keychain: "here", passphrase: Buffer.alloc(32, 8).toString("base64url") };
const NONE = (why: "no-app" | "unavailable" | "plain-text" | "unreadable"): HandedOver => ({
  keychain: "none",
  why,
});

/** How a password becomes a key, and what that costs, is shown elsewhere (locked-file.test.ts). */
const cost = { passes: 3, memoryBytes: 8192 };
const keptKeys = (home: string, handed: HandedOver) => new KeptKeys(home, handed, { cost });
const started = (home: string, handed: HandedOver, password: string | null = null) =>
  OwnKey.open(
    home,
    new SignatureLog(join(home, "signatures.jsonl"), () => 1),
    () => Promise.resolve(password),
    keptKeys(home, handed),
  );
const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (error: unknown) => (error instanceof Failure ? error.code : String(error)),
  );
/** Windows knows no such bits. */
const OTHERS = process.platform === "win32" ? 0 : 0o077;
const othersMay = (path: string) => statSync(path).mode & OTHERS;

describe("a hotkey that the system's keychain keeps", () => {
  let home = "";
  let own: OwnKey;
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), "tah kept "));
    own = await started(home, HERE);
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  it("is locked from its first moment on, and each start of the app opens it", async () => {
    expect(readFileSync(own.path, "latin1")).toMatch(/^\$NACL/);
    expect([othersMay(own.path), othersMay(join(home, "keychain.json"))]).toEqual([0, 0]);
    const again = await started(home, HERE);
    expect([again.hotkey.address, again.created]).toEqual([own.hotkey.address, false]);
    expect(await again.atRest()).toMatchObject({
      how: "keychain",
      text: expect.stringContaining("Copy it before"),
    });
    expect((await openFormerHotkey(own.path, own.hotkey.address, keptKeys(home, HERE)))?.address).toBe(
      own.hotkey.address,
    );
    expect(await openFormerHotkey(own.path, own.hotkey.address)).toBeNull();
  });

  it("is in Bittensor's own form: the passphrase is its password, in any tool", async () => {
    const bytes = await unlockKeyFile({ bytes: readFileSync(own.path), path: own.path }, PASSPHRASE, {
      cost,
    });
    expect(decodeKeyFile(bytes, own.path).address).toBe(own.hotkey.address);
  });

  it("stands nowhere open, and neither does the passphrase", async () => {
    const bytes = await keptKeys(home, HERE).unlock({ bytes: readFileSync(own.path), path: own.path });
    const { secretPhrase, secretSeed } = JSON.parse(Buffer.from(bytes ?? []).toString("utf8")) as Record<
      string,
      string
    >;
    const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.length).toBeGreaterThan(2);
    for (const { parentPath, name } of files) {
      const text = readFileSync(join(parentPath, name), "latin1");
      const secrets = [PASSPHRASE, secretPhrase ?? "?", secretSeed?.slice(2) ?? "?"];
      expect([name, secrets.filter((secret) => text.includes(secret))]).toEqual([name, []]);
    }
  });

  it.each([
    ["a start without the app", NONE("no-app"), "keychain-needed", "tah wallet keep open"],
    ["a desktop without its keyring", NONE("plain-text"), "keychain-needed", "no keyring"],
    ["a keychain that lost it", NONE("unreadable"), "keychain-lost", "tah wallet import"],
    ["another keychain's passphrase", ANOTHER, "keychain-lost", "tah wallet import"],
  ] as const)("with %s says what to do, and stays as it is", async (_, handed, code, text) => {
    const files = () => [own.path, join(home, "keychain.json")].map((path) => readFileSync(path));
    const before = files();
    const work = started(home, handed);
    expect(await refusal(work)).toBe(code);
    await expect(work).rejects.toThrow(text);
    expect(files()).toEqual(before);
  });

  it("where the note of what is kept is damaged says so, and no key is made in its place", async () => {
    const [note, key] = [join(home, "keychain.json"), readFileSync(own.path)];
    renameSync(note, `${note}.away`);
    onTestFinished(() => renameSync(`${note}.away`, note));
    writeFileSync(note, "{");
    expect(await refusal(started(home, HERE))).toBe("keychain-lost");
    expect(readFileSync(own.path)).toEqual(key);
  });

  it("is taken out and put back: the same key, and a service can open it meanwhile", async () => {
    await own.keep("open");
    const open = await started(home, NONE("no-app"));
    expect([open.hotkey.address, (await open.atRest()).how]).toEqual([own.hotkey.address, "open"]);
    expect(othersMay(own.path)).toBe(0);
    expect(await refusal(open.keep("keychain"))).toBe("keychain-none");
    await own.keep("keychain");
    expect(readFileSync(own.path, "latin1")).toMatch(/^\$NACL/);
    expect((await started(home, HERE)).hotkey.address).toBe(own.hotkey.address);
  });

  it("whose file was changed to another key under the running daemon is replaced by nothing", async () => {
    const kept = readFileSync(own.path);
    onTestFinished(() => writeFileSync(own.path, kept));
    await answerWallet({
      type: "create",
      root: join(home, "wallets"),
      wallet: "other",
      hotkey: "default",
      words: 12,
      password: null,
    });
    const other = readFileSync(join(home, "wallets", "other", "hotkeys", "default"));
    writeFileSync(own.path, other);
    expect(await refusal(own.keep("keychain"))).toBe("wallet-key-mismatch");
    expect(readFileSync(own.path)).toEqual(other);
  });

  it("is backed up without a password that its owner does not know", async () => {
    const desk = new WalletDesk({
      home,
      own,
      ask: (request) => answerWallet(request, { cost }),
      changed: () => Promise.resolve(),
    });
    expect((await desk.list()).atRest.how).toBe("keychain");
    const key = { wallet: "default", hotkey: "default", password: null };
    const { address } = await desk.backup({ ...key, backupPassword: "a long password" });
    expect(address).toBe(own.hotkey.address);
  });
});

describe("a hotkey without a keychain", () => {
  it.each([
    ["no-app", "not started by its desktop app"],
    ["unavailable", "no keychain that can be used"],
    ["plain-text", "no keyring"],
  ] as const)("(%s) lies in a file for this account alone, and its owner is told why", async (why, text) => {
    const own = await started(temporaryFolder(), NONE(why));
    expect(await own.atRest()).toMatchObject({ how: "open", text: expect.stringContaining(text) });
    expect(othersMay(own.path)).toBe(0);
  });

  it("that was made before there was one stays as it is until its owner asks", async () => {
    const home = temporaryFolder();
    const { hotkey, path } = await started(home, NONE("no-app"));
    const own = await started(home, HERE);
    expect([own.hotkey.address, own.path]).toEqual([hotkey.address, path]);
    expect(await own.atRest()).toMatchObject({
      how: "open",
      text: expect.stringContaining("tah wallet keep keychain"),
    });
  });
});

describe("what the app hands over", () => {
  const line = (handed: unknown) => `${JSON.stringify(handed)}\n`;

  it("is one line, however its bytes come", async () => {
    expect(await readHandedOver(Readable.from([...line(HERE)]))).toEqual(HERE);
    expect(await readHandedOver(Readable.from([line(NONE("plain-text"))]))).toEqual(NONE("plain-text"));
  });

  it.each([
    ["nothing: the app is gone", ""],
    ["no JSON", "hello\n"],
    ["a password that somebody made up", line({ keychain: "here", passphrase: "12345678" })],
    ["more than a line", "x".repeat(10_000)],
  ])("when it is %s counts as no keychain", async (_, text) => {
    expect(await readHandedOver(Readable.from([text]))).toEqual(NONE("no-app"));
  });
});
