import { join } from "node:path";
import { vi } from "vitest";
import { DaemonLink } from "../daemon-link.ts";
import * as electron from "../electron-double/electron.ts";
import { PAGE } from "../origin.ts";
import { Shell, prepareShell, type ShellPorts } from "../shell.ts";
import { DaemonDouble } from "./daemon-double.ts";

const root = join(import.meta.dirname, "..", "..");

export interface RunningShell {
  readonly shell: Shell;
  readonly daemon: DaemonDouble;
  readonly window: InstanceType<typeof electron.BrowserWindow>;
  readonly tray: InstanceType<typeof electron.Tray>;
}

export interface ShellChoices {
  readonly daemonRuns?: boolean;
  readonly platform?: NodeJS.Platform;
  readonly daemon?: DaemonDouble;
  readonly words?: readonly string[];
  readonly updater?: ShellPorts["updater"];
  readonly loginItem?: ShellPorts["loginItem"];
  readonly settingsFile?: string;
  /** Of the system's user. */
  readonly languages?: readonly string[];
}

/** The shell on the double of Electron, with the page loaded. Uses fake timers. */
export async function runShell(choices: ShellChoices = {}): Promise<RunningShell> {
  const {
    daemonRuns = true,
    platform = "darwin",
    words = [],
    updater = null,
    loginItem = null,
    settingsFile = "/nowhere/shell.json",
    languages = ["en-GB"],
    daemon = new DaemonDouble({ running: daemonRuns }),
  } = choices;
  electron.reset();
  electron.world.languages = [...languages];
  prepareShell();
  electron.app.becomeReady();
  const link = new DaemonLink({
    ...daemon.ports(),
    after: (ms, action) => {
      const timer = setTimeout(action, ms);
      return () => clearTimeout(timer);
    },
  });
  const shell = new Shell({
    link,
    terminateDaemon: () => (daemon.terminated += 1),
    bundle: join(root, "src-renderer"),
    assets: join(root, "assets"),
    preload: "/preload.cjs",
    platform,
    hidden: false,
    words,
    updater,
    loginItem,
    settingsFile,
    now: Date.now,
    every: (ms, action) => {
      const timer = setInterval(action, ms);
      return () => clearInterval(timer);
    },
  });
  const [window] = electron.BrowserWindow.getAllWindows();
  const [tray] = electron.Tray.present;
  if (window === undefined || tray === undefined) throw new Error("the shell opened no window or no tray");
  // Reading the page's file takes real time; only clocks are fake.
  await vi.waitFor(
    () => {
      if (window.webContents.getURL() !== PAGE) throw new Error("the page is not there yet");
    },
    { interval: 1 },
  );
  await settled();
  return { shell, daemon, window, tray };
}

/** Until all messages under way have arrived. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}
