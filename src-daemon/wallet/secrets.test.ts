import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
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

// A core file holds a process's memory, and so its key: no program can keep it out of that.
it.skipIf(process.platform === "win32")(
  "neither log nor diagnostic report of a daemon that crashes has a form of its key",
  async () => {
    const home = temporaryFolder();
    const [hotkeys, reports] = [join(home, "wallets", "default", "hotkeys"), join(home, "reports")];
    mkdirSync(hotkeys, { recursive: true });
    mkdirSync(reports);
    writeFileSync(join(hotkeys, "default"), encodeKeyFiles(PHRASE).secret, { mode: 0o600 });
    // Reports of all of its processes, at a crash and when they are asked for one.
    const flags = `--report-on-signal --report-uncaught-exception --report-on-fatalerror --report-directory="${reports}"`;
    const child = spawn(
      process.execPath,
      [
        join(import.meta.dirname, "..", "main.ts"),
        "--home",
        home,
        "--port",
        "0",
        "--no-probe",
        "--model",
        "tiny",
        "--yes",
      ],
      { env: { ...process.env, NODE_OPTIONS: flags }, stdio: ["ignore", "pipe", "pipe"] },
    );
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    const ended = new Promise((done) => child.once("close", done));
    try {
      // The key is open and has signed: the log of signatures says so.
      const log = join(home, "signatures.jsonl");
      const signed = (): boolean =>
        filesIn(home).includes(log) && readFileSync(log, "utf8").includes("delegation");
      await expect.poll(signed, { timeout: 90_000, interval: 200 }).toBe(true);
      child.kill("SIGUSR2");
      await expect
        .poll(() => readdirSync(reports).length, { timeout: 30_000, interval: 100 })
        .toBeGreaterThan(0);
    } finally {
      child.kill("SIGABRT");
      await ended;
    }
    const written = filesIn(home).filter((path) => !path.startsWith(join(home, "wallets")));
    expect(written.some((path) => path.startsWith(reports))).toBe(true);
    expect(written.some((path) => path.endsWith(".log"))).toBe(true);
    const texts = [...written.map((path) => [path, readFileSync(path, "latin1")]), ["output", said]];
    for (const [path = "", text = ""] of texts)
      for (const form of forms()) expect(text.includes(form), `${path} has a form of the key`).toBe(false);
  },
  180_000,
);

it("the forms that are looked for are those of the key file itself", () => {
  const { secret } = encodeKeyFiles(PHRASE);
  expect(forms().filter((form) => secret.includes(form)).length).toBeGreaterThanOrEqual(4);
});
