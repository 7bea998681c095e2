import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { builderProblems } from "./check-builder.ts";

const checkout = join(import.meta.dirname, "..");
const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

/** A checkout with its configuration changed. */
function changed(from: string, to: string): string {
  const root = mkdtempSync(join(tmpdir(), "tah builder "));
  folders.push(root);
  for (const path of ["package.json", "assets", "scripts/fuses.mjs"])
    cpSync(join(checkout, path), join(root, path), { recursive: true });
  const text = readFileSync(join(checkout, "electron-builder.yml"), "utf8");
  expect(text).toContain(from);
  writeFileSync(join(root, "electron-builder.yml"), text.replace(from, to));
  return root;
}

test("this checkout's package configuration is in order", async () => {
  expect(await builderProblems(checkout)).toEqual([]);
});

test("a misspelt setting is refused, and its place named", async () => {
  const [problem] = await builderProblems(changed("oneClick:", "oneClikc:"));
  expect(problem).toContain("configuration.nsis");
});

test("a value of the wrong kind is refused", async () => {
  const problems = await builderProblems(changed("hardenedRuntime: true", "hardenedRuntime: maybe"));
  expect(problems.join()).toContain("hardenedRuntime");
});

test("an icon that is not there is named", async () => {
  expect(await builderProblems(changed("assets/icon.ico", "assets/icon2.ico"))).toEqual([
    "electron-builder.yml names assets/icon2.ico, which does not exist.",
  ]);
});

test("a removal that would never offer the key's export is refused", async () => {
  const root = changed("asar: true", "asar: true");
  const script = join(root, "assets/windows/installer.nsh");
  const text = readFileSync(script, "utf8");
  writeFileSync(script, text.replace("${if} ${Errors}", "${ifNot} ${Silent}"));
  expect((await builderProblems(root)).join()).toContain("must offer the key's export at removal");
});

test.each([
  ['  - "!**/*"\n', "", "files must begin"],
  ["asar: true", "asar: false", "asar must be true"],
  ["npmRebuild: false", "npmRebuild: true", "npmRebuild must be false"],
  ["hardenedRuntime: true", "hardenedRuntime: false", "hardenedRuntime must be true"],
])("what guards the package may not be loosened: %j", async (from, to, says) => {
  expect((await builderProblems(changed(from, to))).join()).toContain(says);
});
