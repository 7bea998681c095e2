import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { API_FILE_NAME } from "../../src-protocol/data-folder.ts";
import { ApiClient, readApiFile } from "../api-client.ts";
import { isAlive } from "../daemon-process.ts";
import { installService, removeService, runProgram, type ServicePorts } from "./service.ts";
import { systemdUnit } from "./service-files.ts";
import { SERVICE_START } from "./service-start.ts";

const configHome = process.env["XDG_CONFIG_HOME"] ?? null;
const hasManager =
  process.platform === "linux" && spawnSync("systemctl", ["--user", "show-environment"]).status === 0;
const plan = (dataFolder: string) => ({
  command: [
    process.execPath,
    SERVICE_START,
    "--home",
    dataFolder,
    "--port",
    "0",
    "--model",
    "tiny",
    "--no-neighbours",
    "--no-probe",
    "--yes",
  ] as const,
  dataFolder,
  home: homedir(),
  configHome,
});
/** Its owner's own service is not touched. */
const isFree = hasManager && !existsSync(systemdUnit(plan("/")).path);

let folder: string;
let ports: ServicePorts;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah service "));
  ports = { platform: "linux", plan: plan(folder), uid: process.getuid?.() ?? -1, run: runProgram };
});
afterEach(async () => {
  await removeService(ports);
  rmSync(folder, { recursive: true, force: true });
});

describe.runIf(isFree)("a service of the user's real systemd", () => {
  it("is installed and started, holds its workers in a group of the kernel's, comes back after kill -9, and ends when it is removed", async () => {
    await installService(ports);
    const first = await running(null);
    const client = await ApiClient.connect(join(folder, API_FILE_NAME));
    const { rules } = await client.call("state.get", {});
    await client.call("policy.setRules", {
      rules: { ...rules, work: { ...rules.work, cores: 1, memoryMegabytes: 2000 } },
    });
    await until("it trains", async () => {
      const { node } = await client.call("state.get", {});
      return node.phase === "training" || `${node.phase}: ${node.detail}`;
    });
    const { limits } = await client.call("policy.limits", {});
    client.close();
    expect(heldBy(first, limits.find(({ what }) => what === "memory")?.by)).toEqual(HELD);

    process.kill(first, "SIGKILL");
    const second = await running(first);
    await removeService(ports);
    await until("nothing of it is left", async () => !isAlive(second));
    expect(existsSync(systemdUnit(ports.plan).path)).toBe(false);
  }, 900_000);
});

/** What the kernel's group of the workers is to hold, and that somebody is in it. */
const HELD = { said: true, memory: "1999998976", cpu: "100000 100000", isEmpty: false };

/** As it stands in the kernel's files; where it counts in the old way (cgroup v1) there is nothing to look at. */
function heldBy(daemon: number, said = ""): typeof HELD {
  const controllers = "/sys/fs/cgroup/cgroup.controllers";
  if (!existsSync(controllers) || !readFileSync(controllers, "utf8").includes("memory")) return HELD;
  const own = /^0::(.*)\/daemon$/m.exec(readFileSync(`/proc/${daemon}/cgroup`, "utf8"))?.[1] ?? "";
  const read = (name: string): string =>
    readFileSync(join("/sys/fs/cgroup", own, "workers", name), "utf8").trim();
  // One core of one is no limit.
  const cpu = availableParallelism() === 1 ? HELD.cpu : read("cpu.max");
  const isEmpty = read("cgroup.procs") === "";
  return { said: said.includes("cgroup memory.max"), memory: read("memory.max"), cpu, isEmpty };
}

/** The process that answers, when it is another than `before`. */
async function running(before: number | null): Promise<number> {
  const pid = (): number | null => readApiFile(join(folder, API_FILE_NAME))?.pid ?? null;
  await until("it answers", async () => {
    const now = pid();
    return now !== null && now !== before && isAlive(now);
  });
  return pid() ?? 0;
}

/** A kernel that runs as a program (`npm run service:test`) is slow. */
const PATIENCE_MS = 300_000;

/** What `is` gives instead of true says how far it is. */
async function until(what: string, is: () => Promise<boolean | string>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await is().catch((error: unknown) => String(error));
    if (found === true) return;
    if (performance.now() > end) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what} (${found})`);
    await wait(100);
  }
}
