import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppImageUpdater } from "electron-updater";
import { ElectronHttpExecutor } from "electron-updater/out/electronHttpExecutor.js";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { DaemonState } from "../src-protocol/state.ts";
import { someState } from "./testing/daemon-double.ts";
import { trayView } from "./tray-view.ts";
import { checkUpdate, signedText } from "./update-signature.ts";
import { Updates, type UpdaterPort } from "./updates.ts";

const keys = generateKeyPairSync("ed25519");
const PUBLIC = keys.publicKey.export({ type: "spki", format: "pem" }).toString();
const NEW = Buffer.from("the new app, as bytes");

interface Offer {
  version: string;
  files: { url: string; sha512: string; size: number }[];
  tahSignature?: string;
}

function offer(version = "0.2.0", bytes: Uint8Array = NEW): Offer {
  const sha512 = createHash("sha512").update(bytes).digest("base64");
  return { version, files: [{ url: "app.AppImage", sha512, size: bytes.byteLength }] };
}

function signed(info: Offer, key = keys.privateKey): Offer {
  return { ...info, tahSignature: sign(null, Buffer.from(signedText(info)), key).toString("base64") };
}

describe("an update's signature", () => {
  it("is good over version, names and digests, and says nothing of how many get it", () => {
    expect(checkUpdate(signed(offer()), PUBLIC)).toEqual({ kind: "good", version: "0.2.0" });
    expect(checkUpdate({ ...signed(offer()), stagingPercentage: 10 }, PUBLIC).kind).toBe("good");
  });

  it.each([
    ["none", offer(), "it is not signed"],
    ["another key's", signed(offer(), generateKeyPairSync("ed25519").privateKey), "not by the key"],
    ["of another version", { ...signed(offer()), version: "9.9.9" }, "not by the key"],
    [
      "of another file",
      { ...signed(offer()), files: offer("0.2.0", Buffer.from("evil")).files },
      "not by the key",
    ],
    [
      "of one file of two",
      { ...signed(offer()), files: [...offer().files, ...offer("0.2.0", Buffer.from("evil")).files] },
      "not by the key",
    ],
    [
      "with a package besides",
      { ...signed(offer()), packages: { x64: { path: "evil.7z" } } },
      "makes no sense",
    ],
    ["no base64", { ...offer(), tahSignature: "§§§" }, "not by the key"],
    ["of nothing", null, "makes no sense"],
  ])("%s is refused", (_what, info, why) => {
    const verdict = checkUpdate(info, PUBLIC);
    expect(verdict.kind).toBe("refused");
    expect(JSON.stringify(verdict)).toContain(why);
  });
});

describe("an update from a server", () => {
  let server: Server;
  let served: Record<string, string | Uint8Array>;
  let asked: string[];
  let folder: string;
  let events: string[];
  let stepEnds: PromiseWithResolvers<void>;
  const { APPIMAGE } = process.env;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "tah updates "));
    served = {};
    asked = [];
    events = [];
    stepEnds = Promise.withResolvers<void>();
    process.env["APPIMAGE"] = join(folder, "installed.AppImage");
    server = createServer(({ url = "" }, answer) => {
      const name = new URL(url, "http://x").pathname.slice(1);
      asked.push(name);
      const body = served[name];
      answer.writeHead(body === undefined ? 404 : 200).end(body);
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
    rmSync(folder, { recursive: true });
    if (APPIMAGE === undefined) delete process.env["APPIMAGE"];
    else process.env["APPIMAGE"] = APPIMAGE;
  });

  /** electron-updater itself, with Node's HTTP in place of Electron's. */
  function updates(): Updates {
    const { port } = server.address() as AddressInfo;
    const cache = join(folder, "cache");
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(folder, "app-update.yml"), "updaterCacheDirName: tah\n");
    const updater = new AppImageUpdater(
      { provider: "generic", url: `http://127.0.0.1:${port}` },
      {
        version: "0.1.0",
        name: "Train at Home",
        isPackaged: true,
        appUpdateConfigPath: join(folder, "app-update.yml"),
        userDataPath: folder,
        baseCachePath: cache,
        whenReady: () => Promise.resolve(),
        relaunch: () => {},
        quit: () => {},
        onQuit: () => {},
      },
    );
    updater.logger = null;
    updater.disableDifferentialDownload = true;
    updater.on("error", () => {});
    const executor = Object.assign(new ElectronHttpExecutor(), {
      createRequest: (options: object, answer: (message: IncomingMessage) => void) =>
        request(options, answer),
    });
    Object.assign(updater, { httpExecutor: executor });
    updater.setFeedURL({ provider: "generic", url: `http://127.0.0.1:${port}` });
    const watched: UpdaterPort = updater;
    watched.quitAndInstall = () => events.push("installed");
    return new Updates({
      updater: watched,
      publicKey: PUBLIC,
      endWork: () => {
        events.push("asked the work to end");
        return stepEnds.promise;
      },
      mayLeave: () => events.push("may leave"),
      every: () => () => {},
      onChange: () => {},
    });
  }

  function serve(info: Offer, bytes: Uint8Array | null = NEW): void {
    // JSON is YAML.
    served["latest-linux.yml"] = JSON.stringify({
      path: info.files[0]?.url,
      releaseDate: "2026-11-28T00:00:00.000Z",
      ...info,
    });
    if (bytes !== null) served["app.AppImage"] = bytes;
  }

  it("is loaded, and put in after the step that the work is at", async () => {
    serve(signed(offer()));
    const shell = updates();
    await shell.look();
    expect(shell.state).toEqual({ kind: "ready", version: "0.2.0" });
    const installing = shell.install();
    expect(shell.state.kind).toBe("ending-work");
    expect(events).toEqual(["asked the work to end"]);
    stepEnds.resolve();
    await installing;
    expect(events).toEqual(["asked the work to end", "may leave", "installed"]);
  });

  it("with a wrong signature is refused before a byte of it is loaded", async () => {
    serve(signed(offer(), generateKeyPairSync("ed25519").privateKey));
    const shell = updates();
    await shell.look();
    expect(shell.state).toMatchObject({ kind: "refused" });
    expect(asked).toEqual(["latest-linux.yml"]);
    await shell.install();
    expect(events).toEqual([]);
  });

  it("whose file is another than the signed one is not kept", async () => {
    serve(signed(offer()), Buffer.from("something else......."));
    const shell = updates();
    await shell.look();
    expect(shell.state).toMatchObject({ kind: "failed" });
    await shell.install();
    expect(events).toEqual([]);
  });

  it("is not there: nothing is said, and it is looked for again", async () => {
    const shell = updates();
    await shell.look();
    expect(shell.state.kind).toBe("failed");
    serve(signed(offer("0.1.0")));
    await shell.look();
    expect(shell.state.kind).toBe("none");
  });

  it("that is older is not taken, signed as it may be", async () => {
    serve(signed(offer("0.0.9")));
    const shell = updates();
    await shell.look();
    expect(shell.state.kind).toBe("none");
    expect(asked).toEqual(["latest-linux.yml"]);
  });

  it("is for a share of all computers while it is rolled out", async () => {
    serve({ ...signed(offer()), stagingPercentage: 0 } as Offer);
    const shell = updates();
    await shell.look();
    expect(shell.state.kind).toBe("none");
    serve({ ...signed(offer()), stagingPercentage: 100 } as Offer);
    await shell.look();
    expect(shell.state.kind).toBe("ready");
  });
});

it("the tray says when a network waits for its operator's decision", () => {
  const lines = (state: DaemonState) => JSON.stringify(trayView({ kind: "connected" }, state, 0).menu);
  const asked = { id: "ab".repeat(8), network: "Maple Street", resumeStep: 0, lostSteps: 40 };
  expect(lines(someState({ asked }))).toContain("Maple Street waits for your decision");
  expect(lines(someState())).not.toContain("decision");
});

it("the tray offers what is ready, and says what it waits for", () => {
  const labels = (update: Updates["state"]) =>
    JSON.stringify(trayView({ kind: "starting" }, null, 0, update).menu.at(-1));
  expect(labels({ kind: "ready", version: "0.2.0" })).toContain("Update to 0.2.0 and start again");
  expect(labels({ kind: "ending-work", version: "0.2.0" })).toContain("after this step");
  expect(labels({ kind: "refused", text: "It is not taken." })).toContain("It is not taken.");
  expect(labels({ kind: "none" })).toContain("Quit");
  vi.useRealTimers();
});
