import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Failure, failureBody } from "../src-protocol/failure.ts";

/**
 * `npm run bench -- NAME [--json]`: each number that the docs promise is measured here, as a ratio
 * of two things done in turn within one run, so that a slow or busy computer changes both.
 */
const BENCHMARKS = {
  engine: {
    about: "Forward and backward of a stage against ONNX Runtime's own MatMul, 24 sizes (5 minutes)",
    load: async () => (await import("./engine.ts")).benchEngine,
  },
  bits: {
    about: "The same bits on threads, levels and emulated processors, and what the class exact costs",
    load: async () => (await import("./bits.ts")).benchBits,
  },
  imports: {
    about:
      "Every committed model of another framework: what trains, its gradients, the trained file in ONNX Runtime",
    load: async () => (await import("./imports.ts")).benchImports,
  },
  codecs: {
    about: "Each codec, both ways, against copying the same values",
    load: async () => (await import("./codecs.ts")).benchCodecs,
  },
  "codec-gate": {
    about:
      "The default model trained with each codec on its links, and for its replicas' sums: loss at equal tokens against f32 (--steps 400, --runs 2 seeds, --only f32/f32/int8b64; two hours)",
    load: async () => (await import("./codec-gate.ts")).benchCodecGate,
  },
  data: {
    about:
      "Text, jsonl.gz and parquet into tokens of GPT-2 and Llama-2: MB/s, memory, against Python's tokenizers if it is there",
    load: async () => (await import("./data.ts")).benchData,
  },
  ledger: {
    about: "Receipts credited and durable, claims, and an audit, against the bare store under them",
    load: async () => (await import("./ledger.ts")).benchLedger,
  },
  chain: {
    about: "Hashing the state for the chain of digests against the steps between: share of a training",
    load: async () => (await import("./chain.ts")).benchChain,
  },
  sums: {
    about: "Gradient sums in a fixed order against sums that are exact in any order: share of a pass",
    load: async () => (await import("./sums.ts")).benchSums,
  },
  memory: {
    about:
      "Peak memory against what was predicted: a stage of 100 M parameters, kept results against recomputed; a folder of 1 GB in three workers; one and two replicas of a stage in both classes (--only replicas)",
    load: async () => (await import("./memory.ts")).benchMemory,
  },
  pipeline: {
    about:
      "The network on this computer against one process and PyTorch's own pipeline, where it is there: tokens per second (--only default, 'width 512', 'six stages', '16 micro-batches' and, for the others, 'NAME with 16 micro-batches'; --runs 10)",
    load: async () => (await import("./pipeline.ts")).benchPipeline,
  },
  recovery: {
    about:
      "Three stages of two replicas in six processes: kills, a whole stage, the orchestrator, stops, links, a slow one, a wrong digest; time to the next work, what was redone, receipts lost, loss (--runs 20, --only 'cut link')",
    load: async () => (await import("./recovery.ts")).benchRecovery,
  },
  growth: {
    about:
      "What a network's files, ledger and memory grow by in 1,000 steps and in 30 days, and what it writes (--seconds N of each part, --only book; Linux)",
    load: async () => (await import("./growth.ts")).benchGrowth,
  },
  churn: {
    about:
      "Three stages of three replicas in nine processes, killed at 10, 16 and 33 % of stages an hour, pressed together: goodput, steps lost, stalls, loss (--seconds N, --only 10; 30 minutes)",
    load: async () => (await import("./churn.ts")).benchChurn,
  },
  simulate: {
    about:
      "5,000 homes, 8 runs of 8 stages, three days on a virtual clock: the product's placement and routing, against fixed chains (--runs: the seed)",
    load: async () => (await import("./simulate.ts")).benchSimulate,
  },
  link: {
    about:
      "Links in memory, over TLS, HyperDHT and a relay against raw TCP: speed, processor, round trip, dial; and an owner's limits on each",
    load: async () => (await import("./link.ts")).benchLink,
  },
  daemon: {
    about:
      "The daemon at rest (memory, processor), input to stopped, 50 clients, a week of decisions (3 minutes; Linux)",
    load: async () => (await import("./daemon.ts")).benchDaemon,
  },
  dashboard: {
    about:
      "Home in Chromium, from the daemon's first byte until it says state and earnings; its size and layout shift",
    load: async () => (await import("./dashboard.ts")).benchDashboard,
  },
  lab: {
    about:
      "Homes behind all kinds of routers and slow lines: which link they get, and how much of the line it uses (root)",
    load: async () => (await import("./lab.ts")).benchLab,
  },
  flood: {
    about:
      "The orchestrator under 5,000 silent sockets and up to 10,000 greetings a second, its relay and DHT under datagrams (a minute)",
    load: async () => (await import("./flood.ts")).benchFlood,
  },
  fuzz: {
    about: "1,000,000 mutated frames and messages through every parser of foreign bytes",
    load: async () => (await import("./fuzz.ts")).benchFuzz,
  },
  "fuzz-data": {
    about:
      "10,000 damaged files of every kind through the readers of data: tokens, a clear sentence, or a crash",
    load: async () => (await import("./fuzz-data.ts")).benchFuzzData,
  },
  tfjs: {
    about: "A small model's training step against TensorFlow.js in WebAssembly (installs it on first use)",
    load: async () => (await import("./tfjs.ts")).benchTfjs,
  },
  torch: {
    about: "Forward and backward of a Llama block against PyTorch on the CPU (needs a python3 that has it)",
    load: async () => (await import("./torch.ts")).benchTorch,
  },
} as const;

export interface BenchOptions {
  /** Train in the class exact; for benchmarks of whole trainings. */
  readonly exact: boolean;
  /** Names of the parts to run; empty: all. For benchmarks that have parts. */
  readonly only: readonly string[];
  /** How often each part is done, for benchmarks that repeat them; left out: as often as they do by themselves. */
  readonly runs?: number | undefined;
  /** How many steps each part trains, for benchmarks of trainings. */
  readonly steps?: number | undefined;
  /** How long each part takes, for benchmarks that go on for a time. */
  readonly seconds?: number | undefined;
}

export interface Progress {
  (text: string): void;
}

inFolderOfOwn();
try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      exact: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      runs: { type: "string" },
      seconds: { type: "string" },
      steps: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [name] = positionals;
  if (values.help || name === undefined) {
    process.stdout.write(
      `Usage: npm run bench -- NAME [--json] [--exact] [--only PART]… [--runs N] [--seconds N] [--steps N]\n\n${list()}\n`,
    );
    process.exitCode = values.help ? 0 : 2;
  } else if (!isBenchmark(name)) {
    throw new Failure("unknown-benchmark", `There is no benchmark called "${name}". There are:\n${list()}`);
  } else {
    const bench = await BENCHMARKS[name].load();
    const result = await bench((text) => process.stderr.write(`${text}\n`), {
      exact: values.exact,
      only: values.only,
      runs: countOf("--runs", values.runs),
      seconds: countOf("--seconds", values.seconds),
      steps: countOf("--steps", values.steps),
    });
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : table(result));
  }
} catch (error) {
  const body = failureBody(error);
  // Whoever asked for JSON gets JSON, also of what went wrong.
  if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ error: body })}\n`);
  else process.stderr.write(`${body.message}\n`);
  process.exitCode = error instanceof Failure && error.code === "unknown-benchmark" ? 2 : 1;
}

/** All that a benchmark and its processes put into the folder for temporary files goes with it, however it ends but by a kill. */
function inFolderOfOwn(): void {
  const folder = mkdtempSync(join(tmpdir(), "tah-bench-"));
  for (const name of ["TMPDIR", "TEMP", "TMP"]) process.env[name] = folder;
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      // A benchmark that ends its own processes in order does so, unless it is asked again.
      if (process.listenerCount(signal) === 1) process.exit(1);
    });
}

function countOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new Failure(
    "bad-option",
    `${option} needs a whole number from 1 to 9999, not "${text.slice(0, 40)}".`,
  );
}

function isBenchmark(name: string): name is keyof typeof BENCHMARKS {
  return Object.hasOwn(BENCHMARKS, name);
}

function list(): string {
  return Object.entries(BENCHMARKS)
    .map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`)
    .join("\n");
}

/** One line a figure; records of a list as the rows of a table. */
function table(result: object): string {
  return `${Object.entries(result)
    .map(([key, value]) =>
      isRecords(value) ? `\n${key}\n${rows(value)}` : `${key.padEnd(28)} ${cell(value)}`,
    )
    .join("\n")}\n`;
}

function isRecords(value: unknown): value is readonly object[] {
  return Array.isArray(value) && value.every((each) => typeof each === "object" && each !== null);
}

function rows(records: readonly object[]): string {
  const lines = [Object.keys(records[0] ?? {}), ...records.map((record) => Object.values(record).map(cell))];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) => line.map((text, i) => text.padStart(widths?.[i] ?? 0)).join("  ")).join("\n");
}

function cell(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : JSON.stringify(value);
}
