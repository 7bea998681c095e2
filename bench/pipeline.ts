import { fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { ApiClient } from "../src-cli/api-client.ts";
import { childEnvironment } from "../src-daemon/supervision/child.ts";
import { runDaemon } from "../src-daemon/daemon.ts";
import { parseOptions } from "../src-daemon/options.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { median } from "./median.ts";

const PAIRS = 10;
/** Shorter than the silence after which the network gives a node up. */
const WINDOW_MS = 4_000;
/** Links, sessions and caches are warm after so many steps. */
const WARM_UP_STEPS = 4;
const WARM_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 200;

/** As many as the demo takes by itself. */
const DIGEST_STEPS = 60;

export interface PipelineResult {
  oneProcessTokensPerSecond: number;
  pipelineTokensPerSecond: number;
  /** Median of the pairs' own ratios. */
  ratio: number;
  pairs: number;
  cores: number;
  arithmetic: Arithmetic;
  /** Of the one process's parameters after 60 steps: with `--exact`, those of `demo --steps 60 --exact`. */
  parametersSha256: string | null;
}

/** A training that goes on by itself, and stands still while the other one's window is open. */
interface Contestant {
  readonly pids: readonly number[];
  /** Unix milliseconds at which each of its steps was finished. */
  finished(): Promise<readonly number[]>;
  end(): Promise<void>;
}

/**
 * Design section 8, "pipeline on one machine": the embedded network as a newcomer starts it (daemon,
 * orchestrator, three workers of one thread) against the same model, data and steps in one process
 * that has all cores. Both are at work all the time and are let run in turn, a few seconds each, so
 * that a slow moment of the computer meets both. Evaluations, snapshots and receipts count, start-up
 * does not.
 */
export async function benchPipeline(progress: Progress, { exact }: BenchOptions): Promise<PipelineResult> {
  const one = await oneProcess(exact);
  let network: Awaited<ReturnType<typeof embeddedNetwork>> | null = null;
  try {
    network = await embeddedNetwork(exact);
    const { tokensPerStep } = network;
    const windows: { one: Window; network: Window }[] = [];
    for (let pair = 1; pair <= PAIRS; pair++) {
      windows.push({ one: await alone(one), network: await alone(network) });
      progress(`pair ${pair} of ${PAIRS}`);
    }
    resume(one);
    resume(network);
    const [oneSteps, networkSteps] = [await one.finished(), await network.finished()];
    const speeds = windows.map((window) => ({
      one: speed(oneSteps, window.one, tokensPerStep),
      network: speed(networkSteps, window.network, tokensPerStep),
    }));
    return {
      oneProcessTokensPerSecond: Math.round(median(speeds.map((pair) => pair.one))),
      pipelineTokensPerSecond: Math.round(median(speeds.map((pair) => pair.network))),
      ratio: Number(median(speeds.map((pair) => pair.network / pair.one)).toFixed(3)),
      pairs: PAIRS,
      cores: availableParallelism(),
      arithmetic: exact ? "exact" : "fast",
      parametersSha256: await one.parameters(),
    };
  } finally {
    await one.end();
    await network?.end();
  }
}

interface Window {
  readonly from: number;
  readonly to: number;
}

async function alone(contestant: Contestant): Promise<Window> {
  resume(contestant);
  const from = Date.now();
  await wait(WINDOW_MS);
  halt(contestant);
  return { from, to: Date.now() };
}

function halt({ pids }: Contestant): void {
  for (const pid of pids) process.kill(pid, "SIGSTOP");
}

function resume({ pids }: Contestant): void {
  for (const pid of pids) process.kill(pid, "SIGCONT");
}

/** Tokens per second between the first and the last step that were finished inside the window. */
function speed(finished: readonly number[], { from, to }: Window, tokensPerStep: number): number {
  const inside = finished.filter((at) => at >= from && at <= to);
  const [first, last] = [inside[0], inside.at(-1)];
  if (first === undefined || last === undefined || last === first) {
    throw new Failure(
      "bench-too-slow",
      `Fewer than two steps were finished within ${WINDOW_MS / 1000} s: this computer is too slow or too busy for this benchmark.`,
    );
  }
  return ((inside.length - 1) * tokensPerStep * 1000) / (last - first);
}

/** False: its steps did not come. A busy computer takes longer than a quiet one. */
async function isWarm(steps: () => number): Promise<boolean> {
  const deadline = performance.now() + WARM_WITHIN_MS;
  while (steps() < WARM_UP_STEPS && performance.now() < deadline) await wait(LOOK_EVERY_MS);
  return steps() >= WARM_UP_STEPS;
}

/** The whole model in one process of its own, with all cores. */
async function oneProcess(exact: boolean): Promise<Contestant & { parameters(): Promise<string | null> }> {
  const child = fork(
    join(import.meta.dirname, "pipeline-one-process.ts"),
    [exact ? "exact" : "fast", String(DIGEST_STEPS)],
    {
      env: childEnvironment(process.env, process.platform),
    },
  );
  const finished: number[] = [];
  const { promise: digest, resolve: digested } = Promise.withResolvers<string | null>();
  child.on("message", (message) => {
    if (typeof message === "string") digested(message);
    else finished.push(Number(message));
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  if (!(await isWarm(() => finished.length)) || child.pid === undefined) {
    child.kill("SIGKILL");
    throw new Failure("bench-failed", "The one-process training finished no steps in two minutes.");
  }
  void exited.then(() => digested(null));
  const contestant = {
    pids: [child.pid],
    finished: async () => finished,
    parameters: () => digest,
    async end() {
      child.kill("SIGKILL");
      await exited;
    },
  };
  halt(contestant);
  return contestant;
}

/** The embedded network; the daemon itself lives in this process. */
async function embeddedNetwork(exact: boolean): Promise<Contestant & { tokensPerStep: number }> {
  const home = mkdtempSync(join(tmpdir(), "tah-bench-"));
  const options = parseOptions(["--home", home, "--yes", ...(exact ? ["--exact"] : [])]);
  if (options === null) throw new Failure("bench-failed", "The daemon's options are not understood.");
  const daemon = await runDaemon(options);
  const end = async () => {
    await daemon.stop();
    rmSync(home, { recursive: true, force: true });
  };
  const isReady = await isWarm(() => daemon.state().run?.step ?? 0);
  const { run, problem } = daemon.state();
  if (problem !== null || run === null || !isReady) {
    await end();
    throw new Failure(
      "bench-failed",
      problem?.message ?? "The embedded network finished no steps in two minutes.",
    );
  }
  const { orchestrator, workers } = JSON.parse(readFileSync(daemon.home.processesFile, "utf8"));
  const contestant = {
    pids: [orchestrator, ...workers.map(({ pid }: { pid: number }) => pid)],
    tokensPerStep: run.tokensPerStep,
    async finished() {
      const client = await ApiClient.connect(join(home, "api.json"));
      const { points } = await client.call("run.history", { maxPoints: 5000 });
      client.close();
      return points.map(({ at }) => at);
    },
    end,
  };
  halt(contestant);
  return contestant;
}
