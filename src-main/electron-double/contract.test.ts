import { beforeEach, expect, it } from "vitest";
import { CONTRACT } from "./contract.ts";
import * as electron from "./electron.ts";

beforeEach(() => {
  electron.reset();
  electron.app.becomeReady();
});

it.each(CONTRACT)("$name", ({ tried, comesTo }) => {
  expect(tried(electron as never)).toEqual(comesTo);
});

it("before it is ready there is no window, no tray and no notification; afterwards no scheme gets privileges", () => {
  electron.reset();
  for (const make of [() => new electron.BrowserWindow(), () => new electron.Notification()])
    expect(make).toThrow(/before app is ready/);
  electron.app.becomeReady();
  expect(() => electron.protocol.registerSchemesAsPrivileged([])).toThrow(/before app is ready/);
});
