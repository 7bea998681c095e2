import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ApiClient } from "../src-cli/api-client.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import { descendants } from "./supervision/core-limits.ts";
import { processList } from "./supervision/process-list.ts";
import type { ProcessList } from "./supervision/process-list.ts";

/** Real processes, a real pipeline, a tiny model. */
const MAIN = join(import.meta.dirname, "main.ts");

let root: string;
let home: string;
const started: ChildProcess[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tah daemon "));
  home = join(root, "home");
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once("exit", resolve));
  }
  await until("all processes are gone", () => pids(lastList).every((pid) => !isAlive(pid)));
  rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<{ code: number | null; output: string; complaint: string }>;
}

function daemon(...options: string[]): Run {
  const child = spawn(
    process.execPath,
    [MAIN, "--home", home, "--model", "tiny", "--no-probe", "--yes", ...options],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  started.push(child);
  let output = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const ended = new Promise<Awaited<Run["ended"]>>((resolve) => {
    child.once("close", (code) => resolve({ code, output, complaint }));
  });
  return { child, output: () => output, ended };
}

let lastList: ProcessList | null = null;
function list(): ProcessList {
  lastList = processList.parse(JSON.parse(readFileSync(join(home, "processes.json"), "utf8")));
  return lastList;
}

function pids(processes: ProcessList | null): number[] {
  if (processes === null) return [];
  const { daemon: own, orchestrator, workers } = processes;
  return [own, ...(orchestrator === null ? [] : [orchestrator]), ...workers.map(({ pid }) => pid)];
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function until(what: string, holds: () => boolean, withinMs = 25_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`Not within ${withinMs} ms: ${what}`);
    await wait(20);
  }
}

/** Follows the daemon once it trains: at least `steps` steps are finished. */
async function training(steps: number): Promise<{ client: ApiClient; state: () => DaemonState }> {
  await until("the local API is there", () => existsSync(join(home, "api.json")));
  const client = await ApiClient.connect(join(home, "api.json"));
  let state = await client.follow({ onState: (next) => (state = next) });
  // Five processes start: on a busy computer that takes a while.
  const trains = () => (state.run?.step ?? 0) >= steps && state.run?.phase === "training";
  await until(`step ${steps}`, trains, 60_000);
  list();
  return { client, state: () => state };
}

describe("the daemon", () => {
  it("trains in five processes, frees them on pause, and continues after Ctrl-C where it was", async () => {
    const first = daemon();
    const { client, state } = await training(3);
    expect(pids(list())).toHaveLength(5);
    expect(state().run?.stages.map(({ holder }) => holder?.connected)).toEqual([true, true, true]);
    expect(state().run?.stages.filter(({ holder }) => holder?.mine === true)).toHaveLength(1);

    const workers = list().workers.map(({ pid }) => pid);
    const pausedAt = performance.now();
    const decision = await client.call("policy.pause", { minutes: 5, by: "cli" });
    expect(decision).toMatchObject({ action: "pause", reasons: expect.arrayContaining(["manual-pause"]) });
    await until("no worker is left", () => !workers.some(isAlive));
    // Two seconds at most on a quiet computer.
    expect(performance.now() - pausedAt).toBeLessThan(20_000);
    await until("the pause is shown", () => state().node.phase === "paused");

    const before = state().run?.step ?? 0;
    await client.call("policy.resume", {});
    await until("it goes on", () => (state().run?.step ?? 0) > before + 2);
    const everyone = pids(list());
    first.child.kill("SIGINT");
    const { code, output, complaint } = await first.ended;
    expect({ code, complaint }).toEqual({ code: 0, complaint: "" });
    expect(everyone.filter(isAlive)).toEqual([]);
    const step = Number(/Stopped\. Starting again continues from step (\d+)\./.exec(output)?.[1]);
    expect(step).toBeGreaterThan(before);
    expect(existsSync(join(home, "api.json"))).toBe(false);

    daemon();
    const again = await training(step + 1);
    expect(again.state().run?.step).toBeGreaterThan(step);
    const { points } = await again.client.call("run.history", { maxPoints: 5000 });
    const steps = points.map((point) => point.step);
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
    expect([steps.at(0), steps.includes(step + 1)]).toEqual([1, true]);
    again.client.close();
  }, 180_000);

  it("leaves no process behind when it is killed, and lets nobody else into its data folder while it lives", async () => {
    const { child } = daemon();
    await training(1);
    const second = await daemon().ended;
    expect(second).toMatchObject({ code: 1, output: expect.not.stringContaining("Dashboard") });
    expect(second.complaint).toMatch(
      new RegExp(
        `^Train at Home is already running .*\\(process ${child.pid}, http://127\\.0\\.0\\.1:\\d+\\)`,
      ),
    );
    expect(second.complaint.trim().split("\n")).toHaveLength(1);

    const everyone = pids(list());
    child.kill("SIGKILL");
    await until("no process is left", () => !everyone.some(isAlive), 3_000);
  }, 120_000);

  it("ends at once when a client asks for that while it is still starting", async () => {
    const { ended } = daemon();
    await until("the local API answers", () => existsSync(join(home, "api.json")));
    const client = await ApiClient.connect(join(home, "api.json"));
    await client.call("daemon.quit", {});
    expect(await ended).toMatchObject({ code: 0, complaint: "" });
  }, 20_000);

  it("starts a killed orchestrator again, and training goes on with the same workers", async () => {
    daemon();
    const { client, state } = await training(2);
    const { orchestrator, workers } = list();
    const { step } = state().run ?? { step: 0 };
    process.kill(orchestrator ?? 0, "SIGKILL");
    await until("a new orchestrator", () => (list().orchestrator ?? orchestrator) !== orchestrator);
    await until("training goes on", () => (state().run?.step ?? 0) > step + 2);
    expect(list().workers).toEqual(workers);
    client.close();
  }, 120_000);
});

describe.skipIf(process.platform === "win32")("kill -9, one after the other", () => {
  /** All that computes, with what that has started: a worker in a box is a child of the box's process. */
  const computing = () => pids(list()).flatMap((pid) => [pid].concat(descendants(pid)));
  const TAH = join(import.meta.dirname, "..", "src-cli", "tah.ts");

  /** As a dashboard does: it follows the state over a WebSocket. Resolves when it has been told. */
  async function dashboard(): Promise<ChildProcess> {
    const client = pathToFileURL(join(import.meta.dirname, "..", "src-cli", "api-client.ts")).href;
    const script = `
      const { ApiClient } = await import(${JSON.stringify(client)});
      const client = await ApiClient.connect(${JSON.stringify(join(home, "api.json"))});
      await client.follow({ onState: () => process.stdout.write("told") });
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    started.push(child);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    return child;
  }

  it("dashboard, worker, the terminal's command and daemon leave nothing that computes, and lose at most the step in hand and the one before", async () => {
    const words = ["--home", home, "--model", "tiny", "--no-probe", "--yes"];
    const terminal = spawn(process.execPath, [TAH, "up", ...words], { stdio: "ignore" });
    started.push(terminal);
    const first = await training(2);
    const { workers, orchestrator } = list();

    // The dashboard: nothing stops, nothing is started anew.
    const watching = await dashboard();
    const { step: seen } = first.state().run ?? { step: 0 };
    watching.kill("SIGKILL");
    await until("it goes on", () => (first.state().run?.step ?? 0) > seen + 1);
    expect(list()).toMatchObject({ workers, orchestrator });

    // A worker: the others stay, a new one takes its place. Without a second replica of its stage the pipeline goes back to
    // what it has on its disk: the step in hand, or also the one before that, is done again.
    const [victim] = workers;
    const itsOwn = [victim?.pid ?? 0, ...descendants(victim?.pid ?? 0)];
    const before = first.state().run?.step ?? 0;
    process.kill(victim?.pid ?? 0, "SIGKILL");
    await until("nothing of it is left", () => !itsOwn.some(isAlive), 3_000);
    let least = before;
    await until("it goes on after that", () => {
      least = Math.min(least, first.state().run?.step ?? before);
      return (first.state().run?.step ?? 0) > before + 2;
    });
    expect(least).toBeGreaterThanOrEqual(before - 1);
    expect(list().workers.slice(1)).toEqual(workers.slice(1));

    // The command in the terminal: what it showed ends with it.
    const ofTerminal = computing();
    const last = first.state().run?.step ?? 0;
    terminal.kill("SIGKILL");
    await until("nothing computes any more", () => !ofTerminal.some(isAlive), 5_000);
    await first.client.closed;

    // The daemon, while a pause of an hour holds: that is there after a start.
    const { child } = daemon();
    const again = await training(last);
    const ofDaemon = computing();
    await again.client.call("policy.finish", { minutes: 60, by: "cli" });
    const reached = again.state().run?.step ?? 0;
    child.kill("SIGKILL");
    await until("no process is left", () => !ofDaemon.some(isAlive), 3_000);

    rmSync(join(home, "api.json"));
    daemon();
    await until("the local API is there again", () => existsSync(join(home, "api.json")));
    const client = await ApiClient.connect(join(home, "api.json"));
    let state = await client.follow({ onState: (next) => (state = next) });
    expect(state.override).toMatchObject({ by: "cli", since: expect.any(Number) });
    await until("the network has said how far it is", () => state.run !== null);
    const { points } = await client.call("run.history", { maxPoints: 5000 });
    expect(points.at(-1)?.step).toBeGreaterThanOrEqual(reached - 1);
    const steps = points.map(({ step }) => step);
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
    const { changes } = await client.call("history.changes", {});
    // Each kill of a daemon shows: a start that no end came before.
    expect(changes.filter(({ from }) => from === null).length).toBeGreaterThanOrEqual(2);
    client.close();
  }, 180_000);
});

describe("bad input gets one sentence and a non-zero exit, and nothing stored is lost", () => {
  /** Exit code and sentence; more than one line is more than a person wants to read. */
  async function refusal(run: Run): Promise<{ code: number | null; sentence: string }> {
    const { code, complaint } = await run.ended;
    expect(complaint.trim().split("\n")).toHaveLength(1);
    return { code, sentence: complaint.trim() };
  }

  it("an unknown option", async () => {
    expect(await refusal(daemon("--frobnicate"))).toEqual({
      code: 2,
      sentence: "There is no option --frobnicate. --help lists all options.",
    });
  });

  it("a missing text folder", async () => {
    const { code, sentence } = await refusal(daemon("--data", join(root, "none")));
    expect(code).toBe(1);
    expect(sentence).toMatch(/^There is no .*none\. .*--data/);
  });

  it("a data folder that is a file", async () => {
    writeFileSync(home, "mine");
    const { code, sentence } = await refusal(daemon());
    expect(code).toBe(1);
    expect(sentence).toMatch(/a file where a folder is needed/);
    expect(readFileSync(home, "utf8")).toBe("mine");
  });

  it("a port in use", async () => {
    const blocker = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => blocker.once("listening", resolve));
    const { port } = blocker.address() as AddressInfo;
    const { code, sentence } = await refusal(daemon("--port", String(port)));
    blocker.close();
    expect(code).toBe(1);
    expect(sentence).toContain(`Port ${port} is in use by another program.`);
  });

  it.each([
    ["wallet", join("wallets", "default", "hotkeys", "default")],
    ["database", join("network", "orchestrator.db")],
    ["rules", "rules.json"],
  ])("a corrupt %s", async (_what, name) => {
    const path = join(home, name);
    mkdirSync(join(path, ".."), { recursive: true });
    const garbage = "{ this was something else once ".repeat(100);
    writeFileSync(path, garbage, { mode: 0o600 });
    const { code, sentence } = await refusal(daemon());
    expect(code).toBe(1);
    expect(sentence).toMatch(/^(?!Something went wrong).{40,}/);
    expect(readFileSync(path, "utf8")).toBe(garbage);
  });
});
