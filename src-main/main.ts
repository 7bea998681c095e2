import { join } from "node:path";
import { app, dialog, safeStorage } from "electron";
import { WebSocket } from "ws";
import { DaemonLink } from "./daemon-link.ts";
import { DaemonProcess, findDaemonProgram } from "./daemon-process.ts";
import { ownDataFolder, readApi } from "./data-folder.ts";
import { Keychain } from "./keychain.ts";
import { HIDDEN, loginItem } from "./login-item.ts";
import { say } from "../src-protocol/say.ts";
import { releaseUpdater } from "./release-updater.ts";
import { Shell, prepareShell } from "./shell.ts";

/** The desktop app's first file, bundled to `dist/main/main.js`. */
const main = import.meta.dirname;
const checkout = join(main, "..", "..");

function open(): void {
  const home = ownDataFolder();
  // A checkout runs in an Electron that any other checkout has too.
  const keychain = app.isPackaged
    ? new Keychain({
        safeStorage,
        platform: process.platform,
        file: join(app.getPath("userData"), "hotkey-passphrase.sealed"),
        after,
      })
    : null;
  const daemon = new DaemonProcess({
    program: findDaemonProgram({
      resources: app.isPackaged ? process.resourcesPath : null,
      checkout,
      platform: process.platform,
      arch: process.arch,
    }),
    home,
    startLog: join(app.getPath("logs"), "daemon-start.log"),
    env: process.env,
    handOver: keychain === null ? null : () => keychain.handOver(),
  });
  const link = new DaemonLink({
    readApi: () => readApi(home),
    open: (api) =>
      new WebSocket(`${api.url.replace(/^http/, "ws")}/rpc`, {
        headers: { Authorization: `Bearer ${api.token}` },
        perMessageDeflate: false,
        handshakeTimeout: 5_000,
      }),
    process: daemon,
    after,
  });
  // oxlint-disable-next-line no-new -- the shell lives in its listeners
  new Shell({
    link,
    terminateDaemon: () => daemon.terminate(),
    bundle: join(main, "..", "renderer"),
    assets: join(checkout, "assets"),
    preload: join(main, "preload.cjs"),
    platform: process.platform,
    hidden: process.argv.includes(HIDDEN) || app.getLoginItemSettings().wasOpenedAtLogin,
    loginItem: app.isPackaged
      ? loginItem({
          app,
          platform: process.platform,
          configFolder: app.getPath("appData"),
          // An AppImage runs from a folder that is gone at the next start.
          program: process.env["APPIMAGE"] ?? process.execPath,
        })
      : null,
    settingsFile: join(app.getPath("userData"), "shell.json"),
    words: process.argv.slice(1),
    updater: app.isPackaged ? releaseUpdater(process.platform, process.env) : null,
    now: Date.now,
    every: (ms, action) => {
      const timer = setInterval(action, ms);
      return () => clearInterval(timer);
    },
  });
}

function after(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
}

if (prepareShell()) {
  app
    .whenReady()
    .then(open)
    .catch((error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      dialog.showErrorBox(
        say("Train at Home could not open its window"),
        `${text}\n\n${say("The work itself is not affected.")}`,
      );
      app.exit(1);
    });
}
