import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { HELP } from "../src-daemon/options.ts";
import { buildDaemonBundle, daemonBundle } from "./daemon-bundle.ts";

const root = join(import.meta.dirname, "..");

test("the daemon as a few files is made once for the same sources, and is the same program", async () => {
  const path = await buildDaemonBundle(root);
  expect(path).toBe(daemonBundle(root));
  expect(await buildDaemonBundle(root)).toBe(path);
  const run = (...words: string[]) => spawnSync(process.execPath, [path, ...words], { encoding: "utf8" });
  expect(run("--help").stdout.trim()).toBe(HELP.trim());
  // It gets as far as its data folder: all of it is loaded.
  const folder = mkdtempSync(join(tmpdir(), "tah bundle "));
  writeFileSync(join(folder, "file"), "");
  const refused = run("--home", join(folder, "file"), "--port", "0");
  rmSync(folder, { recursive: true });
  expect(refused.stderr).toMatch(/there is a file where a folder is needed/);
}, 180_000);
