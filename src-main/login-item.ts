import { mkdirSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { App } from "electron";

/** Whether the app starts by itself, without a window, when its owner signs in. */
export interface LoginItem {
  readonly isOn: boolean;
  set(on: boolean): void;
}

export const HIDDEN = "--hidden";

export interface LoginItemPorts {
  readonly app: Pick<App, "getLoginItemSettings" | "setLoginItemSettings">;
  readonly platform: NodeJS.Platform;
  /** The user's folder of settings (`~/.config`), and the program to start; Linux alone. */
  readonly configFolder: string;
  readonly program: string;
}

/**
 * macOS and Windows keep a list of their own. On Linux it is a desktop entry in the user's `autostart` folder
 * (freedesktop.org, Desktop Application Autostart Specification 0.5).
 */
export function loginItem({ app, platform, configFolder, program }: LoginItemPorts): LoginItem {
  if (platform === "linux") return autostartEntry(join(configFolder, "autostart"), program);
  // Windows hands the words over; macOS says by itself that nobody asked for a window.
  const words = platform === "win32" ? { args: [HIDDEN] } : {};
  return {
    get isOn() {
      return app.getLoginItemSettings(words).openAtLogin;
    },
    set: (on) => app.setLoginItemSettings({ openAtLogin: on, ...words }),
  };
}

function autostartEntry(folder: string, program: string): LoginItem {
  const path = join(folder, "train-at-home.desktop");
  return {
    get isOn() {
      return existsSync(path);
    },
    set(on) {
      if (!on) return rmSync(path, { force: true });
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, desktopEntry(program));
    },
  };
}

function desktopEntry(program: string): string {
  return [
    "[Desktop Entry]",
    "Type=Application",
    "Name=Train at Home",
    "Comment=Trains a slice of a large model when its rules allow it",
    `Exec=${quoted(program)} ${HIDDEN}`,
    "Terminal=false",
    "X-GNOME-Autostart-enabled=true",
    "",
  ].join("\n");
}

/** As the Desktop Entry Specification 1.5 quotes an argument of Exec; a percent sign begins a field there. */
function quoted(word: string): string {
  const escaped = word.replaceAll(/["`$\\]/g, (letter) =>
    letter === "\\" ? String.raw`\\\\` : String.raw`\\` + letter,
  );
  return `"${escaped.replaceAll("%", "%%")}"`;
}
