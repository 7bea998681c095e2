import { dirname, join } from "node:path";
import {
  BrowserWindow,
  Menu,
  Notification,
  Tray,
  app,
  dialog,
  ipcMain,
  nativeImage,
  powerMonitor,
  powerSaveBlocker,
  protocol,
  screen,
  session,
  shell,
} from "electron";
import type { MenuItemConstructorOptions, NativeImage } from "electron";
import { AwakeBlocker } from "./awake.ts";
import { invitationOfLink, LINK_SCHEME } from "../src-protocol/invitation-link.ts";
import type { ShellChange, ShellSettings } from "../src-protocol/shell-settings.ts";
import type { DaemonLink } from "./daemon-link.ts";
import { EvidenceReporter } from "./evidence.ts";
import { say } from "../src-protocol/say.ts";
import { SCHEME } from "./origin.ts";
import { PageBridge } from "./page-bridge.ts";
import type { LoginItem } from "./login-item.ts";
import { Notices, type Notice } from "./notices.ts";
import { pageFile } from "./page-files.ts";
import { QuitGuard, type QuitAnswer } from "./quit.ts";
import { guardContents, guardSession } from "./security.ts";
import { readSettings, writeSettings } from "./settings-file.ts";
import { speak } from "./language.ts";
import { ShellTray } from "./tray.ts";
import { TodayEarned } from "./today-earned.ts";
import { trayView, type TrayAction, type TrayIcon } from "./tray-view.ts";
import { Updates, type UpdaterPort } from "./updates.ts";
import { WindowPlace } from "./window-place.ts";
import { bringForward, openDashboard, windowOptions } from "./window.ts";

export interface ShellPorts {
  readonly link: DaemonLink;
  /** Ends a daemon that does not answer. */
  readonly terminateDaemon: () => void;
  /** Folders of the dashboard's bundle, and of the icons. */
  readonly bundle: string;
  readonly assets: string;
  readonly preload: string;
  readonly platform: NodeJS.Platform;
  /** True when the computer's owner has just signed in: nobody asked for a window. */
  readonly hidden: boolean;
  /** Null: this app takes no updates (a checkout, a package of a distribution, a build without a key). */
  readonly updater: { readonly port: UpdaterPort; readonly publicKey: string } | null;
  /** Null: it cannot be started at sign-in (a checkout). */
  readonly loginItem: LoginItem | null;
  /** Of what the shell itself keeps. */
  readonly settingsFile: string;
  /** What the app was started with: a link to an invitation may be among it. */
  readonly words: readonly string[];
  readonly now: () => number;
  readonly every: (ms: number, action: () => void) => () => void;
}

/** Texts name times ("tomorrow"), which grow old by themselves. */
const REDRAW_MS = 60_000;
const ASK_TODAY_MS = 60_000;
const QUIT_ANSWERS = ["stop", "go-on", "cancel"] as const satisfies readonly QuitAnswer[];
const ORDER_TO_END_MS = 5_000;
const LOOK_FOR_END_MS = 200;
const UPDATE_WAITS_MS = 60_000;

/** Before Electron is ready: what cannot be done later. False: another shell runs, and shows its window. */
export function prepareShell(): boolean {
  // SECURITY: every renderer in the sandbox, whatever a window's options say.
  app.enableSandbox();
  protocol.registerSchemesAsPrivileged([
    { scheme: SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } },
  ]);
  // Links to invitations. On Linux the package's desktop entry says so.
  if (app.isPackaged) app.setAsDefaultProtocolClient(LINK_SCHEME);
  if (app.requestSingleInstanceLock()) return true;
  app.quit();
  return false;
}

/** The desktop shell: one window, one tray icon, and nothing that works. The daemon does that. */
export class Shell {
  readonly #ports: ShellPorts;
  readonly #quit: QuitGuard;
  readonly #bridge: PageBridge;
  readonly #evidence: EvidenceReporter;
  readonly #awake: AwakeBlocker;
  readonly #notices = new Notices();
  readonly #place: WindowPlace;
  /** The system ends: nobody is asked anything. */
  #isShuttingDown = false;
  /** Electron forgets a notification that nobody holds, and with it what a click on it does. */
  readonly #shown = new Set<Notification>();
  readonly #today: TodayEarned;
  #updates: Updates | null = null;
  #tray: ShellTray | null = null;
  #window: BrowserWindow | null = null;

  /** Call when Electron is ready. */
  constructor(ports: ShellPorts) {
    this.#ports = ports;
    const { link } = ports;
    this.#speak();
    guardContents(app, shell);
    guardSession(session.defaultSession);
    protocol.handle(SCHEME, (request) => pageFile(ports.bundle, request));
    this.#place = new WindowPlace({
      file: join(dirname(ports.settingsFile), "window.json"),
      screen,
      every: ports.every,
    });
    this.#quit = new QuitGuard({
      app,
      ask: () => this.#askAtQuit(),
      endWork: () => this.#endWork(),
      leaveWork: () => this.#leaveWork(),
    });
    powerMonitor.on("shutdown", () => (this.#isShuttingDown = true));
    this.#bridge = new PageBridge(ipcMain, link, {
      get: () => this.#settings(),
      change: (change) => this.#changeSettings(change),
    });
    this.#evidence = new EvidenceReporter({
      powerMonitor,
      platform: ports.platform,
      now: ports.now,
      every: ports.every,
      report: (evidence) => void link.call("evidence.report", { evidence }),
    });
    this.#awake = new AwakeBlocker(powerSaveBlocker);
    this.#today = new TodayEarned({
      call: (method, params) => link.call(method, params),
      now: ports.now,
      onChange: () => this.#tray?.render(),
    });
    this.#tray = this.#makeTray();
    link.onStatus(() => {
      this.#render();
      this.#askToday();
    });
    link.onState(() => this.#render());
    ports.every(REDRAW_MS, () => this.#render());
    ports.every(ASK_TODAY_MS, () => this.#askToday());
    app.on("second-instance", (_event, words) => {
      this.showWindow();
      this.#invite(words);
    });
    // macOS hands a link over as an event, the others as a word of the command.
    app.on("open-url", (event, url) => {
      event.preventDefault();
      this.showWindow();
      this.#invite([url]);
    });
    app.on("activate", () => this.showWindow());
    this.#setMenu();
    link.start();
    this.#updates = this.#makeUpdates();
    this.#updates?.start();
    this.#invite(ports.words);
    if (!ports.hidden) this.showWindow();
  }

  showWindow(): void {
    if (this.#quit.quitting) return;
    if (this.#window !== null && !this.#window.isDestroyed()) return bringForward(this.#window);
    const { preload, assets } = this.#ports;
    const place = this.#place.read();
    const window = new BrowserWindow(windowOptions(preload, join(assets, "icons", "256x256.png"), place));
    if (place?.isMaximized === true) window.maximize();
    this.#place.follow(window);
    this.#window = window;
    this.#bridge.attach(window.webContents);
    this.#quit.hideInsteadOfClose(window);
    openDashboard(window);
  }

  #render(): void {
    const { status, state } = this.#ports.link;
    this.#evidence.need(status.kind === "connected" && state !== null ? state.rules : null);
    this.#awake.follow(status.kind === "connected" ? state : null);
    this.#tray?.render();
    this.#tell();
  }

  #askToday(): void {
    const { status, state } = this.#ports.link;
    if (status.kind === "connected" && state !== null) void this.#today.ask(state.earnings.asset);
  }

  #settings(): ShellSettings {
    const { loginItem, settingsFile } = this.#ports;
    return { startAtLogin: loginItem?.isOn ?? null, ...readSettings(settingsFile) };
  }

  #changeSettings({ startAtLogin, ...change }: ShellChange): ShellSettings {
    const { loginItem, settingsFile } = this.#ports;
    if (startAtLogin !== undefined) loginItem?.set(startAtLogin);
    const before = readSettings(settingsFile);
    const after = {
      notifications: change.notifications ?? before.notifications,
      language: change.language ?? before.language,
      atQuit: change.atQuit ?? before.atQuit,
    };
    if (Object.keys(change).length > 0) writeSettings(settingsFile, after);
    if (after.language !== before.language) this.#speak();
    this.#tray?.render();
    return this.#settings();
  }

  #speak(): void {
    speak(readSettings(this.#ports.settingsFile).language, app.getPreferredSystemLanguages());
  }

  /** What its owner should hear of; while the window is in front, it says all of it itself. */
  #tell(): void {
    const { link, now, settingsFile } = this.#ports;
    const state = link.status.kind === "connected" ? link.state : null;
    const notices = this.#notices.follow(state, this.#updates?.state ?? { kind: "none" }, now());
    if (notices.length === 0 || this.#window?.isFocused() === true) return;
    if (!Notification.isSupported() || !readSettings(settingsFile).notifications) return;
    for (const notice of notices) this.#notify(notice);
  }

  #notify({ title, body, action }: Notice): void {
    // Buttons are for macOS; elsewhere the tray has the same.
    const hasButton = action !== null && this.#ports.platform === "darwin";
    const actions = hasButton ? [{ type: "button" as const, text: action.label }] : [];
    const notification = new Notification({ title, body, actions });
    this.#shown.add(notification);
    notification.on("click", () => this.showWindow());
    notification.on("action", () => action !== null && void this.#act(action.action));
    notification.on("close", () => this.#shown.delete(notification));
    notification.show();
  }

  #makeTray(): ShellTray | null {
    const { link, assets, platform, now, settingsFile } = this.#ports;
    try {
      return new ShellTray({
        create: (image) => new Tray(image),
        image: (icon) => trayImage(assets, platform, icon),
        menu: (template) => Menu.buildFromTemplate(template),
        view: () =>
          trayView(
            link.status,
            link.state,
            now(),
            this.#updates?.state,
            readSettings(settingsFile).atQuit,
            link.state === null ? null : this.#today.rao(link.state.earnings.asset),
          ),
        act: (action) => void this.#act(action),
      });
    } catch {
      // A desktop without a tray. The window has all that the tray has.
      return null;
    }
  }

  async #act(action: TrayAction): Promise<void> {
    const { link } = this.#ports;
    switch (action.kind) {
      case "open":
        return this.showWindow();
      case "pause":
        await link.call("policy.pause", { minutes: action.minutes, by: "tray" });
        return;
      case "finish":
        await link.call("policy.finish", { minutes: null, by: "tray" });
        return;
      case "start":
        await link.call("policy.start", { minutes: action.minutes, by: "tray" });
        return;
      case "resume":
        await link.call("policy.resume", {});
        return;
      case "restart":
        return link.start();
      case "update":
        return this.#updates?.install();
      case "quit":
        return app.quit();
    }
  }

  /** Asked once: what was said with "do not ask again" holds, and can be changed in the settings. */
  async #askAtQuit(): Promise<QuitAnswer> {
    const { link, settingsFile } = this.#ports;
    const settings = readSettings(settingsFile);
    if (settings.atQuit !== "ask") return settings.atQuit;
    // Without a daemon there is no work that could go on.
    if (link.status.kind !== "connected" || this.#isShuttingDown) return "stop";
    const { response, checkboxChecked } = await dialog.showMessageBox({
      type: "question",
      title: "Train at Home",
      message: say("Should work go on when this app is closed?"),
      detail: say(
        "It then follows its schedule without a window; open Train at Home again to see or stop it.",
      ),
      buttons: [say("Stop working and quit"), say("Quit, work goes on"), say("Cancel")],
      defaultId: 0,
      cancelId: 2,
      noLink: true,
      checkboxLabel: say("Do not ask again"),
    });
    const answer = QUIT_ANSWERS[response] ?? "cancel";
    if (checkboxChecked && answer !== "cancel") writeSettings(settingsFile, { ...settings, atQuit: answer });
    return answer;
  }

  #leaveWork(): void {
    this.#ports.link.close();
    this.#tray?.destroy();
  }

  async #endWork(): Promise<void> {
    const { link, terminateDaemon, every } = this.#ports;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const stopWaiting = every(ORDER_TO_END_MS, resolve);
    try {
      const answer = await Promise.race([link.call("daemon.quit", {}), late]);
      if (answer === undefined || "error" in answer) terminateDaemon();
    } finally {
      stopWaiting();
      link.close();
      this.#tray?.destroy();
    }
  }

  #makeUpdates(): Updates | null {
    const { updater, every, link } = this.#ports;
    if (updater === null) return null;
    return new Updates({
      updater: updater.port,
      publicKey: updater.publicKey,
      endWork: () => {
        void link.call("daemon.quit", {});
        return this.#daemonGone();
      },
      mayLeave: () => {
        link.close();
        this.#quit.leaveNow();
      },
      every,
      onChange: () => this.#tray?.render(),
    });
  }

  /** The daemon saves the step that it is at first; one that takes longer than a minute is ended. */
  #daemonGone(): Promise<void> {
    const { link, every, terminateDaemon } = this.#ports;
    const { promise, resolve } = Promise.withResolvers<void>();
    const since = this.#ports.now();
    const stop = every(LOOK_FOR_END_MS, () => {
      const isLate = this.#ports.now() - since > UPDATE_WAITS_MS;
      if (link.status.kind !== "ended" && !isLate) return;
      if (isLate) terminateDaemon();
      stop();
      resolve();
    });
    return promise;
  }

  /** Shows the dashboard what a tah:// link leads to; joining it needs its owner's yes there. */
  #invite(words: readonly string[]): void {
    const invitation = words.map(invitationOfLink).find((one) => one !== null);
    if (invitation === undefined || invitation === null) return;
    const { link, every } = this.#ports;
    const stop = every(LOOK_FOR_END_MS, () => {
      if (link.status.kind !== "connected") return;
      stop();
      void link.call("network.offer", { invitation });
    });
  }

  /** macOS needs a menu for Copy and Quit to have their keys; elsewhere the window has none. */
  #setMenu(): void {
    const template: MenuItemConstructorOptions[] = [
      { role: "appMenu" },
      { role: "editMenu" },
      { role: "windowMenu" },
    ];
    Menu.setApplicationMenu(this.#ports.platform === "darwin" ? Menu.buildFromTemplate(template) : null);
  }
}

function trayImage(assets: string, platform: NodeJS.Platform, icon: TrayIcon): NativeImage {
  // macOS paints a template image itself, to suit a light or a dark menu bar.
  const template = platform === "darwin" ? "Template" : "";
  const image = nativeImage.createFromPath(join(assets, "tray", `${icon}${template}.png`));
  if (template !== "") image.setTemplateImage(true);
  return image;
}
