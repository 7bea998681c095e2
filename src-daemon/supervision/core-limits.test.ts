import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { coreShare, holdTo, ownCpus, parseCpuList } from "./core-limits.ts";

const cpus = [0, 1, 2, 3, 4, 5, 6, 7];
const none = { cores: null, quiet: false, memoryMegabytes: null };

describe("the share of a worker", () => {
  it.each([
    ["no limit", {}, 8, 1, { threads: 8 }],
    ["two cores for one worker", { cores: 2 }, 8, 1, { threads: 2, cpus: "6,7" }],
    ["two cores for three workers", { cores: 2 }, 2, 3, { threads: 1, cpus: "6,7" }],
    ["quiet", { quiet: true }, 8, 1, { threads: 4, cpus: "4,5,6,7", quiet: true }],
    ["quiet, and fewer cores", { cores: 1, quiet: true }, 8, 1, { threads: 1, cpus: "7", quiet: true }],
    ["more cores than there are", { cores: 64 }, 8, 1, { threads: 8 }],
    ["memory for three workers", { memoryMegabytes: 3000 }, 8, 3, { threads: 2, memoryBytes: 1e9 }],
  ])("%s", (_, limits, threads, workers, share) => {
    const unlimited = { cpus: null, quiet: false, memoryBytes: null };
    expect(coreShare({ ...none, ...limits }, threads, workers, cpus)).toEqual({ ...unlimited, ...share });
  });

  it("processors are read as the system writes them", () => {
    expect(parseCpuList("0-3,6")).toEqual([0, 1, 2, 3, 6]);
    expect(ownCpus().length).toBeGreaterThan(0);
  });
});

const canPin = process.platform === "linux" && ownCpus().length > 1 && hasTaskset();

function hasTaskset(): boolean {
  try {
    execFileSync("taskset", ["--version"]);
    return true;
  } catch {
    return false;
  }
}

describe.runIf(canPin)("a real process", () => {
  it("runs on its processors alone, and its threads at the lowest priority", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    try {
      const [, last] = [ownCpus()[0], ownCpus().at(-1)];
      await vi.waitFor(() => {
        holdTo(child.pid ?? 0, { cpus: String(last), quiet: true });
        expect(readFileSync(`/proc/${child.pid}/status`, "utf8")).toMatch(
          new RegExp(`^Cpus_allowed_list:\\s*${last}$`, "m"),
        );
      });
      const nice = execFileSync("ps", ["-L", "-o", "ni=", "-p", String(child.pid)], { encoding: "utf8" });
      expect(nice.trim().split(/\s+/)).toContain("19");
    } finally {
      child.kill("SIGKILL");
    }
  });
});
