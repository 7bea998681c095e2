import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { handedOver } from "../src-protocol/keychain.ts";
import * as electron from "./electron-double/electron.ts";
import { Keychain } from "./keychain.ts";

vi.mock("electron", () => import("./electron-double/electron.ts"));

/** Windows knows no such bits. */
const OTHERS = process.platform === "win32" ? 0 : 0o077;
/** On the double of Electron: that a real keychain keeps what it is given is not shown here. */
let folder = "";
let lookLater: (() => void) | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah keychain "));
  electron.reset();
  electron.app.becomeReady();
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = () => join(folder, "app", "hotkey-passphrase.sealed");
const opened = (platform: NodeJS.Platform = "linux") =>
  new Keychain({
    safeStorage: electron.safeStorage,
    platform,
    file: file(),
    after(_ms, action) {
      lookLater = action;
      return () => (lookLater = null);
    },
  });
const PLAIN_TEXT = { keychain: "none", why: "plain-text" };
const UNREADABLE = { keychain: "none", why: "unreadable" };

it("one passphrase is made and handed to each daemon; its file holds what the keychain has sealed", async () => {
  const first = handedOver.parse(await opened().handOver());
  expect(first.keychain).toBe("here");
  expect(await opened("darwin").handOver()).toEqual(first);
  expect(await opened("win32").handOver()).toEqual(first);
  const passphrase = first.keychain === "here" ? first.passphrase : "";
  expect(readFileSync(file(), "latin1")).not.toContain(passphrase);
  expect(statSync(file()).mode & OTHERS).toBe(0);
});

it("a Linux desktop without a keyring is no keychain: nothing is kept, and that is said", async () => {
  electron.safeStorage.backend = "basic_text";
  expect(await opened().handOver()).toEqual(PLAIN_TEXT);
  expect(existsSync(file())).toBe(false);
  // The word is about Linux alone.
  expect((await opened("win32").handOver()).keychain).toBe("here");
});

it("nor is a keyring that is named and does not run", async () => {
  electron.safeStorage.running = false;
  expect(await opened().handOver()).toEqual(PLAIN_TEXT);
  expect(existsSync(file())).toBe(false);
});

it("a keychain that is not there is said", async () => {
  electron.safeStorage.available = false;
  expect(await opened().handOver()).toEqual({ keychain: "none", why: "unavailable" });
  expect(existsSync(file())).toBe(false);
});

it("what a lost keychain has sealed stays as it is: the keychain may come back", async () => {
  await opened().handOver();
  const sealed = readFileSync(file());
  electron.safeStorage.lose();
  expect(await opened().handOver()).toEqual(UNREADABLE);
  expect(readFileSync(file())).toEqual(sealed);
});

it("a passphrase that cannot be kept is not handed over either", async () => {
  writeFileSync(join(folder, "app"), "a file where the folder should be");
  expect(await opened().handOver()).toEqual(UNREADABLE);
});

it("a keychain whose owner does not answer keeps no daemon waiting for ever", async () => {
  electron.safeStorage.hang();
  const asked = opened().handOver();
  lookLater?.();
  expect(await asked).toEqual(UNREADABLE);
});
