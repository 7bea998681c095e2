import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { ApiClient, readApiFile } from "../src-cli/api-client.ts";
import { DAEMON_FLAGS } from "../src-cli/daemon-process.ts";
import { DAEMON_SCRIPT } from "../src-cli/daemon-script.ts";
import { MODEL_SIZES } from "../src-protocol/run-size.ts";
import type { ModelSize } from "../src-protocol/run-size.ts";
import { NETWORK_FOLDER_NAME } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { COLLECT_EVERY_MS } from "../src-worker/limits/collected-heap.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { STEPS_PER_DAY, bookGrowth } from "./growth-book.ts";
import type { BookGrowth } from "./growth-book.ts";
import { lookAtCopy } from "./growth-ledger.ts";
import { filesOf, processesOf, useOf } from "./growth-machine.ts";
import { goesOn, slope, trendOf } from "./growth-trend.ts";
import type { MemoryPoint, Trend } from "./growth-trend.ts";

/** What is promised, of one computer that trains all day. */
const PROMISED = {
  ledgerBytesPerDay: 5e6,
  writtenBytesPerSecond: 1e6,
  /** All that is no ledger, on the disk and in memory, after 30 days. */
  otherFilesBytes: 1e9,
  /** Of each process, in 30 days. */
  rssBytes: 256e6,
};
const WORTH_A_LINE_BYTES = 1e6;
/** In its own promise. */
const LEDGER = /orchestrator\.db/;
/**
 * Files that grow until they are begun anew, or are a few of one size: the most that all of the kind may come to, of
 * each worker where each has its own. What is not named here has no such end. A stage of the default model has a state of 11 MB.
 */
const MOST_BYTES: readonly (readonly [kind: RegExp, bytes: number])[] = [
  // Two of 12 MB (run-record.ts).
  [/record.*\.jsonl$/, 26e6],
  // 4,096 that are answered and 8,192 that are not, of 1.5 kB (receipt-outbox.ts).
  [/receipts\.jsonl$/, 19e6],
  // Three states in memory; four on the disk and one that is being uploaded (snapshots.ts).
  [/in memory\/.*slot-/, 35e6],
  [/snapshots|slot-|state/, 58e6],
  // SQLite begins its log anew after 4 MB; so many signatures are kept in two files (signature-log.ts).
  [/history\.db-wal$/, 8e6],
  [/signatures\.jsonl$/, 5e6],
  // Text, three checkpoints of each stage (checkpoints.ts), and the one that is being made.
  [/blobs/, 150e6],
  // What is remembered of two steps (memo-files.ts), and lanes that are written over.
  [/under-way|lanes/, 45e6],
  // Begun anew after 4,096 records or 1 MB, beside the one before it (journal-file.ts).
  [/network\/journal/, 8e6],
];
/** A kind that is summed over all workers but the first. */
const OF_NEIGHBOURS = /(^|\/)neighbours\/N\//;
const STAGES = 3;
const DAY_SECONDS = 86_400;
const DAYS = 30;

/**
 * Each tells another thing: the default model how much is written, the tiny one, whose steps take
 * milliseconds, what grows in many steps. What is left of a day in the ledger is told by the book alone:
 * receipts are kept until they are added up, so that a network of minutes has most of them.
 */
const PARTS = {
  default: { size: "default", replicas: 1 },
  "default, two replicas": { size: "default", replicas: 2 },
  "tiny, two replicas": { size: "tiny", replicas: 2 },
  tiny: { size: "tiny", replicas: 1 },
} as const satisfies Record<string, { size: ModelSize; replicas: number }>;
type PartName = keyof typeof PARTS;

/** On two quiet cores, heaps are collected seven times in it after the first checkpoint, and five times with two replicas. */
const USUAL_SECONDS = 600;
/** Left to V8, a heap is collected after minutes or half an hour, and until then looks as if it had a leak. */
const COLLECTS = new URL("./growth-collects.ts", import.meta.url);
const LOOK_EVERY_MS = 1_000;
const WARM_STEPS = 20;
const WARM_WITHIN_MS = 180_000;
/** Everything was allocated once after so much of the time. */
const SETTLED = 0.3;
/** Of a process's memory: by then what loading left was collected so many times, and the run has its first checkpoint. */
const SETTLED_COLLECTIONS = 2;

interface ProcessGrowth {
  readonly part: string;
  readonly process: string;
  readonly rssMegabytes: number;
  /** Of the time after it has settled, by least squares over the lowest of each part of it; null: it was too short. */
  readonly growth: {
    readonly rssMegabytesPer1000Steps: number;
    /** As if it went on so; and how far that may be from the truth: a few minutes tell little of 30 days. */
    readonly rssMegabytesIn30Days: number;
    readonly rssDoubt: number;
    readonly rssRise: number;
    /** Of the later half of the time. */
    readonly rssLateRise: number;
    readonly isKept: boolean;
  } | null;
  readonly writtenBytesPerSecond: number;
}

interface Growth {
  readonly part: string;
  /** A kind of file, or a table of the ledger with its indexes. */
  readonly what: string;
  readonly bytes: number;
  readonly bytesPer1000Steps: number;
  readonly megabytesIn30Days: number;
}

interface PartGrowth {
  readonly part: string;
  readonly steps: number;
  readonly stepsPerDay: number;
  /** Of all its processes: where several computers work, each writes its own workers' part. */
  readonly writtenBytesPerSecond: number;
  readonly ledgerBytes: number;
  readonly ledgerBytesPerStep: number;
  readonly receiptsKept: number;
  readonly receiptsPruned: number;
  readonly isClean: boolean;
  /** 1 minute. */
  readonly load: number;
}

export interface GrowthResult {
  /** Null: it was not asked for. */
  readonly book: BookGrowth | null;
  readonly parts: readonly PartGrowth[];
  readonly processes: readonly ProcessGrowth[];
  readonly files: readonly Growth[];
  readonly tables: readonly Growth[];
  readonly promises: readonly {
    readonly promise: string;
    readonly found: string;
    /** Null: so short a time does not tell. */
    readonly isKept: boolean | null;
  }[];
}

/** A network of its own, as a newcomer starts it: what grows, and what is written. Linux. */
export async function benchGrowth(
  progress: Progress,
  { only, seconds = USUAL_SECONDS }: BenchOptions,
): Promise<GrowthResult> {
  if (process.platform !== "linux")
    throw new Failure("bench-linux", "What a process writes is read from /proc, which only Linux has.");
  const names = (Object.keys(PARTS) as PartName[]).filter((name) => only.length === 0 || only.includes(name));
  const book = only.length === 0 || only.includes("book") ? await bookGrowth(progress) : null;
  const found: Measured[] = [];
  for (const name of names) {
    progress(`${name}: a network is started`);
    found.push(await measured(name, seconds, progress));
  }
  return {
    book,
    parts: found.map(({ part }) => part),
    processes: found.flatMap(({ processes }) => processes),
    files: found.flatMap(({ files }) =>
      files.filter(({ bytes, bytesPer1000Steps }) => bytesPer1000Steps !== 0 || bytes > WORTH_A_LINE_BYTES),
    ),
    tables: found.flatMap(({ tables }) => tables),
    promises: [...(book === null ? [] : bookPromises(book)), ...found.flatMap(promises)],
  };
}

interface Measured {
  readonly part: PartGrowth;
  readonly processes: readonly ProcessGrowth[];
  readonly files: readonly Growth[];
  readonly tables: readonly Growth[];
}

async function measured(name: PartName, seconds: number, progress: Progress): Promise<Measured> {
  const home = mkdtempSync(join(tmpdir(), "bench growth "));
  const daemon = await startDaemon(home, PARTS[name]);
  try {
    const { client } = daemon;
    const step = async (): Promise<number> => (await client.call("state.get", {})).run?.step ?? 0;
    await warm(step);
    const processes = processesOf(home);
    const orchestrator = processes.find((one) => one.name === "orchestrator")?.pid ?? 0;
    const network = join(home, NETWORK_FOLDER_NAME);
    const begun = performance.now();
    const { checkpointEverySteps } = MODEL_SIZES[PARTS[name].size];
    const rss = processes.map((): MemoryPoint[] => []);
    const kinds = new Map<string, [number, number][]>();
    const used = processes.map((one) => useOf(one));
    let rssFromMs: number | null = null;
    let settled: { step: number; ledger: ReturnType<typeof lookAtCopy> } | null = null;
    const firstStep = await step();
    const last = [...used];
    while (performance.now() - begun < seconds * 1000) {
      await wait(LOOK_EVERY_MS);
      for (const [index, one] of processes.entries()) last[index] = useOf(one) ?? last[index] ?? null;
      const passedMs = performance.now() - begun;
      if (passedMs < SETTLED * seconds * 1000) continue;
      const at = await step();
      if (settled === null) {
        await claimed(client);
        settled = { step: at, ledger: lookAtCopy(network, orchestrator) };
      }
      if (at > checkpointEverySteps + WARM_STEPS && passedMs > SETTLED_COLLECTIONS * COLLECT_EVERY_MS) {
        rssFromMs ??= passedMs;
        for (const [index, use] of last.entries()) if (use !== null) rss[index]?.push([at, use.rssBytes]);
      }
      for (const [kind, bytes] of filesOf(home)) kinds.set(kind, [...(kinds.get(kind) ?? []), [at, bytes]]);
    }
    await claimed(client);
    const end = await step();
    const tookSeconds = (performance.now() - begun) / 1000;
    const rssMs = rssFromMs === null ? 0 : tookSeconds * 1000 - rssFromMs;
    const ledger = lookAtCopy(network, orchestrator);
    const stepsPerDay = Math.round(((end - firstStep) / tookSeconds) * DAY_SECONDS);
    const from = settled ?? { step: firstStep, ledger };
    const per1000 = (before: number, after: number): number =>
      Math.round(((after - before) * 1000) / Math.max(1, end - from.step));
    const grown = (what: string, bytes: number, bytesPer1000Steps: number): Growth => ({
      part: name,
      what,
      bytes,
      bytesPer1000Steps,
      megabytesIn30Days: rounded((bytesPer1000Steps / 1000) * stepsPerDay * DAYS * 1e-6),
    });
    const rates = processes.map(
      (_, index) => ((last[index]?.writtenBytes ?? 0) - (used[index]?.writtenBytes ?? 0)) / tookSeconds,
    );
    progress(`${name}: ${end - firstStep} steps in ${Math.round(tookSeconds)} s`);
    return {
      part: {
        part: name,
        steps: end - firstStep,
        stepsPerDay,
        writtenBytesPerSecond: Math.round(rates.reduce((sum, rate) => sum + rate, 0)),
        ledgerBytes: ledger.bytes,
        ledgerBytesPerStep: per1000(from.ledger.bytes, ledger.bytes) / 1000,
        receiptsKept: ledger.receipts.kept,
        receiptsPruned: ledger.receipts.pruned,
        isClean: from.ledger.isClean && ledger.isClean,
        load: loadavg()[0] ?? 0,
      },
      processes: processes.map((one, index) => {
        const heldBytes = last[index]?.rssBytes ?? 0;
        const trend = trendOf(rss[index] ?? [], rssMs, COLLECT_EVERY_MS);
        return {
          part: name,
          process: one.name,
          rssMegabytes: rounded(heldBytes * 1e-6),
          growth: trend === null ? null : growthOf(trend, heldBytes, stepsPerDay * DAYS),
          writtenBytesPerSecond: Math.round(rates[index] ?? 0),
        };
      }),
      files: [...kinds].map(([file, points]) =>
        grown(file, Math.max(...points.map(([, bytes]) => bytes)), Math.round(slope(points) * 1000)),
      ),
      tables: [...ledger.tables]
        .map(([table, bytes]) => grown(table, bytes, per1000(from.ledger.tables.get(table) ?? 0, bytes)))
        .filter(({ bytesPer1000Steps }) => bytesPer1000Steps !== 0),
    };
  } finally {
    await daemon.end();
    rmSync(home, { recursive: true, force: true });
  }
}

function growthOf(trend: Trend, heldBytes: number, steps: number): ProcessGrowth["growth"] {
  const inSteps = (bytesPerStep: number): number => rounded(bytesPerStep * steps * 1e-6);
  return {
    rssMegabytesPer1000Steps: rounded(trend.slope * 1e-3),
    rssMegabytesIn30Days: inSteps(trend.slope),
    rssDoubt: inSteps(trend.doubt),
    rssRise: rounded(trend.rise * 1e-6),
    rssLateRise: rounded(trend.lateRise * 1e-6),
    isKept: !goesOn(trend, { heldBytes, steps, allowedBytes: PROMISED.rssBytes }),
  };
}

/** As it does by itself at each epoch's end. What cannot be claimed now is claimed then. */
async function claimed(client: ApiClient): Promise<void> {
  await client.call("earnings.claim", {}).catch(() => null);
}

function promises({ part, files, processes }: Measured): GrowthResult["promises"] {
  const others = files.filter(({ what }) => !LEDGER.test(what));
  const bytes = others.reduce((sum, file) => sum + bytesIn30Days(file, part), 0);
  const tooLarge = others.filter((file) => file.bytes > mostOf(file));
  return [
    {
      promise: `${part.part}: all other files at most ${PROMISED.otherFilesBytes * 1e-6} MB after 30 days, and none larger than its kind ends at`,
      found: [`${rounded(bytes * 1e-6)} MB`, ...tooLarge.map(({ what }) => `too large: ${what}`)].join(", "),
      isKept: bytes <= PROMISED.otherFilesBytes && tooLarge.length === 0,
    },
    memoryPromise(part.part, processes),
    {
      promise: `${part.part}: the ledger is as it was booked`,
      found: part.isClean ? "clean" : "not clean",
      isKept: part.isClean,
    },
    ...(PARTS[part.part as PartName].size === "tiny"
      ? []
      : [
          {
            promise: `${part.part}: at most ${PROMISED.writtenBytesPerSecond * 1e-6} MB a second to the disk`,
            found: `${rounded(part.writtenBytesPerSecond * 1e-6)} MB/s`,
            isKept: part.writtenBytesPerSecond <= PROMISED.writtenBytesPerSecond,
          },
        ]),
  ];
}

function memoryPromise(part: string, processes: readonly ProcessGrowth[]): GrowthResult["promises"][number] {
  const known = processes.flatMap(({ process: name, growth }) =>
    growth === null ? [] : [{ name, ...growth }],
  );
  const growing = known.filter(({ isKept }) => !isKept);
  return {
    promise: `${part}: no process grows by more than ${PROMISED.rssBytes * 1e-6} MB in 30 days that can be told from nothing, and goes on with it`,
    found:
      known.length === 0
        ? "too short a time"
        : (growing.length === 0 ? known : growing)
            .map(
              (one) =>
                `${one.name} ${one.rssMegabytesIn30Days} ± ${one.rssDoubt} MB, so far ${one.rssRise}, of that lately ${one.rssLateRise}`,
            )
            .join("; "),
    isKept: known.length === 0 ? null : growing.length === 0,
  };
}

/** Infinity: a kind that ends nowhere. */
function mostOf({ what, part }: Growth): number {
  const most = MOST_BYTES.find(([kind]) => kind.test(what))?.[1] ?? Infinity;
  const workers = OF_NEIGHBOURS.test(what) ? STAGES * PARTS[part as PartName].replicas - 1 : 1;
  return most * workers;
}

/** At the pace of the default model at most: the tiny one makes many times as many steps. */
function bytesIn30Days(file: Growth, { stepsPerDay }: PartGrowth): number {
  const steps = Math.min(stepsPerDay, STEPS_PER_DAY) * DAYS;
  const then = file.bytes + (Math.max(0, file.bytesPer1000Steps) / 1000) * steps;
  return Math.min(then, mostOf(file));
}

function bookPromises({ bytesPerStep, curveBytesOfADay, isClean }: BookGrowth): GrowthResult["promises"] {
  const perDay = bytesPerStep * STEPS_PER_DAY + curveBytesOfADay;
  return [
    {
      promise: `the book alone: at most ${PROMISED.ledgerBytesPerDay * 1e-6} MB a day in the ledger, at ${STEPS_PER_DAY} steps`,
      found: `${rounded(perDay * 1e-6)} MB`,
      isKept: perDay <= PROMISED.ledgerBytesPerDay,
    },
    {
      promise: "the book alone: it is as it was booked",
      found: isClean ? "clean" : "not clean",
      isKept: isClean,
    },
  ];
}

async function warm(step: () => Promise<number>): Promise<void> {
  const until = performance.now() + WARM_WITHIN_MS;
  while ((await step()) < WARM_STEPS) {
    if (performance.now() > until)
      throw new Failure(
        "bench-failed",
        `The network finished no ${WARM_STEPS} steps in ${WARM_WITHIN_MS / 1000} s.`,
      );
    await wait(LOOK_EVERY_MS);
  }
}

interface RunningDaemon {
  readonly client: ApiClient;
  end(): Promise<void>;
}

async function startDaemon(
  home: string,
  { size, replicas }: (typeof PARTS)[PartName],
): Promise<RunningDaemon> {
  const words = ["--home", home, "--port", "0", "--model", size, "--replicas", String(replicas)];
  const flags = ["--no-probe", "--yes", "--exit-with-parent"];
  const child = spawn(process.execPath, [...DAEMON_FLAGS, DAEMON_SCRIPT, ...words, ...flags], {
    stdio: "ignore",
    env: { ...process.env, NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} --import=${COLLECTS.href}` },
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const file = join(home, "api.json");
  let client: ApiClient | null = null;
  while (client === null) {
    if (child.exitCode !== null)
      throw new Failure("bench-failed", `The daemon ended with ${child.exitCode} before it could be asked.`);
    if (readApiFile(file)?.pid === child.pid) client = await ApiClient.connect(file).catch(() => null);
    if (client === null) await wait(50);
  }
  const known = client;
  return {
    client: known,
    async end() {
      known.close();
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
