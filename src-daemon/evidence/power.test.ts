import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { linuxPower } from "./power-linux.ts";
import { macosPower, parsePmset } from "./power-macos.ts";
import { parsePowerStatus, windowsPower } from "./power-windows.ts";
import { POWER_UNKNOWN } from "./probe.ts";

type Supplies = Record<string, Record<string, string>>;

describe("Linux", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "power supply "));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function make(supplies: Supplies): void {
    for (const [name, files] of Object.entries(supplies)) {
      mkdirSync(join(root, name));
      for (const [file, text] of Object.entries(files)) writeFileSync(join(root, name, file), `${text}\n`);
    }
  }
  const battery = (status: string, capacity = "80") => ({ type: "Battery", present: "1", status, capacity });
  const adapter = (online: string) => ({ type: "Mains", online });

  it.each<[string, Supplies, "mains" | "battery" | "unknown", number | null]>([
    ["a desktop computer: nothing at all", {}, "mains", null],
    ["a desktop with an adapter entry", { AC: adapter("1") }, "mains", null],
    ["a laptop plugged in", { AC: adapter("1"), BAT0: battery("Charging") }, "mains", 80],
    ["a laptop unplugged", { AC: adapter("0"), BAT0: battery("Discharging") }, "battery", 80],
    [
      "full, and just unplugged: the adapter knows first",
      { AC: adapter("0"), BAT0: battery("Full", "100") },
      "battery",
      100,
    ],
    ["plugged in and drained on purpose", { AC: adapter("1"), BAT0: battery("Discharging") }, "mains", 80],
    ["held at 80 %", { AC: adapter("1"), BAT0: battery("Not charging") }, "mains", 80],
    [
      "charged over USB-C, adapter entry stays 0",
      { AC: adapter("0"), usb: { type: "USB", online: "1" }, BAT0: battery("Charging") },
      "mains",
      80,
    ],
    [
      "USB-C only, too weak",
      { usb: { type: "USB", online: "1" }, BAT0: battery("Discharging") },
      "battery",
      80,
    ],
    ["no adapter entry, full", { BAT0: battery("Full", "100") }, "mains", 100],
    [
      "two batteries: the lower counts",
      { AC: adapter("0"), BAT0: battery("Full", "100"), BAT1: battery("Discharging", "7") },
      "battery",
      7,
    ],
    [
      "only the mouse has a battery",
      { hid: { ...battery("Discharging", "12"), scope: "Device" } },
      "mains",
      null,
    ],
    ["an empty bay", { BAT1: { ...battery("Unknown"), present: "0" } }, "mains", null],
    [
      "an UPS that carries the load",
      { ups: { type: "UPS", status: "Discharging", capacity: "55" } },
      "battery",
      55,
    ],
    ["a battery that tells nothing", { BAT0: battery("Unknown", "x") }, "unknown", null],
    ["an entry without a type", { odd: { online: "1" } }, "mains", null],
  ])("%s", async (_, supplies, power, batteryPercent) => {
    make(supplies);
    expect(await linuxPower(root)).toEqual({ power, batteryPercent });
  });

  it("no such folder: cannot tell", async () => {
    expect(await linuxPower(join(root, "none"))).toEqual(POWER_UNKNOWN);
  });
});

describe("macOS", () => {
  it.each([
    [
      " -InternalBattery-0 (id=4522083)\t85%; charging; 1:02 remaining present: true",
      "AC Power",
      "mains",
      85,
    ],
    [
      " -InternalBattery-0 (id=4522083)\t9%; discharging; (no estimate) present: true",
      "Battery Power",
      "battery",
      9,
    ],
    [" -Back-UPS ES (id=1)\t100%; discharging; 0:20 remaining present: true", "UPS Power", "battery", 100],
    ["", "AC Power", "mains", null],
    ["", "Fusion Power", "unknown", null],
  ])("%j from %s: %s", (line, source, power, batteryPercent) => {
    expect(parsePmset(`Now drawing from '${source}'\n${line}\n`)).toEqual({ power, batteryPercent });
  });

  it("odd output and a missing program: cannot tell", async () => {
    expect(parsePmset("zsh: command not found")).toEqual(POWER_UNKNOWN);
    expect(await macosPower(async () => null)).toEqual(POWER_UNKNOWN);
  });
});

describe("Windows", () => {
  it.each([
    ['{"line":"Online","charge":"High, Charging","percent":97}', "mains", 97],
    ['{"line":"Offline","charge":"0","percent":41}', "battery", 41],
    ['{"line":"Online","charge":"NoSystemBattery","percent":25500}', "mains", null],
    ['{"line":"Unknown","charge":"Unknown","percent":25500}', "unknown", null],
    ['{"line":"?"}', "unknown", null],
    ["Add-Type : Cannot add type.", "unknown", null],
    ["", "unknown", null],
  ])("%s", (output, power, batteryPercent) => {
    expect(parsePowerStatus(output)).toEqual({ power, batteryPercent });
  });

  it("without PowerShell: cannot tell", async () => {
    expect(await windowsPower(async () => null)).toEqual(POWER_UNKNOWN);
  });
});
