import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FuseState, FuseV1Options, getCurrentFuseWire } from "@electron/fuses";
import { afterEach, expect, test } from "vitest";
import afterPack, { FUSES } from "./fuses.mjs";

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

const KNOWN = Object.values(FuseV1Options).filter((value) => typeof value === "number");

/** A file with a fuse wire as Electron's binary has one, every fuse as Electron ships it: on. */
function binaryWith(fuses: number): { folder: string; path: string } {
  const folder = mkdtempSync(join(tmpdir(), "tah-fuses-"));
  folders.push(folder);
  const path = join(folder, "train-at-home");
  const sentinel = Buffer.from("dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX");
  const wire = Buffer.concat([sentinel, Buffer.from([1, fuses]), Buffer.from("1".repeat(fuses))]);
  writeFileSync(path, Buffer.concat([Buffer.alloc(64), wire, Buffer.alloc(64)]));
  return { folder, path };
}

const context = (folder: string) => ({
  electronPlatformName: "linux",
  appOutDir: folder,
  arch: 1,
  packager: { appInfo: { productFilename: "Train at Home" }, executableName: "train-at-home" },
});

test("packaging sets every fuse there is as it is meant", async () => {
  const { folder, path } = binaryWith(KNOWN.length);
  await afterPack(context(folder));
  const wire = await getCurrentFuseWire(path);
  const on = KNOWN.filter((fuse) => wire[fuse] === FuseState.ENABLE).map((fuse) => FuseV1Options[fuse]);
  expect(on).toEqual([
    "EnableCookieEncryption",
    "EnableEmbeddedAsarIntegrityValidation",
    "OnlyLoadAppFromAsar",
    "WasmTrapHandlers",
  ]);
});

test("no fuse is left to Electron's default", () => {
  expect(FUSES.strictlyRequireAllFuses).toBe(true);
  const unset = KNOWN.filter((fuse) => typeof FUSES[fuse as FuseV1Options] !== "boolean");
  expect(unset).toEqual([]);
});

test("a fuse that a newer Electron brings stops the packaging", async () => {
  const { folder } = binaryWith(KNOWN.length + 1);
  await expect(afterPack(context(folder))).rejects.toThrow(/strictlyRequireAllFuses/);
});
