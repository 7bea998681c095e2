import { readFileSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { ProbedMachine } from "../../src-protocol/providers.ts";

const packageFile = z.object({ version: z.string() });

/**
 * What an earlier test of the providers was true of. Node does not know graphics cards; Linux shows
 * them and their drivers as files, elsewhere the system's build stands for its drivers (on a Mac
 * the processor's name says which graphics it has).
 */
export function probedMachine(threads: number): ProbedMachine {
  return {
    onnxruntime: onnxruntimeVersion(),
    platform: `${process.platform} ${process.arch}`,
    system: release().slice(0, 128),
    processor: (cpus()[0]?.model ?? "unknown").trim().slice(0, 128),
    graphics: process.platform === "linux" ? linuxGraphics("/") : [],
    threads,
  };
}

/** ONNX Runtime itself is not loaded: it would cost the daemon tens of megabytes. */
function onnxruntimeVersion(): string {
  const path = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
  return packageFile.parse(JSON.parse(readFileSync(path, "utf8"))).version;
}

/** Cards (PCI vendor and device), NVIDIA's driver, and the Vulkan drivers with their dates of installation. */
export function linuxGraphics(root: string): string[] {
  const at = (...parts: string[]): string => join(root, ...parts);
  const cards = names(at("sys", "class", "drm"))
    .filter((name) => /^card\d+$/.test(name))
    .map((name) => {
      const device = at("sys", "class", "drm", name, "device");
      return `card ${line(join(device, "vendor"))} ${line(join(device, "device"))}`;
    });
  const nvidia = line(at("proc", "driver", "nvidia", "version"));
  const drivers = [at("usr", "share", "vulkan", "icd.d"), at("etc", "vulkan", "icd.d")].flatMap((folder) =>
    names(folder)
      .filter((name) => name.endsWith(".json"))
      .map((name) => `vulkan ${name} ${changed(join(folder, name))}`),
  );
  return [...cards, ...(nvidia === "" ? [] : [nvidia]), ...drivers]
    .map((each) => each.slice(0, 256))
    .slice(0, 64);
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function line(path: string): string {
  try {
    return readFileSync(path, "utf8").split("\n")[0]?.trim() ?? "";
  } catch {
    return "";
  }
}

function changed(path: string): string {
  try {
    return statSync(path).mtime.toISOString().slice(0, 19);
  } catch {
    return "";
  }
}
