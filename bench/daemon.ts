import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { ApiClient, readApiFile } from "../src-cli/api-client.ts";
import { DAEMON_ENVIRONMENT, DAEMON_FLAGS, isAlive } from "../src-cli/daemon-process.ts";
import { daemonScript } from "../src-cli/daemon-script.ts";
import { decide } from "../src-daemon/policy/decide.ts";
import { afterDecision, NOTHING_REMEMBERED, remember } from "../src-daemon/policy/policy-memory.ts";
import { type Evidence, ONLY_WHEN_ASLEEP, type Rules, UNKNOWN_EVIDENCE } from "../src-protocol/policy.ts";
import { randomStream } from "../src-engine/random.ts";
import type { Progress } from "./bench.ts";
import { innermost } from "./inner-process.ts";
import { median } from "./median.ts";

const REST_MS = 60_000;
const CLIENTS = 50;
const CLIENTS_MS = 10_000;
/** More in an hour, and it waits for having been interrupted often: so each folder has these, and then there is another. */
const STOPS = 6;
const FOLDERS = 5;
/** The clock ticks of /proc; Linux has 100 a second everywhere. */
const TICKS_PER_SECOND = 100;

export interface DaemonResult {
  startToApiMs: number;
  rest: { rssMegabytes: number; corePercent: number; seconds: number };
  inputToStoppedMs: { p50: number; p99: number; stops: number };
  clients: { count: number; patchesPerSecondEach: number; corePercent: number };
  decisionsPerSecond: number;
  weekOfDecisionsSeconds: number;
}

/** A daemon of its own in a folder of its own: what it costs at rest, and how soon it stops. Linux. */
export async function benchDaemon(progress: Progress): Promise<DaemonResult> {
  const home = mkdtempSync(join(tmpdir(), "bench daemon "));
  try {
    progress("starting a daemon that nobody has said yes to");
    const rested = await withDaemon(home, ["--no-neighbours"], async (client, pid, startToApiMs) => {
      await wait(5000);
      progress(`at rest for ${REST_MS / 1000} s`);
      const rest = await cost(pid, REST_MS);
      client.close();
      return { startToApiMs, rest };
    });
    progress("training, and a hand on the mouse");
    const took: number[] = [];
    let clients: DaemonResult["clients"] | null = null;
    for (let folder = 1; folder <= FOLDERS; folder += 1) {
      const own = join(home, `stops ${folder}`);
      clients = await withDaemon(own, ["--no-neighbours", "--yes"], async (client, pid) => {
        for (const ms of await stops(client, own)) took.push(ms);
        progress(`${took.length} stops, the last one after ${Math.round(took.at(-1) ?? 0)} ms`);
        const measured = folder < FOLDERS ? null : await manyClients(own, pid, client);
        client.close();
        return measured;
      });
    }
    if (clients === null) throw new Error("nobody was a client");
    progress("deciding a week");
    return { ...rested, inputToStoppedMs: percentiles(took), clients, ...decisions() };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function withDaemon<T>(
  home: string,
  words: readonly string[],
  work: (client: ApiClient, pid: number, startMs: number) => Promise<T>,
): Promise<T> {
  // Made before the clock runs: that is once for each change of the sources.
  const script = daemonScript();
  const begun = performance.now();
  const child = spawn(
    process.execPath,
    [
      ...DAEMON_FLAGS,
      script,
      "--home",
      home,
      "--port",
      "0",
      "--model",
      "tiny",
      "--no-probe",
      "--exit-with-parent",
      ...words,
    ],
    { stdio: "ignore", env: { ...process.env, ...DAEMON_ENVIRONMENT } },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  try {
    let client: ApiClient | null = null;
    while (client === null) {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}`);
      const file = readApiFile(join(home, "api.json"));
      if (file?.pid === child.pid) client = await ApiClient.connect(join(home, "api.json")).catch(() => null);
      if (client === null) await wait(10);
    }
    await client.call("state.get", {});
    return await work(client, child.pid ?? 0, Math.round(performance.now() - begun));
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}

async function cost(pid: number, ms: number): Promise<DaemonResult["rest"]> {
  const before = ticks(pid);
  await wait(ms);
  const used = (ticks(pid) - before) / TICKS_PER_SECOND;
  return {
    rssMegabytes: Math.round(rssBytes(pid) / 1e5) / 10,
    corePercent: Math.round((used / (ms / 1000)) * 10_000) / 100,
    seconds: ms / 1000,
  };
}

/** From the shell's word that somebody is there to the end of the process that computes, in milliseconds. */
async function stops(client: ApiClient, home: string): Promise<number[]> {
  const { rules } = await client.call("state.get", {});
  await client.call("policy.setRules", { rules: { ...rules, onlyWhenIdle: true } satisfies Rules });
  const report = (idleSeconds: number) =>
    client.call("evidence.report", { evidence: { idleSeconds, power: "mains", batteryPercent: null } });
  const took: number[] = [];
  for (let stop = 0; stop < STOPS; stop += 1) {
    await report(3600);
    await until(async () => (await client.call("state.get", {})).node.phase === "training");
    await wait(500);
    const [worker] = workers(home);
    if (worker === undefined) throw new Error("it trains without a worker");
    const begun = performance.now();
    await report(0);
    await until(async () => !isAlive(worker), 5);
    took.push(performance.now() - begun);
  }
  return took;
}

/** By nearest rank: of fewer than 100 the p99 is the longest. */
function percentiles(took: readonly number[]): DaemonResult["inputToStoppedMs"] {
  const sorted = took.toSorted((a, b) => a - b);
  const p99 = sorted[Math.ceil(0.99 * sorted.length) - 1] ?? Number.NaN;
  return { p50: Math.round(median(sorted)), p99: Math.round(p99), stops: sorted.length };
}

async function manyClients(home: string, pid: number, owner: ApiClient): Promise<DaemonResult["clients"]> {
  const { rules } = await owner.call("state.get", {});
  await owner.call("policy.setRules", { rules: { ...rules, onlyWhenIdle: false } });
  await until(async () => (await owner.call("state.get", {})).node.phase === "training");
  let patches = 0;
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, () => ApiClient.connect(join(home, "api.json"))),
  );
  for (const client of clients) await client.follow({ onState: () => (patches += 1) });
  patches = 0;
  const { corePercent, seconds } = await cost(pid, CLIENTS_MS);
  for (const client of clients) client.close();
  return {
    count: CLIENTS,
    patchesPerSecondEach: Math.round((patches / CLIENTS / seconds) * 10) / 10,
    corePercent,
  };
}

/** Evidence every five seconds of a week, with everything that can be watched. */
function decisions(): Pick<DaemonResult, "decisionsPerSecond" | "weekOfDecisionsSeconds"> {
  const random = randomStream("bench", "evidence");
  const rules: Rules = { ...ONLY_WHEN_ASLEEP, onlyWhenIdle: true, load: { stopFrom: 50, startBelow: 25 } };
  const evidence: Evidence[] = Array.from({ length: 997 }, () => ({
    ...UNKNOWN_EVIDENCE,
    power: random() < 0.95 ? "mains" : "battery",
    idleSeconds: random() * 2000,
    othersLoad: random() * 100,
    celsius: 40 + random() * 60,
  }));
  const start = Date.parse("2026-03-27T00:00Z");
  const count = (7 * 24 * 3600) / 5;
  let memory = NOTHING_REMEMBERED;
  const begun = performance.now();
  for (let index = 0; index < count; index += 1) {
    const now = start + index * 5000;
    const known = evidence[index % evidence.length] ?? UNKNOWN_EVIDENCE;
    memory = remember(rules, known, memory, now);
    memory = afterDecision(decide(rules, known, null, now, "Europe/Berlin", memory), memory, now, true);
  }
  const seconds = (performance.now() - begun) / 1000;
  return {
    decisionsPerSecond: Math.round(count / seconds),
    weekOfDecisionsSeconds: Math.round(seconds * 100) / 100,
  };
}

function workers(home: string): number[] {
  const list = JSON.parse(readFileSync(join(home, "processes.json"), "utf8")) as {
    workers: { pid: number }[];
  };
  return list.workers.map(({ pid }) => innermost(pid));
}

async function until(is: () => Promise<boolean>, everyMs = 50): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await is())) {
    if (performance.now() > end) throw new Error("it took more than a minute");
    await wait(everyMs);
  }
}

function ticks(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function rssBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}
