import { expect, it } from "vitest";
import { ALWAYS } from "../../src-protocol/policy.ts";
import { NO_LIMITS } from "../../src-protocol/line-limits.ts";
import { limitsReport } from "../../src-protocol/limits-report.ts";
import { limitsShown } from "./limits-shown.ts";
import type { LimitsSeen } from "./limits-shown.ts";

const seen: LimitsSeen = {
  limits: { ...ALWAYS.work, ...NO_LIMITS },
  rules: ALWAYS,
  traffic: { limits: NO_LIMITS, uploadMbit: 1, downloadMbit: 2 },
  isAlone: false,
  monthBytes: 3e9,
  folderBytes: 1e9,
  held: {
    share: { threads: 8, cpus: null, quiet: false, memoryBytes: null },
    workers: 1,
    onCards: 0,
    memoryBytes: 5e8,
  },
  cores: 8,
  memoryBytes: 16e9,
  pins: true,
  noGroup: "this system has no cgroup v2",
  provider: "cpu",
  power: { why: "this computer has no sensor of power that can be read" },
  platform: "linux",
};
const row = (change: Partial<LimitsSeen>, what: string) => {
  const limits = limitsShown({ ...seen, ...change });
  expect(limitsReport.parse({ limits })).toEqual({ limits });
  return limits.find((one) => one.what === what);
};
const limits = (change: Partial<LimitsSeen["limits"]>) => ({ ...seen.limits, ...change });

it("what is asked stands beside what holds, and by what means", () => {
  const share = { threads: 2, cpus: "6,7", quiet: false, memoryBytes: 2e9 };
  const held = { share, workers: 1, onCards: 0, memoryBytes: 1.5e9 };
  const asked = { limits: limits({ cores: 2, memoryMegabytes: 2000 }), held };
  expect(row(asked, "cores")).toMatchObject({
    asked: "2 of 8",
    enforced: "2 threads, on processors 6,7",
    by: "number of threads, taskset",
  });
  expect(row({ ...asked, noGroup: null }, "cores")?.by).toBe("number of threads, taskset, cgroup cpu.max");
  expect(row(asked, "memory")).toMatchObject({
    asked: "at most 2 GB",
    enforced: "2 GB",
    by: "the worker's budget, a worker that holds more is ended",
    used: "1.5 GB",
  });
  expect(row({ rules: { ...ALWAYS, diskMegabytes: 2000 } }, "disk")).toMatchObject({
    asked: "at most 2 GB",
    enforced: "it stops at 1.9 GB",
    used: "1 GB",
  });
});

it("what nothing of the system's holds is said to be so", () => {
  expect(row({ pins: false, platform: "darwin" }, "cores")?.by).toBe(
    "number of threads; nothing of the system's holds it to processors here",
  );
  expect(row({ held: null }, "cores")).toMatchObject({
    enforced: null,
    by: "no network is open now, so nothing computes",
  });
  expect(row({}, "power")).toMatchObject({
    enforced: null,
    used: "not known: this computer has no sensor of power that can be read",
  });
  expect(row({ limits: limits({ gpu: false }) }, "graphics-card")?.enforced).toBe("the processor computes");
});

it("what stays within this computer is not taken for what goes over its line", () => {
  expect(row({}, "upload")?.used).toBe("1 Mbit/s in the last ten seconds");
  expect(row({ isAlone: true }, "download")?.used).toBe(
    "2 Mbit/s in the last ten seconds, all of it within this computer",
  );
});

it("several cards have a worker each", () => {
  const share = { threads: 4, cpus: null, quiet: false, memoryBytes: null };
  const held = { share, workers: 2, onCards: 2, memoryBytes: null };
  expect(row({ held, provider: "cuda" }, "graphics-card")?.used).toBe("cuda, on 2 cards with a worker each");
});
