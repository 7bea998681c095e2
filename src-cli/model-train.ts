import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { NETWORK_FOLDER_NAME } from "../src-protocol/data-folder.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { parametersSha256 } from "../src-protocol/parameters-digest.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import type { RunFile } from "../src-protocol/run-file.ts";
import { RUN_RECORD_FILE } from "../src-protocol/run-record.ts";
import type { ApiClient } from "./api-client.ts";
import type { DataFigures } from "./data-text.ts";
import { endDaemon, refuseSurvivors } from "./daemon-end.ts";
import { DaemonProcess, pidsOf } from "./daemon-process.ts";
import { FollowedTraining } from "./follow-training.ts";
import type { TrainingFigures } from "./follow-training.ts";
import { withWeights } from "./model-weights.ts";
import { outputFile, writeOutput } from "./output-file.ts";
import type { OutputOptions } from "./output-file.ts";
import { readRecordText, recordBeside } from "./run-record-file.ts";
import { Signals } from "./signals.ts";
import { dataFigures, sayProgress } from "./data-text.ts";
import { planTraining } from "./training-plan.ts";
import type { TrainingOptions, TrainingPlan } from "./training-plan.ts";
import { planText } from "./training-text.ts";
import { readManifest, readTrainedWeights } from "./trained-weights.ts";
import type { TrainedWeights } from "./trained-weights.ts";

/** What a training found out, in figures. */
export interface TrainingResult extends TrainingFigures {
  readonly model: string;
  /** The trained model; null: nothing was written. */
  readonly out: string | null;
  /** The step whose weights were written. */
  readonly writtenStep: number | null;
  readonly steps: number;
  readonly stages: number;
  readonly parameterCount: number;
  readonly interrupted: boolean;
  readonly data: DataFigures;
}

/** How long a daemon may take to end after Ctrl-C. */
const END_MS = 10_000;

/**
 * `tah model train`: a daemon with an embedded network in a temporary folder trains a model of
 * somebody's own, in real processes; then the weights go back into a copy of its file.
 *
 * @throws Failure; what was trained until then is written all the same, and the message says so
 */
export async function trainModel(
  options: TrainingOptions & OutputOptions,
  say: (text: string) => void,
): Promise<TrainingResult> {
  const out = outputFile(options);
  const signals = new Signals();
  const home = mkdtempSync(join(tmpdir(), "train-at-home-train-"));
  try {
    const reading = new AbortController();
    signals.onFirst(() => reading.abort());
    const onProgress = sayProgress(say);
    const plan = await planTraining(options, home, { signal: reading.signal, onProgress }).catch(
      (error: unknown) => {
        throw asFailure(error);
      },
    );
    // Ctrl-C during the planning is heard now.
    await wait(0);
    say(planText(plan, { ...options, out }));
    const isOn = signals.asked === 0;
    const { figures, failure } = isOn ? await carryOut(plan, home, signals, say) : NOT_BEGUN;
    const written = isOn && signals.asked < 2 ? write(plan, home, out, failure) : null;
    if (failure !== null) throw withWritten(failure, written, out);
    const { run, stages, parameterCount } = plan;
    return {
      model: options.model,
      out: written === null ? null : out,
      writtenStep: written,
      steps: run.steps ?? 0,
      stages: stages.length,
      parameterCount,
      interrupted: signals.asked > 0,
      data: dataFigures(plan.data),
      ...figures,
    };
  } finally {
    signals.ignore();
    rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

interface Outcome {
  readonly figures: TrainingFigures;
  /** Why it ended early; null: it was done, or interrupted. */
  readonly failure: Failure | null;
}

const NOT_BEGUN: Outcome = {
  figures: {
    step: 0,
    lossFirst: null,
    lossLast: null,
    heldOutLossBefore: null,
    heldOutLossAfter: null,
    tokensPerSecond: null,
    processes: 0,
  },
  failure: null,
};

async function carryOut(
  { run, stages, corpusFile, modelFiles }: TrainingPlan,
  home: string,
  signals: Signals,
  say: (text: string) => void,
): Promise<Outcome> {
  const runFile = join(home, "run.json");
  writeFileSync(runFile, JSON.stringify({ run, corpusFile, modelFiles } satisfies RunFile), { mode: 0o600 });
  const neighbours = String(stages.length - 1);
  const daemon = new DaemonProcess(home, ["--no-probe", "--run", runFile, "--neighbours", neighbours]);
  const network = join(home, NETWORK_FOLDER_NAME);
  const training = new FollowedTraining(daemon, {
    steps: run.steps ?? 0,
    storedStep: () => readManifest(network)?.step ?? null,
    say,
  });
  let client: ApiClient | null = null;
  let failure: Failure | null = null;
  signals.onSecond(() => daemon.kill());
  try {
    client = await daemon.connect();
    await training.toTheEnd(client, () => signals.asked > 0);
  } catch (error) {
    // After Ctrl-C the daemon ends by itself: it has heard it too.
    if (signals.asked === 0) failure = asFailure(error);
  }
  if (signals.asked > 0) say("Stopping …");
  try {
    await ended(daemon, client);
  } catch (error) {
    failure ??= signals.asked > 0 ? null : asFailure(error);
  }
  return { figures: training.figures(), failure };
}

/** Politely if it can be, so that everything that is stored is whole; then for certain. */
async function ended(daemon: DaemonProcess, client: ApiClient | null): Promise<void> {
  const started = pidsOf(daemon.living());
  try {
    if (client !== null) {
      const late = wait(END_MS, null, { ref: false }).then(() => {
        throw new Failure("daemon-silent", "The daemon did not end in time.");
      });
      // After Ctrl-C it may have ended already.
      await Promise.race([endDaemon(daemon, client), daemon.ended, late]);
    }
  } finally {
    daemon.kill();
    await daemon.ended;
    await refuseSurvivors(started);
  }
}

/** The step that was written; null: none is stored. */
function write(plan: TrainingPlan, home: string, out: string, failure: Failure | null): number | null {
  try {
    const trained = readTrainedWeights(join(home, NETWORK_FOLDER_NAME), plan.run, plan.stages);
    if (trained === null) return null;
    const network = join(home, NETWORK_FOLDER_NAME);
    writeOutput(out, withWeights(plan.packed, trained.weights, trainedProperties(plan.run, trained)));
    // What `tah run verify` does the training again by.
    const record = readRecordText(join(network, RUN_RECORD_FILE));
    if (record !== null) writeOutput(recordBeside(out), Buffer.from(record));
    return trained.step;
  } catch (error) {
    // Why the training broke is the better thing to be told.
    if (failure !== null) return null;
    throw error;
  }
}

/** What the file says of its training: see state-chain.ts and parameters-digest.ts. */
function trainedProperties(run: RunSpec, { step, weights, links }: TrainedWeights): Record<string, string> {
  return {
    "train-at-home.run": runDigest(run),
    "train-at-home.step": String(step),
    "train-at-home.parameters": parametersSha256(weights),
    // One for each stage; none where a stage's snapshot did not say it.
    ...(links === null ? {} : { "train-at-home.links": links.join(" ") }),
  };
}

function withWritten(failure: Failure, step: number | null, out: string): Failure {
  const saved =
    step === null
      ? "Nothing was written."
      : `The weights of step ${step}, the last that were stored, are in ${basename(out)}.`;
  return new Failure(failure.code, `${failure.message} ${saved}`.slice(0, 2000), { cause: failure });
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const errno = error instanceof Error && "code" in error ? error.code : "";
  if (errno === "ENOSPC" || errno === "EDQUOT")
    return new Failure(
      "disk-full",
      `The folder for temporary files, ${tmpdir()}, is full. Free some room, or name another one with TMPDIR.`,
      { cause: error },
    );
  const { code, message } = failureBody(error);
  return new Failure(code, message, { cause: error });
}
