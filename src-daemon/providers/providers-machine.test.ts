import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { probedMachine as probedMachineSchema } from "../../src-protocol/providers.ts";
import { linuxGraphics, probedMachine } from "./providers-machine.ts";

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), "tah machine "))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), text);
}

it("a machine is known by its cards and their drivers", () => {
  expect(linuxGraphics(root)).toEqual([]);
  put("sys/class/drm/card0/device/vendor", "0x1002\n");
  put("sys/class/drm/card0/device/device", "0x744c\n");
  put("sys/class/drm/card0-HDMI-A-1/status", "connected\n");
  put("proc/driver/nvidia/version", "NVRM version: 560.35\nGCC version: 12\n");
  expect(linuxGraphics(root)).toEqual(["card 0x1002 0x744c", "NVRM version: 560.35"]);
  put("usr/share/vulkan/icd.d/radeon_icd.json", "{}");
  expect(linuxGraphics(root)[2]).toMatch(/^vulkan radeon_icd\.json \d{4}-\d\d-\d\dT/);
});

it("this machine can be told from others, the same twice", () => {
  const machine = probedMachine(3);
  expect(probedMachineSchema.parse(machine)).toEqual(probedMachine(3));
  expect(machine).toMatchObject({ onnxruntime: expect.stringMatching(/^\d+\.\d+\.\d+/), threads: 3 });
});
