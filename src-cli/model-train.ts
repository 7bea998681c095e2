import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { NETWORK_FOLDER_NAME } from "../src-protocol/data-folder.ts";
import type { TokenText } from "../src-data/token-text.ts";
import { plural, size } from "../src-protocol/amounts.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { parametersDigest } from "../src-protocol/parameters-digest.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import type { RunFile } from "../src-protocol/run-file.ts";
import { RUN_RECORD_FILE } from "../src-protocol/run-record.ts";
import type { ApiClient } from "./api-client.ts";
import type { DataFigures } from "./data-text.ts";
import { endDaemon, refuseSurvivors } from "./daemon-end.ts";
import { DaemonProcess, pidsOf } from "./daemon-process.ts";
import { FollowedTraining } from "./follow-training.ts";
import type { TrainingFigures } from "./follow-training.ts";
import { TEXT_PROPERTY } from "./model-try.ts";
import { withWeights } from "./model-weights.ts";
import { writeFolder } from "./folders/folder-output.ts";
import type { ModelFolder } from "./folders/model-folder.ts";
import type { WrittenType } from "./folders/written-type.ts";
import { outputFile, writeOutput, writeOutputFolder } from "./output-file.ts";
import type { OutputOptions } from "./output-file.ts";
import { readRecordText, recordBeside } from "./run-record-file.ts";
import { Signals } from "./signals.ts";
import { dataFigures, sayProgress } from "./data-text.ts";
import { planTraining } from "./training-plan.ts";
import type { TrainingOptions, TrainingPlan } from "./training-plan.ts";
import { TrainingHomes } from "./training-homes.ts";
import type { TrainingHome } from "./training-homes.ts";
import { textOfRun, trainingSamples } from "./training-samples.ts";
import type { TrainingSample } from "./training-samples.ts";
import { planText } from "./training-text.ts";
import { openTrainedWeights, readManifest } from "./trained-weights.ts";
import type { StoredWeights } from "./trained-weights.ts";

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
  /** The stored step that it went on from; null: it began anew. */
  readonly resumedFrom: number | null;
  /** Where its state is kept, for the same command to go on from; null: it is done. */
  readonly kept: string | null;
  /** What the model wrote before and after; empty where it was not tried. */
  readonly samples: readonly TrainingSample[];
  readonly notes: readonly string[];
  readonly data: DataFigures;
}

export interface TrainOptions extends TrainingOptions, OutputOptions {
  /** Whether an unfinished training of the same model, data and settings is thrown away. */
  readonly fresh: boolean;
  /** How many texts are written before and after. */
  readonly samples: number;
  /** Of a folder: the type of the numbers that are written. */
  readonly type: WrittenType;
}

/** How long a daemon may take to end after Ctrl-C. */
const END_MS = 10_000;
/** In a training's home: what was found out when it was done. */
const FIGURES_FILE = "figures.json";

/**
 * `tah model train`: a daemon with an embedded network trains a model of somebody's own, in real
 * processes; then the weights go back into a copy of its file. Its state lies in a home of its own
 * until then, so that the same command goes on where a run stopped, in whatever way.
 *
 * @throws Failure; what was trained until then is written all the same, and the message says so
 */
export async function trainModel(
  options: TrainOptions,
  say: (text: string) => void,
): Promise<TrainingResult> {
  const homes = new TrainingHomes();
  const out = outputFile(options, (path) => homes.hasWritten(path));
  const signals = new Signals();
  const stop = new AbortController();
  signals.onFirst(() => stop.abort());
  const scratch = homes.scratch();
  let opened: ModelFolder | null = null;
  try {
    const plan = await planTraining(options, scratch, {
      signal: stop.signal,
      onProgress: sayProgress(say),
      say,
    }).catch((error: unknown) => {
      throw asFailure(error, homes.folder);
    });
    opened = plan.folder;
    // Ctrl-C during the planning is heard now.
    await wait(0);
    const home = await homes.open(plan.run.runId, options);
    try {
      outputFile({ ...options, out }, (path) => home.hasWritten(path));
      return await trainedIn(
        home,
        { ...plan, ...moved(plan, scratch, home) },
        { options, out, homes, signals, stop, say },
      );
    } finally {
      home.release();
    }
  } finally {
    signals.ignore();
    opened?.close();
    rmSync(scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

interface Surroundings {
  readonly options: TrainOptions;
  readonly out: string;
  readonly homes: TrainingHomes;
  readonly signals: Signals;
  readonly stop: AbortController;
  readonly say: (text: string) => void;
}

/** What was made for the training moves in with it; files of the person stay where they are. */
function moved(
  { modelFiles, corpusFile }: TrainingPlan,
  scratch: string,
  home: TrainingHome,
): Pick<TrainingPlan, "modelFiles" | "corpusFile"> {
  const own = (file: string): string => (dirname(file) === scratch ? home.take(file) : file);
  return { modelFiles: modelFiles.map(own), corpusFile: own(corpusFile) };
}

async function trainedIn(
  home: TrainingHome,
  plan: TrainingPlan,
  { options, out, homes, signals, stop, say }: Surroundings,
): Promise<TrainingResult> {
  const { run, stages, parameterCount } = plan;
  const text = await textOfRun(run, [options.model, options.data]);
  const resumedFrom = storedStep(home, run);
  const notes = [...plan.notes, ...othersNotes(homes, run)];
  say(planText({ ...plan, notes }, { ...options, out }));
  if (resumedFrom !== null) say(resumeText(resumedFrom, run, home));
  const isOn = signals.asked === 0;
  const { figures, failure } = !isOn
    ? NOT_BEGUN
    : resumedFrom !== null && resumedFrom === run.steps
      ? alreadyDone(home, resumedFrom)
      : await carryOut(plan, home.folder, signals, say);
  const isFinished = failure === null && storedStep(home, run) === run.steps;
  if (isFinished) writeFileSync(join(home.folder, FIGURES_FILE), JSON.stringify(figures), { mode: 0o600 });
  const written =
    isOn && signals.asked < 2 ? write(plan, home, { out, text, failure, type: options.type }) : null;
  // What breaks at the same step again is not worth keeping; all else goes on from here.
  const isOver = isFinished || failure?.code === "training-broken" || storedStep(home, run, false) === null;
  if (failure !== null) {
    if (isOver) home.remove();
    throw withWritten(failure, written, { out, kept: isOver ? null : home.folder });
  }
  const samples =
    written !== null && signals.asked === 0 && options.samples > 0
      ? await sampled(plan, text, { options, out, stop, say })
      : [];
  if (isOver) home.remove();
  return {
    model: options.model,
    out: written === null ? null : out,
    writtenStep: written,
    steps: run.steps ?? 0,
    stages: stages.length,
    parameterCount,
    interrupted: signals.asked > 0,
    resumedFrom,
    kept: isOver ? null : home.folder,
    samples,
    notes,
    data: dataFigures(plan.data),
    ...figures,
  };
}

/** Of a training's home: the newest step that all stages have stored; null: none, or one of another run. */
function storedStep(home: TrainingHome, run: RunSpec, mustFit = true): number | null {
  try {
    const manifest = readManifest(join(home.folder, NETWORK_FOLDER_NAME));
    return manifest === null || (mustFit && manifest.runSha256 !== runDigest(run)) ? null : manifest.step;
  } catch {
    return null;
  }
}

function resumeText(step: number, { steps }: RunSpec, { folder }: TrainingHome): string {
  return step === steps
    ? `Done before: all ${steps} steps of this training are in ${folder}. --fresh begins anew.`
    : `Going on:  this training was stopped before; step ${step} is the last that all its stages stored, in ${folder}. --fresh begins anew.`;
}

function othersNotes(homes: TrainingHomes, { runId }: RunSpec): string[] {
  const { count, bytes } = homes.others(runId);
  if (count === 0) return [];
  return [
    `${plural(count, "other training")} ${count === 1 ? "is" : "are"} not finished and ${count === 1 ? "takes" : "take"} ${size(bytes)} in ${homes.folder}: the same command goes on, and what is not wanted can be deleted there.`,
  ];
}

/** The samples are an extra: what goes wrong with them does not take the trained model away. */
async function sampled(
  { run, modelFiles, corpusFile, folder }: TrainingPlan,
  text: TokenText,
  { options, out, stop, say }: Pick<Surroundings, "options" | "out" | "stop" | "say">,
): Promise<TrainingSample[]> {
  try {
    const trained = folder === null ? [out] : folder.names.map((name) => join(out, name));
    const files = { corpusFile, untrained: modelFiles, trained };
    return await trainingSamples({ run, text, ...files, count: options.samples, signal: stop.signal, say });
  } catch (error) {
    if (stop.signal.aborted) return [];
    say(`No texts were written: ${failureBody(error).message}`);
    return [];
  }
}

function alreadyDone(home: TrainingHome, step: number): Outcome {
  try {
    const text = readFileSync(join(home.folder, FIGURES_FILE), "utf8");
    return { figures: { ...NOT_BEGUN.figures, ...(JSON.parse(text) as TrainingFigures) }, failure: null };
  } catch {
    return { figures: { ...NOT_BEGUN.figures, step }, failure: null };
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
  const daemon = new DaemonProcess(home, [
    "--no-probe",
    "--yes",
    "--run",
    runFile,
    "--neighbours",
    neighbours,
  ]);
  const network = join(home, NETWORK_FOLDER_NAME);
  const training = new FollowedTraining(daemon, {
    steps: run.steps ?? 0,
    checkpointEverySteps: run.checkpointEverySteps,
    storedStep: () => readManifest(network)?.step ?? null,
    parameters: stages.map(({ parameters }) => parameters.map(({ name }) => name)),
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
function write(
  plan: TrainingPlan,
  home: TrainingHome,
  { out, text, failure, type }: { out: string; text: TokenText; failure: Failure | null; type: WrittenType },
): number | null {
  const network = join(home.folder, NETWORK_FOLDER_NAME);
  try {
    const trained = openTrainedWeights(network, plan.run, plan.stages);
    if (trained === null) return null;
    const properties = trainedProperties(plan.run, trained, text);
    writeElsewhereIfNot(out, home, modelWriter(plan, trained, properties, type));
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

/** Writes the trained model to a path. */
function modelWriter(
  { packed, folder }: TrainingPlan,
  trained: StoredWeights,
  properties: Readonly<Record<string, string>>,
  type: WrittenType,
): (path: string) => void {
  if (folder !== null)
    return (path) => writeOutputFolder(path, () => writeFolder(folder, path, trained, { properties, type }));
  if (packed === null) throw new RangeError("A model is a file or a folder.");
  const weights = new Map([...trained.names].map((name) => [name, trained.read(name)]));
  const bytes = withWeights(packed, weights, properties);
  return (path) => writeOutput(path, bytes);
}

/** @throws Failure `output-not-writable`, which says where the weights are instead */
function writeElsewhereIfNot(out: string, home: TrainingHome, write: (path: string) => void): void {
  try {
    write(out);
    home.remember(out);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const instead = join(home.folder, basename(out));
    const again = `Its state is kept in ${home.folder}: the same command with another --out writes it without training again.`;
    try {
      write(instead);
    } catch {
      throw new Failure(error.code, `${error.message} ${again}`.slice(0, 2000), { cause: error });
    }
    throw new Failure(
      error.code,
      `${error.message} The trained model is in ${instead} instead. ${again}`.slice(0, 2000),
      { cause: error },
    );
  }
}

/** What the file says of its training: see state-chain.ts and parameters-digest.ts. */
function trainedProperties(
  run: RunSpec,
  { step, names, read, links }: StoredWeights,
  text: TokenText,
): Record<string, string> {
  return {
    [TEXT_PROPERTY]: text.kind,
    "train-at-home.run": runDigest(run),
    "train-at-home.step": String(step),
    "train-at-home.parameters": parametersDigest([...names], read),
    // One for each stage; none where a stage's snapshot did not say it.
    ...(links === null ? {} : { "train-at-home.links": links.join(" ") }),
  };
}

function withWritten(
  failure: Failure,
  step: number | null,
  { out, kept }: { out: string; kept: string | null },
): Failure {
  const saved =
    step === null
      ? "Nothing was written."
      : `The weights of step ${step}, the last that were stored, are in ${basename(out)}.`;
  const on = kept === null ? "" : ` The same command goes on from what is kept in ${kept}.`;
  return new Failure(failure.code, `${failure.message} ${saved}${on}`.slice(0, 2000), { cause: failure });
}

function asFailure(error: unknown, folder?: string): Failure {
  if (error instanceof Failure) return error;
  const errno = error instanceof Error && "code" in error ? error.code : "";
  if (errno === "ENOSPC" || errno === "EDQUOT")
    return new Failure(
      "disk-full",
      `The disk with the data folder${folder === undefined ? "" : `, ${folder},`} is full. Free some room, or name another data folder with TAH_HOME.`,
      { cause: error },
    );
  const { code, message } = failureBody(error);
  return new Failure(code, message, { cause: error });
}
