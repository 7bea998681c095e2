import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { WRITTEN_TYPES } from "./folders/written-type.ts";
import type { WrittenType } from "./folders/written-type.ts";
import { Failure } from "../src-protocol/failure.ts";
import { MOST_MICRO_BATCHES } from "../src-protocol/model.ts";

const MOST_COMPUTERS = 1000;
/** The daemon's own worker, and the neighbours that it starts at most. */
const MOST_WORKERS = 17;
const EXIT_INTERRUPTED = 130;
const MODEL_HELP =
  "an ONNX file (its external data in the same folder), or a folder with config.json and model.safetensors";
const FREEZE_HELP = "stored tensors that do not train, by name, with * and ?";
const TRAIN_HELP =
  "stored tensors that train whatever they are; stronger than --freeze (--freeze '*' --train '*lora*')";

/** `tah model …`: what can be done with ONNX files of one's own. The engine is loaded when one of them runs. */
export function addModelCommands(program: Command, say: (text: string) => void): void {
  const model = program
    .command("model")
    .description("models of your own: ONNX files, or folders of Hugging Face")
    .helpCommand(false);

  model
    .command("inspect")
    .description("operators, parameters, cut points and a plan for a model of your own")
    .argument("<file>", MODEL_HELP)
    .option(
      "--stages <count>",
      "number of computers to divide it among (default: as few as fit)",
      whole(1, MOST_COMPUTERS),
    )
    .option("--size <name=number...>", "sizes of the dimensions that the file leaves open")
    .option("--output <name...>", "the outputs to look at (default: all)")
    .option("--freeze <pattern...>", FREEZE_HELP)
    .option("--train <pattern...>", TRAIN_HELP)
    .option("--tensors", "list every stored tensor: whether it trains, why, and how sure that is")
    .option("--json", "print JSON, for programs")
    .action(async (file: string, words: InspectWords) => {
      const { inspectModel, inspectionText, parseSizes } = await import("./model-inspect.ts");
      const { stages, size, output, freeze, train } = words;
      const found = await inspectModel(file, {
        stages: stages ?? null,
        sizes: parseSizes(size ?? []),
        outputs: output ?? null,
        freeze: freeze ?? [],
        train: train ?? [],
      });
      say(words.json === true ? JSON.stringify(found) : inspectionText(found, words.tensors === true));
      if (found.problem !== null) process.exitCode = 1;
    });

  model
    .command("train")
    .description("train a language model of your own, in a pipeline of real processes on this computer")
    .argument("<file>", MODEL_HELP)
    .option("--data <path>", "needed: a folder or a file to train on; see below")
    .option("--column <name>", "of records (JSON lines, CSV, parquet …): the one that holds the text")
    .option("--include <pattern...>", "names of files that are taken though they look like something else")
    .option("--exclude <pattern...>", "names of files that are left out")
    .option("--steps <count>", "needed: how many steps to train", whole(1, 1_000_000_000))
    .option(
      "--stages <count>",
      "worker processes to divide it among (default: 3, or as many as it can be cut into)",
      whole(1, MOST_WORKERS),
    )
    .option(
      "--batch <count>",
      "sequences of a micro-batch (default: as the file fixes it, else 4)",
      whole(1, 4096),
    )
    .option(
      "--sequence <count>",
      "tokens of a sequence (default: as the file fixes it, else 128)",
      whole(2, 131_072),
    )
    .option("--micro-batches <count>", "micro-batches of a step", whole(1, MOST_MICRO_BATCHES), 8)
    .option("--learning-rate <number>", "the highest, after the warm-up", positive, 3e-4)
    .option("--seed <number>", "which data is drawn when", whole(0, 2 ** 31 - 1), 1)
    .option("--size <name=number...>", "sizes of other dimensions that the file leaves open")
    .option("--tokens <name>", "the input that takes token numbers (default: found by its type and name)")
    .option(
      "--output, --scores <name>",
      "the output of scores of the next token (default: the only one, or logits)",
    )
    .option("--fixed <name=number...>", "another input, and the number that it is filled with")
    .option("--freeze <pattern...>", FREEZE_HELP)
    .option("--train <pattern...>", TRAIN_HELP)
    .option("--exact", 'the same bits on every computer, a little slower: see "tah run verify"')
    .option(
      "--out <path>",
      "the trained model (default: FILE.trained.onnx or FOLDER.trained, beside the model)",
    )
    .addOption(
      new Option(
        "--dtype <type>",
        "of a folder's trained numbers: as they are stored there, or as they were trained",
      )
        .choices(WRITTEN_TYPES)
        .default("kept"),
    )
    .option("--force", "replace the file that is written if it is there already")
    .option("--fresh", "begin anew, where the same training was stopped before it was done")
    .option(
      "--samples <count>",
      "texts that are written before and after, from held-out beginnings",
      whole(0, 20),
      3,
    )
    .option("--json", "print the figures as one line of JSON")
    .addHelpText("after", DATA_HELP)
    .action(async (file: string, words: TrainWords) => {
      const { data, steps } = needed(words);
      const [{ parseSizes }, { trainModel }, { resultText }] = await Promise.all([
        import("./model-inspect.ts"),
        import("./model-train.ts"),
        import("./training-text.ts"),
      ]);
      const { microBatches, learningRate, seed } = words;
      const result = await trainModel(
        {
          model: file,
          data,
          column: words.column ?? null,
          include: words.include ?? [],
          exclude: words.exclude ?? [],
          steps,
          microBatches,
          learningRate,
          seed,
          ...(words.exact === true ? { arithmetic: "exact" as const } : {}),
          stages: words.stages ?? null,
          batch: words.batch ?? null,
          sequence: words.sequence ?? null,
          sizes: parseSizes(words.size ?? []),
          tokens: words.tokens ?? null,
          scores: words.scores ?? null,
          fixed: parseNumbers(words.fixed ?? []),
          freeze: words.freeze ?? [],
          train: words.train ?? [],
          out: words.out ?? null,
          force: words.force === true,
          fresh: words.fresh === true,
          samples: words.samples,
          type: words.dtype,
        },
        (text) => void process.stderr.write(`${text}\n`),
      );
      say(words.json === true ? JSON.stringify(result) : resultText(result));
      if (result.interrupted) process.exitCode = EXIT_INTERRUPTED;
    });

  addTry(model, say);
}

function addTry(model: Command, say: (text: string) => void): void {
  model
    .command("try")
    .description("what a language model writes after a prompt, on this computer")
    .argument("<file>", MODEL_HELP)
    .requiredOption("--prompt <text...>", "what the text begins with; several, each for itself")
    .option("--count <number>", "how many texts after each prompt", whole(1, 100), 3)
    .option("--length <tokens>", "how many tokens to write", whole(1, 100_000), 60)
    .option(
      "--temperature <number>",
      "how freely it chooses; 0: always the likeliest token",
      temperature,
      0.8,
    )
    .option("--seed <number>", "another seed, other texts", whole(0, 2 ** 31 - 1), 1)
    .option("--tokenizer <path>", "a folder with a tokenizer.json (default: the model's own)")
    .option(
      "--sequence <count>",
      "how many tokens it looks back (default: as the file fixes it, else 128)",
      whole(2, 131_072),
    )
    .option("--size <name=number...>", "sizes of other dimensions that the file leaves open")
    .option("--tokens <name>", "the input that takes token numbers (default: found by its type and name)")
    .option(
      "--output, --scores <name>",
      "the output of scores of the next token (default: the only one, or logits)",
    )
    .option("--fixed <name=number...>", "another input, and the number that it is filled with")
    .option("--json", "print JSON, for programs")
    .action(async (file: string, words: TryWords) => {
      const [{ parseSizes }, { tryModel, tryText }] = await Promise.all([
        import("./model-inspect.ts"),
        import("./model-try.ts"),
      ]);
      const { prompt, count, length, temperature: degree, seed } = words;
      const result = await tryModel(
        {
          model: file,
          prompts: prompt,
          count: degree === 0 ? 1 : count,
          length,
          temperature: degree,
          seed,
          tokenizer: words.tokenizer ?? null,
          sequence: words.sequence ?? null,
          sizes: parseSizes(words.size ?? []),
          tokens: words.tokens ?? null,
          scores: words.scores ?? null,
          fixed: parseNumbers(words.fixed ?? []),
        },
        (text) => void process.stderr.write(`${text}\n`),
      );
      say(words.json === true ? JSON.stringify(result) : tryText(result));
    });
}

interface TryWords {
  prompt: string[];
  count: number;
  length: number;
  temperature: number;
  seed: number;
  tokenizer?: string;
  sequence?: number;
  size?: string[];
  tokens?: string;
  scores?: string;
  fixed?: string[];
  json?: true;
}

interface InspectWords {
  stages?: number;
  size?: string[];
  output?: string[];
  freeze?: string[];
  train?: string[];
  tensors?: true;
  json?: true;
}

interface TrainWords {
  data?: string;
  column?: string;
  include?: string[];
  exclude?: string[];
  steps?: number;
  stages?: number;
  batch?: number;
  sequence?: number;
  microBatches: number;
  learningRate: number;
  seed: number;
  size?: string[];
  tokens?: string;
  scores?: string;
  fixed?: string[];
  freeze?: string[];
  train?: string[];
  exact?: true;
  out?: string;
  force?: true;
  fresh?: true;
  samples: number;
  dtype: WrittenType;
  json?: true;
}

const DATA_HELP = `
The data is a file, or a folder with as many as you like, taken in the order of their names:
  text                       .txt, .md and others, in UTF-8, UTF-16 or Latin-1
  records                    .jsonl, .json, .csv, .tsv, .parquet: the column "text", or --column;
                             conversations ("messages") through the tokenizer's chat template
  token files                .u16, .u32, .bin (nanoGPT, llm.c, Megatron with its .idx), .npy
Text and records may be packed (.gz, .zst). With a tokenizer.json beside the model or in the folder,
text becomes its tokens; else every byte is a token, if the model knows 256 or more.
Files called train, validation (val, valid, dev) and test are told apart: the held-out loss is
measured on the validation set, else on the last 5 %. A test set is left alone.
Before training each file is listed as what it was taken for, or why it was not.
`;

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
  };
}

function temperature(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 100) return value;
  throw new InvalidArgumentError("Give a number from 0 to 100, for example 0.8.");
}

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 10) return value;
  throw new InvalidArgumentError("Give a number above 0 and up to 10, for example 3e-4.");
}

/** All that is missing is named at once. Throws `bad-option`. */
function needed({ data, steps }: TrainWords): { data: string; steps: number } {
  if (data !== undefined && steps !== undefined) return { data, steps };
  const missing = [
    ...(data === undefined ? ["--data FOLDER"] : []),
    ...(steps === undefined ? ["--steps 200"] : []),
  ];
  throw new Failure(
    "bad-option",
    `A training needs ${missing.join(" and ")} too. \`tah model train --help\` says what else there is.`,
  );
}

/** As they are typed: `attention_mask=1`. */
function parseNumbers(words: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    words.map((word) => {
      const [, name, digits] = /^(.+)=([^=]+)$/.exec(word) ?? [];
      const value = Number(digits);
      if (name !== undefined && Number.isFinite(value)) return [name, value];
      throw new Failure(
        "bad-size",
        `"${word}" is not an input and a number. Write them as in --fixed attention_mask=1.`,
      );
    }),
  );
}
