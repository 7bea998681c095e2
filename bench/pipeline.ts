import { fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../src-cli/api-client.ts";
import { runDaemon } from "../src-daemon/daemon.ts";
import { parseOptions } from "../src-daemon/options.ts";
import { childEnvironment } from "../src-daemon/children/child.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { median } from "./median.ts";
import { caseRun, PIPELINE_CASES } from "./pipeline-case.ts";
import type { CaseRun, PipelineCase } from "./pipeline-case.ts";
import { alone, resume, speedsIn, warmedUp } from "./pipeline-contestant.ts";
import type { Contestant, Window } from "./pipeline-contestant.ts";
import { TORCH_WAYS, torchPipeline } from "./pipeline-peer.ts";

const PAIRS = 10;
/** Shorter than the silence after which the network gives a node up. */
const WINDOW_MS = 4_000;
/** As many as the demo takes by itself. */
const DIGEST_STEPS = 60;

interface CaseSpeed {
  readonly case: PipelineCase;
  readonly oneProcessTokensPerSecond: number;
  readonly pipelineTokensPerSecond: number;
  /** Of the pipeline to the one process; as all ratios, the median of the rounds' own. */
  readonly ratio: number;
  /** Of the pipeline to PyTorch's own pipeline, with MKL at its full speed, and as it installs; null: it is not here. */
  readonly peer: number | null;
  readonly peerAsInstalled: number | null;
  readonly peerTokensPerSecond: number | null;
  readonly peerAsInstalledTokensPerSecond: number | null;
  /** 1 minute, at its end. */
  readonly load: number;
}

export interface PipelineResult extends Omit<CaseSpeed, "case" | "load"> {
  rounds: number;
  cores: number;
  arithmetic: Arithmetic;
  /** Of the one process's parameters after 60 steps: with `--exact`, those of `demo --steps 60 --exact`. */
  parametersSha256: string | null;
  cases: CaseSpeed[];
}

/**
 * Design section 8, "pipeline on one machine": the embedded network as a newcomer starts it (daemon,
 * orchestrator, workers of one thread) against the same model, data and steps in one process that has all
 * cores, and against PyTorch's own pipeline in as many processes of one thread. All are at work all the time
 * and are let run in turn, a few seconds each, so that a slow moment of the computer meets all of them.
 * Evaluations, snapshots and receipts count, start-up does not.
 */
export async function benchPipeline(
  progress: Progress,
  { exact, only, runs = PAIRS }: BenchOptions,
): Promise<PipelineResult> {
  const names = (Object.keys(PIPELINE_CASES) as PipelineCase[]).filter(
    (name) => only.length === 0 || only.includes(name),
  );
  const arithmetic = exact ? "exact" : "fast";
  const cases: CaseSpeed[] = [];
  let parametersSha256: string | null = null;
  for (const name of names) {
    const measured = await measure(name, arithmetic, runs, progress);
    cases.push(measured.speed);
    // Said at once: a later case may fail.
    progress(`${name}: ${JSON.stringify(measured.speed)}`);
    if (name === "default") parametersSha256 = measured.parametersSha256;
  }
  const [first] = cases;
  if (first === undefined)
    throw new Failure("bad-option", `--only names none of ${Object.keys(PIPELINE_CASES).join(", ")}.`);
  const { case: _case, load: _load, ...speeds } = first;
  return { ...speeds, rounds: runs, cores: availableParallelism(), arithmetic, parametersSha256, cases };
}

async function measure(
  name: PipelineCase,
  arithmetic: Arithmetic,
  rounds: number,
  progress: Progress,
): Promise<{ speed: CaseSpeed; parametersSha256: string | null }> {
  const folder = mkdtempSync(join(tmpdir(), "tah-bench-"));
  const open: Contestant[] = [];
  const begin = async <C extends Contestant>(contestant: C, what: string): Promise<C> => {
    open.push(contestant);
    return await warmedUp(contestant, what);
  };
  try {
    const of = await caseRun(name, arithmetic, folder);
    const { model } = PIPELINE_CASES[name];
    const run = { ...of.run, model };
    const one = await begin(oneProcess(of), "The one-process training");
    const others: (Contestant | null)[] = [one];
    for (const way of TORCH_WAYS) {
      const torch = await torchPipeline(run, way);
      others.push(torch === null ? null : await begin(torch, "PyTorch's pipeline"));
    }
    // The last: it may not stand still for long.
    const network = await begin(await embeddedNetwork(of), "The embedded network");
    const windows = others.map((): Window[] => []);
    // Against each of the others in turn.
    const ownWindows: { index: number; window: Window }[] = [];
    for (let round = 1; round <= rounds; round++) {
      for (const [index, other] of others.entries()) {
        if (other === null) continue;
        // By turns the one and the other first: a computer that grows slower or faster meets both alike.
        const inTurn = round % 2 === 1 ? [other, network] : [network, other];
        for (const contestant of inTurn) {
          const window = await alone(contestant, WINDOW_MS);
          if (contestant === network) ownWindows.push({ index, window });
          else windows[index]?.push(window);
        }
      }
      progress(`${name}: round ${round} of ${rounds}, load ${loadavg()[0]?.toFixed(1)}`);
    }
    for (const contestant of open) resume(contestant);
    const tokensPerStep = run.batch * run.sequence * run.microBatches;
    const ownSpeeds = speedsIn(
      ownWindows.map(({ window }) => window),
      await network.finished(),
      tokensPerStep,
    );
    const pairs: { own: number; other: number }[][] = [];
    for (const [index, other] of others.entries()) {
      const own = ownSpeeds.filter((_, at) => ownWindows[at]?.index === index);
      const speeds =
        other === null ? [] : speedsIn(windows[index] ?? [], await other.finished(), tokensPerStep);
      pairs.push(
        speeds.flatMap((speed, round) => {
          const beside = own[round] ?? null;
          return speed === null || beside === null ? [] : [{ own: beside, other: speed }];
        }),
      );
    }
    const [ofOne = [], ofTorch = [], ofInstalled = []] = pairs;
    const speed = (of: typeof ofOne): number | null =>
      of.length === 0 ? null : Math.round(median(of.map(({ other }) => other)));
    const against = (of: typeof ofOne): number | null =>
      of.length === 0 ? null : Number(median(of.map(({ own, other }) => own / other)).toFixed(3));
    return {
      speed: {
        case: name,
        oneProcessTokensPerSecond: speed(ofOne) ?? 0,
        pipelineTokensPerSecond: Math.round(median(ofOne.map(({ own }) => own))),
        ratio: against(ofOne) ?? 0,
        peer: against(ofTorch),
        peerAsInstalled: against(ofInstalled),
        peerTokensPerSecond: speed(ofTorch),
        peerAsInstalledTokensPerSecond: speed(ofInstalled),
        load: Number((loadavg()[0] ?? 0).toFixed(1)),
      },
      parametersSha256: name === "default" ? await one.parameters() : null,
    };
  } finally {
    for (const contestant of open) await contestant.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The whole model in one process of its own, with all cores. */
function oneProcess({ file }: CaseRun): Contestant & { parameters(): Promise<string | null> } {
  const child = fork(join(import.meta.dirname, "pipeline-one-process.ts"), [file, String(DIGEST_STEPS)], {
    env: childEnvironment(process.env, process.platform),
  });
  const finished: number[] = [];
  const { promise: digest, resolve: digested } = Promise.withResolvers<string | null>();
  child.on("message", (message) => {
    if (typeof message === "string") digested(message);
    else finished.push(Number(message));
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void exited.then(() => digested(null));
  return {
    pids: child.pid === undefined ? [] : [child.pid],
    steps: () => finished.length,
    finished: async () => finished,
    parameters: () => digest,
    async end() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** The embedded network; the daemon itself lives in this process. */
async function embeddedNetwork({ run, file }: CaseRun): Promise<Contestant> {
  const home = mkdtempSync(join(tmpdir(), "tah-bench-"));
  const words = ["--home", home, "--yes", "--run", file, "--neighbours", String(run.stages - 1)];
  const options = parseOptions(words);
  if (options === null) throw new Failure("bench-failed", "The daemon's options are not understood.");
  const daemon = await runDaemon(options);
  return {
    // Once it is warm.
    get pids() {
      const { orchestrator, workers } = JSON.parse(readFileSync(daemon.home.processesFile, "utf8"));
      return [orchestrator, ...workers.map(({ pid }: { pid: number }) => pid)];
    },
    steps: () => daemon.state().run?.step ?? 0,
    async finished() {
      const client = await ApiClient.connect(join(home, "api.json"));
      const { points } = await client.call("run.history", { maxPoints: 5000 });
      client.close();
      return points.map(({ at }) => at);
    },
    async end() {
      await daemon.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
