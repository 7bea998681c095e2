import electronUpdater from "electron-updater";
import type { ShellPorts } from "./shell.ts";

/** Built in by the release's build (scripts/shell-bundle.ts); empty in every other. */
declare const TAH_UPDATE_URL: string;
declare const TAH_UPDATE_PUBLIC_KEY: string;

/**
 * Where the app updates itself: macOS, Windows, and an AppImage. What a package manager has put there
 * is its own to replace. Null too without an address and a key: nothing is taken unchecked.
 */
export function releaseUpdater(
  platform: NodeJS.Platform,
  env: Readonly<Record<string, string | undefined>>,
): ShellPorts["updater"] {
  if (TAH_UPDATE_URL === "" || TAH_UPDATE_PUBLIC_KEY === "") return null;
  if (platform === "linux" && env["APPIMAGE"] === undefined) return null;
  const port = electronUpdater.autoUpdater;
  port.setFeedURL({ provider: "generic", url: TAH_UPDATE_URL });
  return { port, publicKey: TAH_UPDATE_PUBLIC_KEY };
}
