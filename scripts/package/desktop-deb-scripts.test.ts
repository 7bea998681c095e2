import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { desktopPrerm } from "./desktop-deb-scripts.ts";

const prerm = readFileSync(join(import.meta.dirname, "..", "..", "assets", "linux", "prerm"), "utf8");

test("the desktop's package offers the key before its removal, and leaves upgrades to the app", () => {
  const script = desktopPrerm(prerm);
  expect(script).toContain("LIB='/opt/Train at Home/resources'\n");
  expect(script).toMatch(/remove \| deconfigure\)\n {4}offer_export\n/);
  expect(script).not.toContain("failed-upgrade)");
  expect(script).not.toContain("/usr/lib/train-at-home\n");
});

test.skipIf(process.platform === "win32")("both scripts are read by the shell", () => {
  for (const script of [prerm, desktopPrerm(prerm)])
    expect(spawnSync("sh", ["-n"], { input: script, encoding: "utf8" })).toMatchObject({
      status: 0,
      stderr: "",
    });
});
