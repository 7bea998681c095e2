import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as electron from "./electron-double/electron.ts";
import { FrameDouble } from "./electron-double/web-contents.ts";
import { CHANNEL } from "./channel.ts";
import { PAGE } from "./origin.ts";
import type { ShellBridge } from "../src-protocol/shell-bridge.ts";
import { runShell, settled, type RunningShell } from "./testing/running-shell.ts";

// Main-process logic tests: they run on a double of Electron, not on Electron.
vi.mock("electron", () => import("./electron-double/electron.ts"));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.resetModules();
});

describe("a page that tries to lead the window away", () => {
  const ATTACKS = [
    "https://evil.example/?next=app://train-at-home/",
    "https://train-at-home/",
    "http://app//train-at-home/",
    "app://train-at-home.evil.example/",
    "app://evil@train-at-home/",
    "app://other/index.html",
    "apps://train-at-home/",
    "javascript:alert(1)//app://train-at-home/",
    "file:///etc/passwd",
    "data:text/html,<script>1</script>",
    "blob:app://train-at-home/1",
    "about:blank",
    "devtools://devtools/bundled/inspector.html",
    "chrome://gpu",
    "",
  ];

  it.each(ATTACKS)("by its location: %s", async (address) => {
    const { window } = await runShell();
    expect(window.webContents.navigate(address)).toBe("prevented");
    expect(window.webContents.getURL()).toBe(PAGE);
  });

  it.each(ATTACKS)("by a redirect: %s", async (address) => {
    const { window } = await runShell();
    expect(window.webContents.redirect(address)).toBe("prevented");
  });

  it.each(ATTACKS)("in a frame: %s", async (address) => {
    const { window } = await runShell();
    expect(window.webContents.navigateFrame(address)).toBe("prevented");
  });

  it.each([...ATTACKS, PAGE])("by a window of its own: %s", async (address) => {
    const { window } = await runShell();
    expect(window.webContents.openWindow(address)).toBe("prevented");
  });

  it("may load itself again", async () => {
    const { window } = await runShell();
    expect(window.webContents.navigate(PAGE)).toBe("allowed");
  });

  it("cannot embed a webview", async () => {
    const { window } = await runShell();
    expect(window.webContents.attachWebview()).toBe("prevented");
  });
});

describe("links", () => {
  it.each(["https://example.org/block/1?a=b#c"])(
    "to the web open in the system's browser: %s",
    async (address) => {
      const { window } = await runShell();
      expect(window.webContents.openWindow(address)).toBe("prevented");
      expect(electron.shell.opened).toEqual([address]);
    },
  );

  it.each([
    "http://example.org/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "ms-msdt:/id",
    "smb://host/share",
    "mailto:a@b.example",
    "https://user:secret@example.org/",
    "not an address",
  ])("to anything else are not handed to the system: %s", async (address) => {
    const { window } = await runShell();
    window.webContents.openWindow(address);
    expect(electron.shell.opened).toEqual([]);
  });
});

describe("permissions", () => {
  it.each([
    "media",
    "geolocation",
    "notifications",
    "clipboard-read",
    "openExternal",
    "fileSystem",
    "unknown",
  ] as const)("%s is refused, asked or checked", async (permission) => {
    const { window } = await runShell();
    const session = electron.session.defaultSession;
    expect(session.ask(window.webContents, permission)).toBe(false);
    expect(session.check("media", "app://train-at-home/")).toBe(false);
  });

  it.each(["constructor", "toString", "__proto__"])(
    "a name from Object's prototype is refused: %s",
    async (name) => {
      const { window } = await runShell();
      expect(electron.session.defaultSession.ask(window.webContents, name as "media")).toBe(false);
    },
  );

  it("copying text is allowed, to our page alone", async () => {
    const { window } = await runShell();
    const session = electron.session.defaultSession;
    expect(session.ask(window.webContents, "clipboard-sanitized-write")).toBe(true);
    expect(session.check("clipboard-sanitized-write", "app://train-at-home/")).toBe(true);
    expect(session.check("clipboard-sanitized-write", "https://evil.example/")).toBe(false);
  });

  it("no device is given", async () => {
    await runShell();
    expect(electron.session.defaultSession.useDevice()).toBe(false);
  });
});

describe("the page's network", () => {
  it.each([
    "https://example.org/x.js",
    "http://127.0.0.1:4711/rpc",
    "ws://127.0.0.1:4711/rpc",
    "wss://evil.example/",
    "file:///etc/passwd",
    "ftp://example.org/",
  ])("is closed: %s", async (address) => {
    await runShell();
    expect(electron.session.defaultSession.load(address)).toBe("prevented");
  });

  it("gives it its own files", async () => {
    await runShell();
    expect(electron.session.defaultSession.load("app://train-at-home/assets/index.js")).toBe("allowed");
  });

  it("downloads nothing, but saves what the page has made", async () => {
    await runShell();
    const session = electron.session.defaultSession;
    expect(session.download("https://example.org/setup.exe")).toBe("prevented");
    expect(session.download("blob:app://train-at-home/5e1f")).toBe("allowed");
  });
});

describe("the bridge", () => {
  /** What the frame gets back for a message. */
  async function answers({ window }: RunningShell, message: unknown, from?: FrameDouble): Promise<unknown[]> {
    const got: unknown[] = [];
    electron.ipcRenderer.on(CHANNEL, (_event, answer) => got.push(answer));
    (from ?? window.webContents.mainFrame).post(CHANNEL, message);
    await settled();
    return got;
  }
  const pause = { id: 1, method: "policy.pause", params: { minutes: 5, by: "dashboard" } };

  it("passes a call on, and the answer back", async () => {
    const running = await runShell();
    expect(await answers(running, pause)).toEqual([{ id: 1, type: "result", result: {} }]);
    expect(running.daemon.calls.at(-1)).toEqual({ method: pause.method, params: pause.params });
  });

  it("does not hear a frame inside the page", async () => {
    const running = await runShell();
    const { webContents } = running.window;
    const inner = new FrameDouble(webContents, webContents.mainFrame);
    inner.url = PAGE;
    expect(await answers(running, pause, inner)).toEqual([]);
    expect(running.daemon.calls.map(({ method }) => method)).toEqual(["state.subscribe", "history.hours"]);
  });

  it.each(["https://evil.example/?next=app://train-at-home/", "about:blank", "file:///index.html", ""])(
    "does not hear a foreign page: %s",
    async (address) => {
      const running = await runShell();
      running.window.webContents.mainFrame.url = address;
      expect(await answers(running, pause)).toEqual([]);
    },
  );

  it("does not hear another window, not even with our page in it", async () => {
    const running = await runShell();
    const other = new electron.BrowserWindow({ show: false });
    other.webContents.show(PAGE);
    expect(await answers(running, pause, other.webContents.mainFrame)).toEqual([]);
  });

  it("does not hear a frame that is gone", async () => {
    const running = await runShell();
    electron.ipcMain.emit(CHANNEL, { sender: running.window.webContents, senderFrame: null }, pause);
    await settled();
    expect(running.daemon.calls.map(({ method }) => method)).toEqual(["state.subscribe", "history.hours"]);
  });

  it.each([
    "constructor",
    "toString",
    "__proto__",
    "hasOwnProperty",
    "no.such",
    "evidence.report",
    "session.newLogin",
    "session.signOut",
    "session.newToken",
    "session.audit",
  ])("has no method %s for the page", async (method) => {
    const running = await runShell();
    const got = await answers(running, { id: 1, method, params: {} });
    expect(got).toMatchObject([{ type: "error", id: 1, error: { code: "no-such-method" } }]);
    expect(running.daemon.calls.map((call) => call.method)).toEqual(["state.subscribe", "history.hours"]);
  });

  it("checks parameters before the daemon sees them", async () => {
    const running = await runShell();
    const got = await answers(running, { ...pause, params: { minutes: -1, by: "dashboard" } });
    expect(got).toMatchObject([{ type: "error", error: { code: "bad-parameters" } }]);
    expect(running.daemon.calls.map((call) => call.method)).toEqual(["state.subscribe", "history.hours"]);
  });

  it.each([null, 7, "text", [], {}, { id: -1 }, { id: "1", method: "state.get" }])(
    "does not answer what has no number: %j",
    async (message) => {
      expect(await answers(await runShell(), message)).toEqual([]);
    },
  );

  it("refuses more than it was asked for in the form of a call", async () => {
    const got = await answers(await runShell(), { ...pause, extra: true });
    expect(got).toMatchObject([{ type: "error", id: 1, error: { code: "bad-request" } }]);
  });

  it("limits what a wild page can have under way", async () => {
    const running = await runShell();
    running.daemon.behaviour = "hangs";
    const got: { type: string }[] = [];
    electron.ipcRenderer.on(CHANNEL, (_event, answer) => got.push(answer));
    for (let id = 1; id <= 100; id += 1) running.window.webContents.mainFrame.post(CHANNEL, { ...pause, id });
    await settled();
    expect(got).toHaveLength(68);
  });
});

describe("window.trainAtHome", () => {
  /** Runs the preload script in the double's page. */
  async function inPage(): Promise<RunningShell & { bridge: ShellBridge }> {
    const running = await runShell();
    await import("./preload.ts");
    await settled();
    return { ...running, bridge: electron.contextBridge.page["trainAtHome"] as ShellBridge };
  }

  it("gives three functions and nothing of Electron", async () => {
    const { bridge } = await inPage();
    expect(Object.keys(electron.contextBridge.page)).toEqual(["trainAtHome"]);
    expect(Object.keys(bridge).sort()).toEqual(["call", "onConnection", "onMessage"]);
  });

  it("tells the connection, and each change of it", async () => {
    const { bridge, daemon } = await inPage();
    const seen: boolean[] = [];
    bridge.onConnection((open) => seen.push(open));
    daemon.crash();
    await settled();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(seen).toEqual([true, false, true]);
  });

  it("answers with the state, then with its patches and no others", async () => {
    const { bridge, daemon } = await inPage();
    const patches: unknown[] = [];
    bridge.onMessage((message) => patches.push(message));
    daemon.change({ version: "0.1.1" });
    await settled();
    expect(patches).toEqual([]);
    expect(await bridge.call("state.subscribe", {})).toMatchObject({ result: { version: "0.1.1" } });
    daemon.change({ version: "0.1.2" });
    await settled();
    expect(patches).toEqual([{ type: "patch", operations: [{ path: ["version"], value: "0.1.2" }] }]);
  });

  it("stops when it is told to", async () => {
    const { bridge, daemon } = await inPage();
    const patches: unknown[] = [];
    const stop = bridge.onMessage((message) => patches.push(message));
    await bridge.call("state.subscribe", {});
    stop();
    daemon.change({ version: "0.1.2" });
    await settled();
    expect(patches).toEqual([]);
  });

  it("says so when the daemon is away", async () => {
    const { bridge, daemon } = await inPage();
    daemon.end();
    await settled();
    expect(await bridge.call("state.get", {})).toMatchObject({ error: { code: "connection-lost" } });
    expect(await bridge.call("state.subscribe", {})).toMatchObject({ error: { code: "connection-lost" } });
  });

  it("answers a call that cannot be sent", async () => {
    const { bridge } = await inPage();
    const answer = await bridge.call("state.get", { toJSON: 1n });
    expect(answer).toMatchObject({ error: { code: "bad-request" } });
  });
});
