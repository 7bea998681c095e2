import { spawn } from "node:child_process";
import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Stage } from "../src-engine/stage.ts";
import { stagesOf } from "../src-engine/stages.ts";
import { Failure } from "../src-protocol/failure.ts";
import { runSpec } from "../src-protocol/model.ts";
import { chooseRecompute, predictedBytes } from "../src-worker/stage/memory-budget.ts";
import type { Progress } from "./bench.ts";
import { makeRandomFolder } from "./random-folder.ts";
import { innermost } from "./inner-process.ts";

/** What is trained of a folder; one beyond 1.5 GB is only begun: this is about memory. */
const wordsFor = (bytes: number): string[] =>
  (bytes < 1.5e9
    ? "--steps 2 --micro-batches 3 --batch 4 --sequence 128"
    : "--steps 1 --micro-batches 2 --batch 1 --sequence 128"
  )
    .concat(" --stages 3 --samples 0 --json")
    .split(" ");
const LOOK_EVERY_MS = 200;
const TAH = join(import.meta.dirname, "..", "src-cli", "tah.ts");

interface StageOfFolder {
  stage: number;
  parameters: number;
  /** What the worker said before it took the stage; the most that its process held; the second over the first. */
  statedBytes: number;
  peakBytes: number;
  peakOverStated: number;
}

export interface FolderMemory {
  fileBytes: number;
  parameters: number;
  steps: number;
  lossFirst: number | null;
  lossLast: number | null;
  seconds: number;
  /** Of the three stages the worst. */
  worstPeakOverStated: number;
  /** The most that other processes held: the command, which also writes the trained folder, the daemon, the orchestrator. */
  commandPeakBytes: number;
  daemonPeakBytes: number;
  orchestratorPeakBytes: number;
  stages: StageOfFolder[];
}

/** `tah model train` of a folder of `bytes` bytes in three stages on this computer: what each process held at most. */
export async function measureFolder(bytes: number, tied: boolean, progress: Progress): Promise<FolderMemory> {
  if (process.platform !== "linux")
    throw new Failure(
      "bench-needs-linux",
      "What a process held at most is read from /proc, which only Linux has.",
    );
  const home = mkdtempSync(join(tmpdir(), "tah-bench-folder-"));
  try {
    const model = join(home, "model");
    const parameters = makeRandomFolder(model, bytes, tied);
    const fileBytes = statSync(join(model, "model.safetensors")).size;
    progress(`a folder of ${(fileBytes / 1e9).toFixed(2)} GB, ${(parameters / 1e6).toFixed(0)} M parameters`);
    mkdirSync(join(home, "data"));
    writeFileSync(
      join(home, "data", "tokens.u16"),
      Uint16Array.from({ length: 40_000 }, (_, i) => (i * 7919) % 1000),
    );
    const begun = performance.now();
    const training = watched(
      home,
      ["model", "train", model, "--data", join(home, "data"), ...wordsFor(bytes)],
      progress,
    );
    const { result, run, peaks } = await training;
    const stages = stagesOf(run, null).map((stage) =>
      rowOf(stage, peaks.workers.get(stage.index) ?? Number.NaN),
    );
    return {
      fileBytes,
      parameters,
      steps: run.steps ?? 0,
      lossFirst: result.lossFirst,
      lossLast: result.lossLast,
      seconds: Math.round((performance.now() - begun) / 1000),
      worstPeakOverStated: Math.max(...stages.map(({ peakOverStated }) => peakOverStated)),
      commandPeakBytes: peaks.command,
      daemonPeakBytes: peaks.daemon,
      orchestratorPeakBytes: peaks.orchestrator,
      stages,
    };
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  }
}

function rowOf(stage: Stage, peakBytes: number): StageOfFolder {
  const statedBytes = predictedBytes(
    { ...stage, arithmetic: "fast", replicaBytes: 0 },
    chooseRecompute({ ...stage, arithmetic: "fast", replicaBytes: 0 }, process.availableMemory()),
  );
  return {
    stage: stage.index + 1,
    parameters: stage.parameterCount,
    statedBytes,
    peakBytes,
    peakOverStated: Number((peakBytes / statedBytes).toFixed(3)),
  };
}

interface Peaks {
  command: number;
  daemon: number;
  orchestrator: number;
  /** By stage. */
  readonly workers: Map<number, number>;
}

async function watched(home: string, words: readonly string[], progress: Progress) {
  const child = spawn(process.execPath, [TAH, ...words], {
    env: { ...process.env, TAH_HOME: join(home, "tah") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    progress(text.trimEnd());
  });
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  const peaks: Peaks = { command: 0, daemon: 0, orchestrator: 0, workers: new Map() };
  let run: unknown = null;
  while (child.exitCode === null && child.signalCode === null) {
    look(home, child.pid ?? 0, peaks);
    run ??= runIn(home);
    await wait(LOOK_EVERY_MS);
  }
  const code = await closed;
  if (code !== 0 || run === null)
    throw new Failure("bench-failed", `The training ended with code ${code}. ${out} ${said}`.slice(0, 2000));
  const result = JSON.parse(out) as { lossFirst: number | null; lossLast: number | null };
  return { result, run: runSpec.parse(run), peaks };
}

/** VmHWM is the most until now, so looking now and then misses nothing but what a process does at its end. */
function look(home: string, command: number, peaks: Peaks): void {
  peaks.command = Math.max(peaks.command, mostHeld(command));
  const [list] = globSync("tah/trainings/train-*/processes.json", { cwd: home });
  if (list === undefined) return;
  const { daemon, orchestrator, workers } = jsonOf(join(home, list)) as {
    daemon?: number;
    orchestrator?: number | null;
    workers?: { pid: number }[];
  };
  peaks.daemon = Math.max(peaks.daemon, mostHeld(daemon ?? 0));
  peaks.orchestrator = Math.max(peaks.orchestrator, mostHeld(orchestrator ?? 0));
  for (const { pid: outer } of workers ?? []) {
    const pid = innermost(outer);
    const stage = stageOf(pid);
    if (stage !== null) peaks.workers.set(stage, Math.max(peaks.workers.get(stage) ?? 0, mostHeld(pid)));
  }
}

/** By the folder of its snapshots, which is beside a file that it holds open. */
function stageOf(pid: number): number | null {
  try {
    for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
      const path = readlinkSync(`/proc/${pid}/fd/${descriptor}`);
      if (!path.endsWith("/receipts.jsonl")) continue;
      const [found] = globSync("snapshots/*/stage-*", { cwd: dirname(path) });
      return found === undefined ? null : Number(found.slice(found.lastIndexOf("-") + 1));
    }
  } catch {
    // It has just ended.
  }
  return null;
}

/** Bytes; 0 when there is no such process. */
function mostHeld(pid: number): number {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function runIn(home: string): unknown {
  const [file] = globSync("tah/trainings/train-*/run.json", { cwd: home });
  return file === undefined ? null : ((jsonOf(join(home, file)) as { run?: unknown }).run ?? null);
}

function jsonOf(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return {};
  }
}
