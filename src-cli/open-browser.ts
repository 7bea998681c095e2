import { spawn } from "node:child_process";

const OPENERS: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  darwin: ["open"],
  // `start` is a word of cmd; the empty text is the window title it expects first.
  win32: ["cmd", "/c", "start", ""],
  linux: ["xdg-open"],
};

/** True where a person sits in front of a screen that a browser can open on. */
export function hasScreen(env: NodeJS.ProcessEnv, platform: NodeJS.Platform, terminal: boolean): boolean {
  if (!terminal || env["CI"] !== undefined || env["SSH_CONNECTION"] !== undefined) return false;
  return platform !== "linux" || env["DISPLAY"] !== undefined || env["WAYLAND_DISPLAY"] !== undefined;
}

/** Opens an address in the user's browser. It is printed too, so a failure needs no words. */
export function openBrowser(url: string, platform: NodeJS.Platform = process.platform): void {
  const [command, ...parameters] = OPENERS[platform] ?? ["xdg-open"];
  const child = spawn(command, [...parameters, url], { stdio: "ignore", detached: true });
  child.on("error", () => {});
  child.unref();
}
