import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { explain } from "../src-protocol/reason-text.ts";
import type { Decision } from "../src-protocol/policy.ts";
import { workingState } from "../src-protocol/working-state.test-support.ts";
import * as electron from "./electron-double/electron.ts";
import { CHANNEL } from "./channel.ts";
import { prepareShell } from "./shell.ts";
import { DaemonDouble, someState } from "./testing/daemon-double.ts";
import { runShell, settled } from "./testing/running-shell.ts";
import { signedText } from "./update-signature.ts";

// Main-process logic tests: they run on a double of Electron, not on Electron.
vi.mock("electron", () => import("./electron-double/electron.ts"));

const NOON = new Date(2026, 10, 23, 12).getTime();

beforeEach(() => {
  vi.useFakeTimers({
    now: NOON,
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

const { run } = workingState();
/** Its own slice is ready, and others load theirs. */
const forming = run && { ...run, phase: "forming", detail: "2 of 3 slices are loaded." };
const BUSY: Decision = { action: "pause", reasons: ["in-use"], nextChange: null };

describe("the window", () => {
  it("is an ordinary web page in the sandbox, without Node", async () => {
    const { window } = await runShell();
    expect(electron.world.sandboxed).toBe(true);
    expect(window.options.webPreferences).toEqual({
      preload: "/preload.cjs",
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      webviewTag: false,
      spellcheck: false,
      navigateOnDragDrop: false,
    });
  });

  it("appears when the page has loaded", async () => {
    const { window } = await runShell();
    expect(window.isVisible()).toBe(true);
  });

  it("closing it hides it, and work goes on", async () => {
    const { window, daemon } = await runShell();
    window.close();
    await settled();
    expect(window.isDestroyed()).toBe(false);
    expect(window.isVisible()).toBe(false);
    expect(daemon.running).toBe(true);
    expect(electron.world.exitCode).toBeNull();
  });

  it("a second start of the app shows it again instead of a second one", async () => {
    const { window } = await runShell();
    window.close();
    electron.app.launchAgain();
    expect(window.isVisible() && window.isFocused()).toBe(true);
    expect(electron.BrowserWindow.getAllWindows()).toHaveLength(1);
  });

  it("the second instance itself ends at once", () => {
    electron.reset();
    electron.world.lockHeldElsewhere = true;
    expect(prepareShell()).toBe(false);
    expect(electron.world.exitCode).toBe(0);
  });

  it("a page that crashes is loaded again", async () => {
    const { window } = await runShell();
    const before = window.webContents.mainFrame;
    window.webContents.crash();
    await vi.waitFor(() => expect(window.webContents.mainFrame).not.toBe(before));
  });
});

describe("in German", () => {
  it("tray, menu and what is told speak as the system does, and as was chosen", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tah language "));
    try {
      const { tray, daemon, window } = await runShell({
        platform: "linux",
        settingsFile: join(folder, "shell.json"),
        languages: ["de-AT", "en-GB"],
      });
      daemon.change({ decision: BUSY });
      await settled();
      expect(tray.menu?.labels()[0]).toBe("Wartet: Sie benutzen den Computer.");
      expect(tray.menu?.labels()).toContain("Pause → Bis ich fortsetze");
      // What the daemon says in English is known again.
      daemon.change({
        problem: { code: "x", message: "A password has at least 8 letters. Nothing was written." },
      });
      await settled();
      expect(tray.menu?.labels()[0]).toBe("Ein Passwort hat mindestens 8 Zeichen. Nichts wurde geschrieben.");
      window.webContents.mainFrame.post(CHANNEL, {
        id: 1,
        method: "shell.change",
        params: { language: "en" },
      });
      await settled();
      expect(tray.menu?.labels()).toContain("Open the dashboard");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("the tray", () => {
  it("says the same as every other client", async () => {
    const { tray, daemon } = await runShell();
    const decision: Decision = {
      action: "pause",
      reasons: ["outside-schedule"],
      nextChange: { at: NOON + 11 * 3_600_000, action: "run" },
    };
    daemon.change({ decision });
    await settled();
    const text = explain(decision, NOON);
    expect(tray.tooltip).toBe(`Train at Home\n${text}`);
    expect(tray.menu?.labels()[0]).toBe(text);
  });

  it("has every action in its menu", async () => {
    const { tray, daemon } = await runShell();
    daemon.change({ decision: BUSY, override: { action: "run", since: 0, until: NOON + 1, by: "cli" } });
    await settled();
    expect(tray.menu?.labels().slice(1)).toEqual([
      "Started by hand (cli) until 12:00, 1 min left.",
      "Pause → For 30 minutes",
      "Pause → For 2 hours",
      "Pause → Until 07:00 tomorrow morning",
      "Pause → Until I resume it",
      "Pause → After this step, until I resume it",
      "Start now, for 4 hours",
      "Follow the schedule again",
      "Open the dashboard",
      "Quit …",
    ]);
  });

  it.each([
    ["For 30 minutes", 30],
    ["For 2 hours", 120],
    ["Until 07:00 tomorrow morning", 19 * 60],
    ["Until I resume it", null],
  ])("pauses: %s", async (label, minutes) => {
    const { tray, daemon } = await runShell();
    tray.menu?.choose("Pause", label);
    expect(daemon.calls.at(-1)).toEqual({ method: "policy.pause", params: { minutes, by: "tray" } });
  });

  it("starts now, and resumes", async () => {
    const { tray, daemon } = await runShell();
    daemon.change({ decision: BUSY, override: { action: "pause", since: 0, until: NOON + 1, by: "tray" } });
    await settled();
    tray.menu?.choose("Start now, for 4 hours");
    tray.menu?.choose("Resume: follow the schedule");
    expect(daemon.calls.slice(-2)).toEqual([
      { method: "policy.start", params: { minutes: 240, by: "tray", thenQuit: false } },
      { method: "policy.resume", params: {} },
    ]);
  });

  it.each([
    ["working", {}],
    ["waiting", { decision: BUSY }],
    ["waiting", { run: forming }],
    [
      "paused",
      {
        decision: { ...BUSY, reasons: ["manual-pause"] },
        override: { action: "pause", since: 0, until: 1, by: "tray" },
      },
    ],
    ["problem", { problem: { code: "disk-full", message: "The disk is full." } }],
  ] as const)("has an icon for %s", async (icon, changes) => {
    const daemon = new DaemonDouble({ running: true });
    daemon.state = someState(changes as Partial<ReturnType<typeof someState>>);
    const { tray } = await runShell({ daemon });
    expect(tray.image.path).toMatch(new RegExp(`${icon}Template\\.png$`));
    expect(tray.image.isEmpty()).toBe(false);
    expect(tray.image.isTemplateImage()).toBe(true);
  });

  it("tells what the day has brought, of this day and this kind of unit alone", async () => {
    const daemon = new DaemonDouble({ running: true });
    const hour = (at: number, asset: "test" | "tao", earnedRao: string) => ({
      at,
      asset,
      earnedRao,
      workedMs: 3_600_000,
      tokens: 1,
    });
    daemon.hours = [
      hour(NOON - 2 * 3_600_000, "test", "70000000"),
      hour(NOON - 3_600_000, "test", "8400000"),
      hour(NOON - 3_600_000, "tao", "5000000000"),
    ];
    const { tray } = await runShell({ daemon });
    const today = "Today: 0.0784 test units (worth nothing)";
    expect(tray.tooltip).toMatch(new RegExp(`^Train at Home\n.*\n${today.replace(/[().]/g, "\\$&")}$`, "s"));
    expect(tray.menu?.labels()).toContain(today);
    // A day later it says nothing until it has asked again.
    daemon.hours = [];
    vi.setSystemTime(NOON + 24 * 3_600_000);
    await vi.advanceTimersByTimeAsync(60_000);
    await settled();
    expect(tray.tooltip).not.toContain("Today");
  });

  it("is touched only when there is something new to show", async () => {
    const { tray, daemon } = await runShell();
    const before = tray.changes;
    daemon.change({ earnings: { ...daemon.state.earnings, accruedRao: "17" } });
    await settled();
    expect(tray.changes).toBe(before);
  });

  it("brings the window back", async () => {
    const { tray, window } = await runShell();
    window.close();
    tray.menu?.choose("Open the dashboard");
    expect(window.isVisible()).toBe(true);
  });
});

describe("quitting", () => {
  it("from the tray ends the work and then the app", async () => {
    const { tray, daemon } = await runShell();
    tray.menu?.choose("Quit …");
    expect(electron.world.exitCode).toBeNull();
    await settled();
    expect(daemon.calls.at(-1)?.method).toBe("daemon.quit");
    expect(daemon.running).toBe(false);
    expect(electron.world.exitCode).toBe(0);
    expect(electron.Tray.present.size).toBe(0);
  });

  it("asks once whether work should go on, and remembers the answer where that is wanted", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tah quit "));
    const settingsFile = join(folder, "shell.json");
    try {
      const first = await runShell({ settingsFile });
      electron.dialog.response = 2;
      electron.app.quit();
      await settled();
      expect(electron.dialog.asked.map(({ message }) => message)).toEqual([
        "Should work go on when this app is closed?",
      ]);
      expect([first.daemon.running, electron.world.exitCode], "cancelled").toEqual([true, null]);

      electron.dialog.response = 1;
      electron.dialog.checkboxChecked = true;
      electron.app.quit();
      await settled();
      expect([first.daemon.running, electron.world.exitCode], "work goes on").toEqual([true, 0]);
      expect(electron.Tray.present.size).toBe(0);

      const { tray, daemon } = await runShell({ settingsFile });
      tray.menu?.choose("Quit, work goes on");
      await settled();
      expect(electron.dialog.asked).toEqual([]);
      expect([daemon.running, electron.world.exitCode]).toEqual([true, 0]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("asks nothing when the system shuts down, or no work is there", async () => {
    const { daemon } = await runShell();
    electron.powerMonitor.emit("shutdown");
    electron.app.quit();
    await settled();
    expect([electron.dialog.asked, daemon.running, electron.world.exitCode]).toEqual([[], false, 0]);
  });

  it("with the keyboard, from the system's menu, is the same", async () => {
    const { daemon } = await runShell();
    electron.app.quit();
    await settled();
    expect(daemon.running).toBe(false);
    expect(electron.world.exitCode).toBe(0);
  });

  it("twice in a row asks the daemon once", async () => {
    const { daemon } = await runShell();
    electron.app.quit();
    electron.app.quit();
    await settled();
    expect(daemon.calls.filter(({ method }) => method === "daemon.quit")).toHaveLength(1);
  });

  it("does not hang on a daemon that does not answer: its process is asked instead", async () => {
    const { daemon } = await runShell();
    daemon.behaviour = "hangs";
    electron.app.quit();
    await vi.advanceTimersByTimeAsync(4_900);
    expect(electron.world.exitCode).toBeNull();
    await vi.advanceTimersByTimeAsync(200);
    expect(daemon.terminated).toBe(1);
    expect(electron.world.exitCode).toBe(0);
  });
});

describe("the daemon", () => {
  it("that runs already is joined, not started", async () => {
    const { daemon } = await runShell({ daemonRuns: true });
    expect(daemon.starts).toBe(0);
  });

  it("is started when there is none", async () => {
    const { daemon, tray } = await runShell({ daemonRuns: false });
    expect(tray.tooltip).toContain("Train at Home is starting.");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(daemon.starts).toBe(1);
    expect(tray.tooltip).toContain("Working:");
  });

  it("that crashes is shown, started again and joined", async () => {
    const { daemon, tray } = await runShell();
    daemon.crash();
    await settled();
    expect(tray.tooltip).toContain("stopped unexpectedly");
    expect(tray.image.path).toMatch(/problemTemplate\.png$/);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(daemon.starts).toBe(1);
    expect(tray.tooltip).toContain("Working:");
  });

  it("that somebody ended stays ended until it is asked for", async () => {
    const { daemon, tray } = await runShell();
    daemon.end();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(daemon.starts).toBe(0);
    expect(tray.tooltip).toContain("has ended");
    tray.menu?.choose("Start Train at Home again");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(tray.tooltip).toContain("Working:");
  });

  it("that cannot start says why, and is not started in a hurry over and over", async () => {
    const daemon = new DaemonDouble({ running: false });
    daemon.startFailure = "The data folder is read-only.";
    const { tray } = await runShell({ daemon });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tray.tooltip).toContain("The data folder is read-only.");
    expect(daemon.starts).toBeGreaterThan(3);
    expect(daemon.starts).toBeLessThan(15);
  });

  it("that sends what is not its protocol is not believed", async () => {
    const { daemon, tray } = await runShell();
    daemon.send('{"type":"patch","operations":[{"path":["node"],"value":7}]}');
    await settled();
    expect(tray.tooltip).toContain("stopped unexpectedly");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(tray.tooltip).toContain("Working:");
  });
});

describe("staying awake where the daemon has no way of its own", () => {
  const awake = (wanted: boolean, held: string | null) => ({
    policy: { ...someState().policy, awake: { wanted, held, text: "" } },
  });
  const held = () => [...electron.powerSaveBlocker.held.values()];

  it("holds off suspension while it works, lets the screen go dark, and ends with the pause", async () => {
    const { daemon } = await runShell({ platform: "win32" });
    expect(held()).toEqual([]);
    daemon.change(awake(true, null));
    await settled();
    expect(held()).toEqual(["prevent-app-suspension"]);
    daemon.change(awake(false, null));
    await settled();
    expect(held()).toEqual([]);
  });

  it("leaves it to the daemon where that can, and ends when the daemon is gone", async () => {
    const { daemon } = await runShell();
    daemon.change(awake(true, "caffeinate"));
    await settled();
    expect(held()).toEqual([]);
    daemon.change(awake(true, null));
    await settled();
    daemon.crash();
    await settled();
    expect(held()).toEqual([]);
  });
});

describe("what the shell knows about the computer", () => {
  const reports = (daemon: DaemonDouble) => daemon.calls.filter(({ method }) => method === "evidence.report");
  const needing = (rules: object) => {
    const daemon = new DaemonDouble({ running: true });
    daemon.state = someState({ rules: { ...someState().rules, ...rules } });
    return daemon;
  };

  it("is kept to itself while no rule needs it", async () => {
    const { daemon } = await runShell();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(reports(daemon)).toEqual([]);
  });

  it("is told at once, then every 15 seconds", async () => {
    const { daemon } = await runShell({ daemon: needing({ onlyOnPower: true }) });
    electron.powerMonitor.idleSeconds = 100;
    await vi.advanceTimersByTimeAsync(60_500);
    expect(reports(daemon)).toHaveLength(5);
    expect(reports(daemon).at(-1)?.params).toMatchObject({
      evidence: { idleSeconds: 100, power: "mains", batteryPercent: null },
    });
  });

  it("a hand on the mouse is told within a second", async () => {
    const daemon = needing({ onlyWhenIdle: true });
    electron.powerMonitor.idleSeconds = 0;
    await runShell({ daemon });
    electron.powerMonitor.idleSeconds = 700;
    await vi.advanceTimersByTimeAsync(15_000);
    const before = reports(daemon).length;
    electron.powerMonitor.idleSeconds = 0;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(reports(daemon)).toHaveLength(before + 1);
  });

  it("a pulled plug is told at once", async () => {
    const { daemon } = await runShell({ daemon: needing({ onlyOnPower: true }) });
    const before = reports(daemon).length;
    electron.powerMonitor.unplug();
    expect(reports(daemon)).toHaveLength(before + 1);
    expect(reports(daemon).at(-1)?.params).toMatchObject({ evidence: { power: "battery" } });
  });

  it("a locked screen is told at once, and heat whatever the rules are", async () => {
    const { daemon } = await runShell({ daemon: needing({ onlyWhenIdle: true }) });
    electron.powerMonitor.emit("lock-screen");
    expect(reports(daemon).at(-1)?.params).toMatchObject({ evidence: { screenLocked: true } });
    electron.powerMonitor.emit("unlock-screen");
    expect(reports(daemon).at(-1)?.params).toMatchObject({ evidence: { screenLocked: false } });
    const cool = await runShell();
    electron.powerMonitor.emit("thermal-state-change", { state: "critical" });
    await vi.advanceTimersByTimeAsync(16_000);
    expect(reports(cool.daemon).at(-1)?.params).toMatchObject({ evidence: { thermal: "critical" } });
    electron.powerMonitor.emit("thermal-state-change", { state: "nominal" });
    const told = reports(cool.daemon).length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(reports(cool.daemon)).toHaveLength(told);
  });

  it("on Linux the daemon's own probes know better", async () => {
    const { daemon } = await runShell({ daemon: needing({ onlyWhenIdle: true }), platform: "linux" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(reports(daemon)).toEqual([]);
  });
});

describe("a link to an invitation", () => {
  const offered = (daemon: DaemonDouble) => daemon.calls.filter(({ method }) => method === "network.offer");

  it("that the app is started with, or started again with, is shown to its owner and joins nothing", async () => {
    const { daemon, window } = await runShell({ words: ["--hidden", "tah://join/tah1abc234"] });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(offered(daemon).map(({ params }) => params)).toEqual([{ invitation: "tah1abc234" }]);
    window.close();
    electron.app.launchAgain(["train-at-home", "tah://join/tah1def567"]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(offered(daemon).at(-1)?.params).toEqual({ invitation: "tah1def567" });
    expect(window.isVisible()).toBe(true);
    expect(daemon.calls.some(({ method }) => ["network.join", "network.answer"].includes(method))).toBe(
      false,
    );
  });

  it("comes as an event on macOS; what is no such link is not looked at", async () => {
    const { daemon } = await runShell();
    electron.app.openUrl("tah://join/tah1abc234");
    electron.app.openUrl("tah://quit");
    electron.app.launchAgain(["--data", "/etc", "https://tah1abc234"]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(offered(daemon)).toHaveLength(1);
  });
});

describe("an update that is ready", () => {
  const updater = () => ({
    autoDownload: true,
    autoInstallOnAppQuit: true,
    allowDowngrade: true,
    checkForUpdates: vi.fn(() => Promise.resolve({ isUpdateAvailable: true, updateInfo: UPDATE })),
    downloadUpdate: vi.fn(() => Promise.resolve([])),
    quitAndInstall: vi.fn(() => electron.app.quit()),
  });
  const keys = generateKeyPairSync("ed25519");
  const publicKey = keys.publicKey.export({ type: "spki", format: "pem" }).toString();
  const files = [{ url: "app.zip", sha512: `${"A".repeat(86)}==` }];
  const info = { version: "0.2.0", files };
  const tahSignature = sign(null, Buffer.from(signedText(info)), keys.privateKey).toString("base64");
  const UPDATE = { ...info, tahSignature };

  it("is put in after the daemon's end, and the app leaves", async () => {
    const port = updater();
    const { daemon, tray } = await runShell({ updater: { port, publicKey } });
    await vi.waitFor(() => expect(tray.menu?.labels()).toContain("Update to 0.2.0 and start again"));
    expect(port.autoDownload).toBe(false);
    tray.menu?.choose("Update to 0.2.0 and start again");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(daemon.calls.at(-1)?.method).toBe("daemon.quit");
    expect(daemon.running).toBe(false);
    expect(port.quitAndInstall).toHaveBeenCalledOnce();
    expect(electron.world.exitCode).toBe(0);
  });

  it("does not wait for ever for a daemon that hangs", async () => {
    const port = updater();
    const { daemon, tray } = await runShell({ updater: { port, publicKey } });
    await vi.waitFor(() => expect(tray.menu?.labels()).toContain("Update to 0.2.0 and start again"));
    daemon.behaviour = "hangs";
    tray.menu?.choose("Update to 0.2.0 and start again");
    await vi.advanceTimersByTimeAsync(59_000);
    expect(port.quitAndInstall).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(daemon.terminated).toBe(1);
    expect(port.quitAndInstall).toHaveBeenCalledOnce();
  });
});

describe("what the shell keeps itself", () => {
  /** As the page's preload script asks. */
  async function calls(
    window: InstanceType<typeof electron.BrowserWindow>,
    method: string,
    params: unknown,
  ): Promise<unknown> {
    const got: unknown[] = [];
    electron.ipcRenderer.on(CHANNEL, (_event, answer) => got.push(answer));
    window.webContents.mainFrame.post(CHANNEL, { id: 7, method, params });
    await settled();
    return got.at(-1);
  }

  it("the page reads and changes it; what is not in it is refused", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tah shell "));
    let isOn = false;
    const loginItem = {
      get isOn() {
        return isOn;
      },
      set: (on: boolean) => (isOn = on),
    };
    try {
      const settingsFile = join(folder, "shell.json");
      const { window } = await runShell({ loginItem, settingsFile });
      expect(await calls(window, "shell.settings", {})).toMatchObject({
        result: { startAtLogin: false, notifications: true },
      });
      expect(await calls(window, "shell.change", { startAtLogin: true, notifications: false })).toMatchObject(
        {
          result: { startAtLogin: true, notifications: false },
        },
      );
      expect(await calls(window, "shell.settings", {})).toMatchObject({
        result: { startAtLogin: true, notifications: false },
      });
      expect(await calls(window, "shell.change", { openAtLogin: true })).toHaveProperty("error");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("trouble that stays is told once; a click on it opens the window", async () => {
    const { window, daemon } = await runShell({ platform: "linux" });
    window.close();
    daemon.change({ problem: { code: "disk-full", message: "The disk is full." } });
    await settled();
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    const [told, ...others] = electron.Notification.shown;
    expect([told?.body, others]).toEqual(["The disk is full.", []]);
    told?.click();
    expect(window.isVisible()).toBe(true);
  });

  it("nothing is told where its owner does not want it, or the desktop cannot", async () => {
    const { window, daemon } = await runShell({ platform: "linux" });
    electron.Notification.supported = false;
    window.close();
    daemon.change({ problem: { code: "disk-full", message: "The disk is full." } });
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(electron.Notification.shown).toEqual([]);
  });
});
