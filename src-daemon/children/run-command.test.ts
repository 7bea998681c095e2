import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hasSessionBus } from "./run-command.ts";

test("a desktop's bus is there by its address or by its socket, and nobody starts one", () => {
  const folder = mkdtempSync(join(tmpdir(), "bus "));
  try {
    expect(hasSessionBus({})).toBe(false);
    expect(hasSessionBus({ DBUS_SESSION_BUS_ADDRESS: "" })).toBe(false);
    expect(hasSessionBus({ XDG_RUNTIME_DIR: folder })).toBe(false);
    writeFileSync(join(folder, "bus"), "");
    expect(hasSessionBus({ XDG_RUNTIME_DIR: folder })).toBe(true);
    expect(hasSessionBus({ DBUS_SESSION_BUS_ADDRESS: "unix:path=/run/user/1000/bus" })).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
