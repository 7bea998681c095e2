import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Daemon } from "../src-daemon/daemon.ts";
import type { main as Main } from "../src-daemon/main.ts";
import { daemonScript } from "../src-cli/daemon-script.ts";
import type { DesktopWindow } from "./desktop-window.ts";
import { hasScreen, openBrowser } from "../src-cli/open-browser.ts";

/**
 * `npm start`, once set-up is done: the daemon in this terminal, its dashboard in the desktop window
 * when Electron's binary is here, else in the browser. `--no-open` opens nothing.
 */
const root = join(import.meta.dirname, "..");
const words = process.argv.slice(2).filter((word) => word !== "--no-open");
const mayOpen =
  words.length === process.argv.length - 2 && hasScreen(process.env, process.platform, process.stdout.isTTY);
const windows: DesktopWindow[] = [];

const code = await start();
for (const window of windows) window.close();
process.stdout.write("", () => process.exit(code));

async function start(): Promise<number> {
  // In a process of its own: what builds would stay in the daemon's memory, 300 MB of it.
  const built = spawnSync(process.execPath, [join(import.meta.dirname, "dashboard-build.ts")], {
    stdio: "inherit",
  });
  if (built.status !== 0) return 1;
  const script = pathToFileURL(daemonScript()).href;
  const { main } = (await import(script)) as { readonly main: typeof Main };
  return main([...words, "--exit-with-parent"], (daemon) => {
    if (mayOpen) void open(daemon);
  });
}

async function open(daemon: Daemon): Promise<void> {
  // What a server never opens is not loaded there.
  const { openDesktopWindow, windowAllowed } = await import("./desktop-window.ts");
  const { electronBinary } = await import("./electron-binary.ts");
  const binary = electronBinary();
  if (binary === null || !windowAllowed()) openBrowser(daemon.loginUrl());
  else windows.push(await openDesktopWindow(root, binary, [], daemon.home.path));
}
