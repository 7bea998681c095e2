import { InvalidArgumentError } from "commander";
import type { Command } from "commander";

/** What was trained is not what was recorded. */
const EXIT_DIFFERENT = 3;

/** `tah run …`: what a training has left, looked at afterwards. */
export function addRunCommands(program: Command, say: (text: string) => void): void {
  const run = program.command("run").description("trainings that were recorded").helpCommand(false);
  run
    .command("verify")
    .description("do a recorded training again, offline, and name the first step that is different")
    .argument("<file>", "a model that was trained here, its .record.jsonl, or the data folder of a network")
    .option("--steps <range>", "compare these steps only, for example 100..120", steps)
    .option("--stage <number>", "compare this stage only, from 1 on", stage)
    .option("--data <folder>", "what it was trained on, where the file's folder does not have it")
    .option("--column <name>", "of records in the data, as it was given to the training")
    .option("--include <names...>", "data files, as they were given to the training")
    .option("--exclude <names...>", "data files that were left out of the training")
    .option("--model <file>", "the ONNX file before the training, where the file's folder does not have it")
    .option("--json", "print the outcome as one line of JSON")
    .addHelpText("after", "\nExit code: 0 the same, 3 different, 1 it could not be done, 2 wrong use.\n")
    .action(async (file: string, words: VerifyWords) => {
      const { verifyRun, verifyText } = await import("./run-verify.ts");
      const result = await verifyRun(
        {
          file,
          steps: words.steps ?? null,
          stage: words.stage ?? null,
          data: words.data ?? null,
          model: words.model ?? null,
          column: words.column ?? null,
          include: words.include ?? [],
          exclude: words.exclude ?? [],
        },
        (text) => void process.stderr.write(`${text}\n`),
      );
      say(words.json === true ? JSON.stringify(result) : verifyText(result));
      if (result.differs !== null) process.exitCode = EXIT_DIFFERENT;
    });
}

interface VerifyWords {
  steps?: { from: number; to: number };
  stage?: number;
  data?: string;
  model?: string;
  column?: string;
  include?: string[];
  exclude?: string[];
  json?: true;
}

function steps(text: string): { from: number; to: number } {
  const [, first, last] = /^(\d{1,10})(?:\.\.(\d{1,10}))?$/.exec(text) ?? [];
  const from = Number(first);
  const to = Number(last ?? first);
  if (from >= 1 && to >= from) return { from, to };
  throw new InvalidArgumentError("Give a step or a range of them, for example 100..120.");
}

/** People count from 1. */
function stage(text: string): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (value >= 1) return value - 1;
  throw new InvalidArgumentError("Give the number of a stage, from 1 on.");
}
