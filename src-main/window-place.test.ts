import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { EventEmitter } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { WindowPlace } from "./window-place.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tah place "))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const SCREEN = { workArea: { x: 0, y: 0, width: 1920, height: 1080 } } as Electron.Display;
const AT = { x: 100, y: 40, width: 900, height: 700, isMaximized: false };

function placeOf(displays = [SCREEN]) {
  const timers: (() => void)[] = [];
  const place = new WindowPlace({
    file: join(folder, "window.json"),
    screen: { getAllDisplays: () => displays },
    every: (_ms, action) => {
      timers.push(action);
      return () => timers.splice(timers.indexOf(action), 1);
    },
  });
  return { place, timers };
}

/** A window that is where it is said to be. */
class FakeWindow extends EventEmitter {
  bounds = AT;
  getNormalBounds = () => ({
    x: this.bounds.x,
    y: this.bounds.y,
    width: this.bounds.width,
    height: this.bounds.height,
  });
  isMaximized = () => this.bounds.isMaximized;
  isDestroyed = () => false;
}

it("is read again as it was left, and written once for a whole move", () => {
  const { place, timers } = placeOf();
  expect(place.read()).toBeNull();
  const window = new FakeWindow();
  place.follow(window as never);
  for (let x = 0; x < 50; x += 1) window.emit("move");
  window.bounds = { ...AT, x: 300, isMaximized: true };
  window.emit("resize");
  expect(timers).toHaveLength(1);
  timers[0]?.();
  expect(timers).toHaveLength(0);
  expect(place.read()).toEqual({ ...AT, x: 300, isMaximized: true });
});

it("is forgotten when its screen is gone, and when the file is damaged", () => {
  const file = join(folder, "window.json");
  writeFileSync(file, JSON.stringify({ ...AT, x: 2_500 }));
  expect(placeOf().place.read()).toBeNull();
  const right = { workArea: { ...SCREEN.workArea, x: 1920 } } as Electron.Display;
  expect(placeOf([SCREEN, right]).place.read()).toMatchObject({ x: 2_500 });
  writeFileSync(file, "{");
  expect(placeOf().place.read()).toBeNull();
  expect(readFileSync(file, "utf8")).toBe("{");
});
