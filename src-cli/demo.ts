import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { NETWORK_FOLDER_NAME } from "../src-protocol/data-folder.ts";
import { CODEC_WORDS, readCodecs } from "../src-protocol/link-codecs.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { formatTao } from "../src-protocol/units.ts";
import { endDaemon } from "./daemon-end.ts";
import { DaemonProcess } from "./daemon-process.ts";
import { finalParameters } from "./demo-parameters.ts";
import type { FinalParameters } from "./demo-parameters.ts";
import { brokenPromise, followDemo } from "./demo-run.ts";
import type { DemoResult } from "./demo-run.ts";

/**
 * `npm run demo`: the whole product for a minute, without a window: a daemon with its embedded
 * network in a temporary data folder trains for some steps, then everything is ended and removed.
 */
const HELP = `The whole product for a minute: trains, shows the figures, and leaves nothing behind.

  --steps N   how many steps to train (default 60)
  --exact     train in the class exact: with or without --kill, on every computer, the same bits
  --kill      kill one neighbour half-way, to see the network recover; with --replicas, ends with 1 when
              others than its stage had to do anything again
  --replicas N  train with N computers for each of the three stages (1 to 5, default 1)
  --codec C   how values travel between stages: ${CODEC_WORDS}; default f32
  --json      print the figures as one line of JSON
`;

const EXIT_BAD_OPTION = 2;

process.exitCode = await demo(process.argv.slice(2));

async function demo(words: readonly string[]): Promise<number> {
  const options = readOptions(words);
  if (options === null) return EXIT_BAD_OPTION;
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    const result = await runDemo(options);
    process.stdout.write(`${options.json ? JSON.stringify(result) : summary(result)}\n`);
    const broken = options.replicas > 1 ? brokenPromise(result) : null;
    if (broken === null) return 0;
    process.stderr.write(`${broken.message}\n`);
    return 1;
  } catch (error) {
    process.stderr.write(`${failureBody(error).message}\n`);
    return 1;
  }
}

interface Options {
  readonly steps: number;
  readonly kill: boolean;
  readonly exact: boolean;
  readonly codec: string;
  readonly replicas: number;
  readonly json: boolean;
  readonly help: boolean;
  readonly model: string;
}

function readOptions(words: readonly string[]): Options | null {
  try {
    const { values } = parseArgs({
      args: [...words],
      options: {
        steps: { type: "string", default: "60" },
        kill: { type: "boolean", default: false },
        exact: { type: "boolean", default: false },
        codec: { type: "string", default: "f32" },
        replicas: { type: "string", default: "1" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        model: { type: "string", default: "default" },
      },
    });
    readCodecs(values.codec);
    const steps = /^\d{1,6}$/.test(values.steps) ? Number(values.steps) : 0;
    const replicas = /^[1-5]$/.test(values.replicas) ? Number(values.replicas) : 0;
    if (replicas === 0)
      process.stderr.write(`--replicas needs a whole number from 1 to 5, not "${values.replicas}".\n`);
    else if (steps >= 2) return { ...values, steps, replicas };
    else process.stderr.write(`--steps needs a whole number from 2 on, not "${values.steps}".\n`);
  } catch (error) {
    const message = error instanceof Failure ? error.message : notUnderstood(error);
    process.stderr.write(`${message} --help lists all options.\n`);
  }
  return null;
}

/** Node names the word in quotes: "Unknown option '--x'. To specify …". */
function notUnderstood(error: unknown): string {
  const word = /'([^' ]*)/.exec(error instanceof Error ? error.message : "")?.[1];
  return word === undefined
    ? "These options could not be understood."
    : `The option ${word} could not be understood.`;
}

async function runDemo(options: Options): Promise<DemoResult & FinalParameters> {
  const home = mkdtempSync(join(tmpdir(), "train-at-home-demo-"));
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const workers = ["three", "six", "nine", "twelve", "fifteen"][options.replicas - 1];
  say(`A daemon, an orchestrator and ${workers} workers train for ${options.steps} steps …`);
  const daemon = new DaemonProcess(home, [
    "--no-probe",
    "--yes",
    "--steps",
    String(options.steps),
    "--model",
    options.model,
    ...(options.exact ? ["--exact"] : []),
    "--codec",
    options.codec,
    ...(options.replicas > 1 ? ["--replicas", String(options.replicas)] : []),
  ]);
  const interrupt = (): void => daemon.kill();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  try {
    const client = await daemon.connect();
    const figures = await followDemo(daemon, client, { steps: options.steps, kill: options.kill, say });
    const network = join(home, NETWORK_FOLDER_NAME);
    const result = { ...figures, ...(await finalParameters(network, options.steps)) };
    await endDaemon(daemon, client);
    return result;
  } finally {
    daemon.kill();
    await daemon.ended;
    rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

function summary(result: DemoResult & FinalParameters): string {
  const lines = [
    `${result.steps} steps in ${result.stages} stages, ${result.processes} processes, ${result.tokensPerSecond} tokens a second`,
    `loss from ${result.lossFirst} to ${result.lossLast}, held out ${result.heldOutLoss}`,
    `parameters ${result.parametersSha256} (class ${result.arithmetic})`,
    `${result.receipts} counter-signed receipts earned this computer ${formatTao(BigInt(result.earnedRao), 6)} test units`,
  ];
  if (result.movingAgainMs !== undefined && result.redone !== undefined)
    lines.push(
      `a killed neighbour's stage went on in ${(result.movingAgainMs / 1000).toFixed(1)} s; ${result.redone.byLostStages} micro-batches were done again by its stage, ${result.redone.byOthers} by others`,
    );
  if (result.recoveredMs !== undefined)
    lines.push(`a killed neighbour was replaced in ${(result.recoveredMs / 1000).toFixed(1)} s`);
  return lines.join("\n");
}
