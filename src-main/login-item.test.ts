import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loginItem } from "./login-item.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tah login "))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The list that macOS and Windows keep. */
function list() {
  const said: unknown[] = [];
  let open = false;
  return {
    said,
    getLoginItemSettings: () => ({ openAtLogin: open }) as Electron.LoginItemSettings,
    setLoginItemSettings(settings: Electron.Settings) {
      said.push(settings);
      open = settings.openAtLogin ?? false;
    },
  };
}

it("on Linux it is an autostart entry whose program is quoted, and gone when it is taken back", () => {
  const app = list();
  const program = '/opt/Train "at" Home/100%/$x\\y';
  const item = loginItem({ app, platform: "linux", configFolder: folder, program });
  expect(item.isOn).toBe(false);
  item.set(true);
  expect(item.isOn).toBe(true);
  const entry = readFileSync(join(folder, "autostart", "train-at-home.desktop"), "utf8");
  expect(entry).toContain(
    String.raw`Exec="/opt/Train \\"at\\" Home/100%%/\\$x\\\\y" --hidden` + "\nTerminal=false",
  );
  item.set(false);
  item.set(false);
  expect([item.isOn, existsSync(join(folder, "autostart", "train-at-home.desktop"))]).toEqual([false, false]);
  expect(app.said).toEqual([]);
});

it("Windows is told to hand the word over, macOS is not", () => {
  for (const [platform, said] of [
    ["win32", { openAtLogin: true, args: ["--hidden"] }],
    ["darwin", { openAtLogin: true }],
  ] as const) {
    const app = list();
    const item = loginItem({ app, platform, configFolder: folder, program: "/x" });
    item.set(true);
    expect([item.isOn, app.said]).toEqual([true, [said]]);
  }
});
