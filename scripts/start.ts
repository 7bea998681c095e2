import { join } from "node:path";
import type { Daemon } from "../src-daemon/daemon.ts";
import { main } from "../src-daemon/main.ts";
import { failureBody } from "../src-protocol/failure.ts";
import type { DesktopWindow } from "./desktop-window.ts";
import { openDesktopWindow, windowAllowed } from "./desktop-window.ts";
import { electronBinary } from "./electron-binary.ts";
import { hasScreen, openBrowser } from "../src-cli/open-browser.ts";
import { ensureRenderer } from "./renderer.ts";

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
  try {
    await ensureRenderer(root, (text) => process.stderr.write(`${text}\n`));
  } catch (error) {
    process.stderr.write(`${failureBody(error).message}\n`);
    return 1;
  }
  return main([...words, "--exit-with-parent"], (daemon) => {
    if (mayOpen) void open(daemon);
  });
}

async function open(daemon: Daemon): Promise<void> {
  const binary = electronBinary();
  if (binary === null || !windowAllowed()) openBrowser(daemon.loginUrl());
  else windows.push(await openDesktopWindow(root, binary, [], daemon.home.path));
}
