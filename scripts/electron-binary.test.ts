import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { electronBinary } from "./electron-binary.ts";

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

/** `node_modules/electron` after a download. */
function installed({ version = "45.4.1", binary = true } = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "tah electron "));
  folders.push(folder);
  mkdirSync(join(folder, "dist"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ version: "45.4.1" }));
  writeFileSync(join(folder, "path.txt"), "electron");
  writeFileSync(join(folder, "dist", "version"), `v${version}`);
  if (binary) writeFileSync(join(folder, "dist", "electron"), "");
  return folder;
}

test("a downloaded Electron is found", () => {
  const folder = installed();
  expect(electronBinary(folder, {})).toBe(join(folder, "dist", "electron"));
});

test("without a download there is none, and looking does not start one", () => {
  const folder = mkdtempSync(join(tmpdir(), "tah-electron-"));
  folders.push(folder);
  expect(electronBinary(folder, {})).toBeNull();
});

test("a half-finished download or one of another version does not count", () => {
  expect(electronBinary(installed({ binary: false }), {})).toBeNull();
  expect(electronBinary(installed({ version: "44.0.0" }), {})).toBeNull();
});
