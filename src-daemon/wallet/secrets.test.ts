import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { ApiClient } from "../../src-cli/api-client.ts";
import { diagnostics, reportText } from "../../src-cli/diagnostics.ts";
import { API_FILE_NAME } from "../../src-protocol/data-folder.ts";
import { HAND_OVER_OPTION } from "../../src-protocol/keychain.ts";
import { encodeKeyFiles } from "./wallet-key-file.ts";
import { phraseToSeed } from "./wallet-phrase.ts";

const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";

/** Every form in which the key of the phrase could have been written down. */
function forms(): string[] {
  const seed = Buffer.from(phraseToSeed(PHRASE) ?? []);
  const { privateKey } = JSON.parse(encodeKeyFiles(PHRASE).secret) as { privateKey: string };
  const bytes = Buffer.from(privateKey.slice(2), "hex");
  const halves = [bytes.subarray(0, 32), bytes.subarray(32)];
  return [
    PHRASE.split(" ").slice(2, 6).join(" "),
    ...[seed, ...halves].flatMap((part) => [
      part.toString("hex"),
      part.toString("base64").slice(0, 40),
      [...part.subarray(0, 12)].join(","),
      [...part.subarray(0, 12)].join(", "),
    ]),
  ];
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

const PASSPHRASE = Buffer.alloc(32, 171).toString("base64url");
const PASSWORD = "a password of the owner's";

/** Every form in which a text could have been written down. */
function textForms(text: string): string[] {
  const bytes = Buffer.from(text);
  return [
    text,
    bytes.toString("hex"),
    bytes.toString("base64").slice(0, 24),
    [...bytes.subarray(0, 12)].join(","),
  ];
}

// A core file holds a process's memory, and so its key: no program can keep it out of that.
it.skipIf(process.platform === "win32")(
  "neither log, crash report, note nor diagnostics bundle of a daemon has a form of a key, phrase, password or passphrase",
  async () => {
    const home = temporaryFolder();
    const [hotkeys, reports] = [join(home, "wallets", "default", "hotkeys"), join(home, "reports")];
    mkdirSync(hotkeys, { recursive: true });
    mkdirSync(reports);
    writeFileSync(join(hotkeys, "default"), encodeKeyFiles(PHRASE).secret, { mode: 0o600 });
    // Reports of all of its processes, at a crash and when they are asked for one.
    const flags = `--report-on-signal --report-uncaught-exception --report-on-fatalerror --report-directory="${reports}"`;
    const main = join(import.meta.dirname, "..", "main.ts");
    const words = ["--home", home, "--port", "0", "--no-probe", "--model", "tiny", "--yes", HAND_OVER_OPTION];
    const child = spawn(process.execPath, [main, ...words], {
      env: { ...process.env, NODE_OPTIONS: flags },
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.end(`${JSON.stringify({ keychain: "here", passphrase: PASSPHRASE })}\n`);
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    const ended = new Promise((done) => child.once("close", done));
    let phrase = "";
    try {
      // The key is open and has signed: the log of signatures says so.
      const log = join(home, "signatures.jsonl");
      const signed = (): boolean =>
        filesIn(home).includes(log) && readFileSync(log, "utf8").includes("delegation");
      await expect.poll(signed, { timeout: 90_000, interval: 200 }).toBe(true);
      const client = await ApiClient.connect(join(home, API_FILE_NAME));
      // Trying passwords takes long beside a training.
      await client.call("policy.pause", { minutes: 30, by: "cli" });
      expect((await client.call("wallet.keep", { how: "keychain" })).how).toBe("keychain");
      const made = { wallet: "second", hotkey: "default", password: PASSWORD };
      ({ phrase } = await client.call("wallet.create", made));
      // What is refused is not written down either.
      const wrong = { type: "phrase" as const, phrase: `${phrase} ${phrase.split(" ")[0] ?? ""}` };
      await expect(client.call("wallet.import", { ...made, wallet: "third", from: wrong })).rejects.toThrow(
        "no secret phrase",
      );
      await expect(client.call("wallet.use", { ...made, password: `${PASSWORD}!` })).rejects.toThrow(
        "password",
      );
      client.close();
      writeFileSync(join(home, "bundle.txt"), reportText(await diagnostics(home, "0")));
      child.kill("SIGUSR2");
      await expect
        .poll(() => readdirSync(reports).length, { timeout: 30_000, interval: 100 })
        .toBeGreaterThan(0);
    } finally {
      child.kill("SIGABRT");
      await ended;
    }
    const written = filesIn(home);
    expect(written.some((path) => path.startsWith(reports))).toBe(true);
    expect(written.some((path) => path.endsWith(".log"))).toBe(true);
    expect(readFileSync(join(home, "bundle.txt"), "utf8")).toContain("## Log");
    const secrets = [
      ...forms(),
      ...textForms(PASSPHRASE),
      ...textForms(PASSWORD),
      phrase.split(" ").slice(2, 6).join(" "),
    ];
    // The files of keys among them: both are locked now.
    const texts = [...written.map((path) => [path, readFileSync(path, "latin1")]), ["output", said]];
    for (const [path = "", text = ""] of texts)
      for (const form of secrets) expect(text.includes(form), `${path} has a form of a secret`).toBe(false);
  },
  240_000,
);

it("the forms that are looked for are those of the key file itself", () => {
  const { secret } = encodeKeyFiles(PHRASE);
  expect(forms().filter((form) => secret.includes(form)).length).toBeGreaterThanOrEqual(4);
});
