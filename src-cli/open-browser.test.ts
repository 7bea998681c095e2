import { expect, test } from "vitest";
import { hasScreen } from "./open-browser.ts";

test("a browser opens only where a person sits in front of a screen", () => {
  expect(hasScreen({ DISPLAY: ":0" }, "linux", true)).toBe(true);
  expect(hasScreen({ WAYLAND_DISPLAY: "wayland-0" }, "linux", true)).toBe(true);
  expect(hasScreen({}, "darwin", true)).toBe(true);
  expect(hasScreen({}, "linux", true)).toBe(false);
  expect(hasScreen({ DISPLAY: ":0" }, "linux", false)).toBe(false);
  expect(hasScreen({ CI: "true" }, "darwin", true)).toBe(false);
  expect(hasScreen({ DISPLAY: ":0", SSH_CONNECTION: "x" }, "linux", true)).toBe(false);
});
