import { availableParallelism, loadavg } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import type { BenchOptions, Progress } from "./bench.ts";
import { Failure } from "../src-protocol/failure.ts";
import { LossAlone } from "./loss-alone.ts";
import { median } from "./median.ts";
import { ReplicaNetwork } from "./recovery-network.ts";
import { Random } from "./simulation/random.ts";

const STAGES = 3;
const REPLICAS = 3;
/** Percent of stages that fail in an hour, as CheckFree (arXiv 2506.15461) draws them. */
const RATES = [10, 16, 33];
const SECONDS = 300;
/** As many parts, each between two in which nobody fails. */
const SLICES = 5;
/** Of the lowest rate, in five minutes: by so much is an hour pressed together. */
const LEAST_FAILURES = 20;
const WITHIN_MS = 180_000;
/** A step that takes so many times as long as is usual stood still. */
const STALL_TIMES = 5;
const LOOK_EVERY_MS = 50;

export interface ChurnRow {
  /** Percent of stages in an hour. */
  readonly rate: number;
  readonly failures: number;
  readonly steps: number;
  /** Finished steps, of those that are finished in the same time when nobody fails: right before and after. */
  readonly goodput: number;
  /** Of the processors' time, what processes took that came in the places of others, until they trained; null where the system does not say. */
  readonly startsShare: number | null;
  /** Of what the starts have left of the processors: in homes each would take its own. */
  readonly goodputBesideStarts: number | null;
  /** Steps that were finished and had to be done again. */
  readonly stepsLost: number;
  readonly secondsStalled: number;
  readonly longestGap: Gap;
  readonly redoneByItsStage: number;
  readonly redoneByOthers: number;
  /** Of all of these to training in one process, with as many tokens: the largest; nats. */
  readonly lossDifference: number;
  /** Told losses that were compared; of them, those of parts in which somebody was killed. */
  readonly stepsCompared: number;
  readonly disturbedStepsCompared: number;
}

/** A time without a finished step. */
export interface Gap {
  readonly ms: number;
  /** Of each stage, the replicas that worked shortly before its end. */
  readonly live: readonly number[];
  /** What the network said that it did. */
  readonly detail: string;
}

export interface ChurnBenchResult {
  readonly seconds: number;
  readonly undisturbedStepsPerSecond: number;
  readonly rows: readonly ChurnRow[];
  /** 1 minute, at the end: figures under load are lower. */
  readonly load: number;
}

/**
 * Three stages of three replicas in nine processes; who is killed when is drawn before. A killed process is
 * started again at once, as the daemon does.
 */
export async function benchChurn(
  progress: Progress,
  { exact, seconds = SECONDS, only }: BenchOptions,
): Promise<ChurnBenchResult> {
  const arithmetic = exact ? "exact" : "fast";
  const rows: ChurnRow[] = [];
  const paces: number[] = [];
  const unknown = only.find((rate) => !RATES.map(String).includes(rate));
  if (unknown !== undefined)
    throw new Failure("bad-option", `There is no rate "${unknown}". There are: ${RATES.join(", ")}.`);
  for (const rate of RATES) {
    if (only.length > 0 && !only.includes(String(rate))) continue;
    const network = await ReplicaNetwork.start({
      stages: STAGES,
      replicas: REPLICAS,
      size: "tiny",
      arithmetic,
    });
    try {
      await network.whole(WITHIN_MS);
      await network.steps(5, WITHIN_MS);
      const count = Math.max(1, Math.round((LEAST_FAILURES * rate * seconds) / (10 * SECONDS)));
      const all = failures(count, seconds, rate);
      const undisturbed = [await during(network, seconds / SLICES, [])];
      const churned: Part[] = [];
      for (let slice = 0; slice < SLICES; slice++) {
        const [from, to] = [slice, slice + 1].map((each) => (each * seconds * 1000) / SLICES);
        const due = all.flatMap((each) =>
          each.atMs >= (from ?? 0) && each.atMs < (to ?? 0)
            ? [{ ...each, atMs: each.atMs - (from ?? 0) }]
            : [],
        );
        churned.push(await during(network, seconds / SLICES, due));
        undisturbed.push(await during(network, seconds / SLICES, []));
        progress(
          `${rate} %: ${due.length} failures, ${paceOf(churned.slice(-1)).toFixed(2)} steps/s; undisturbed before and after ${paceOf(undisturbed.slice(-2)).toFixed(2)}`,
        );
      }
      const pace = paceOf(undisturbed);
      // Of each part the pace of its own minutes: what else the computer does changes within ten of them.
      const expected =
        churned.reduce((sum, { ms }, i) => sum + ms * paceOf(undisturbed.slice(i, i + 2)), 0) / 1000;
      const steps = sumOf(churned, ({ finished }) => finished);
      const { startSeconds } = network;
      const coreSeconds = (sumOf(churned, ({ ms }) => ms) / 1000) * availableParallelism();
      const startsShare = startSeconds === null ? null : startSeconds / coreSeconds;
      paces.push(pace);
      const { spec, corpus, points } = network;
      // One process has the processors to itself.
      await network.end();
      rows.push({
        rate,
        failures: count,
        steps,
        goodput: steps / expected,
        startsShare,
        goodputBesideStarts: startsShare === null ? null : steps / expected / (1 - startsShare),
        stepsLost: sumOf(churned, ({ lost }) => lost),
        secondsStalled: sumOf(churned, ({ stalledMs }) => stalledMs(1000 / pace)) / 1000,
        longestGap: longestOf(churned.map(({ longestGap }) => longestGap)),
        redoneByItsStage: sumOf(churned, ({ redoneByItsStage }) => redoneByItsStage),
        redoneByOthers: sumOf(churned, ({ redoneByOthers }) => redoneByOthers),
        lossDifference: await differenceOf(points, spec, corpus),
        stepsCompared: points.length,
        disturbedStepsCompared: sumOf(churned, ({ told }) => told),
      });
      progress(JSON.stringify(rows.at(-1)));
    } finally {
      await network.end();
    }
  }
  return { seconds, undisturbedStepsPerSecond: median(paces), rows, load: loadavg()[0] ?? 0 };
}

/** Two micro-batches have one order in a sum, so that also in the class fast the losses are the same bits. */
async function differenceOf(
  points: ReplicaNetwork["points"],
  spec: ReplicaNetwork["spec"],
  corpus: Uint8Array,
): Promise<number> {
  const alone = new LossAlone(spec, corpus, 1);
  try {
    return await alone.differenceOf(points);
  } finally {
    await alone.end();
  }
}

interface Failing {
  readonly atMs: number;
  readonly stage: number;
  /** Which of its replicas, in [0, 1). */
  readonly which: number;
}

function failures(count: number, seconds: number, seed: number): Failing[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => ({
    atMs: random.next() * seconds * 1000,
    stage: Math.floor(random.next() * STAGES),
    which: random.next(),
  })).sort((a, b) => a.atMs - b.atMs);
}

interface Part {
  readonly ms: number;
  readonly finished: number;
  /** Losses of steps, also of those that were done again. */
  readonly told: number;
  readonly lost: number;
  readonly redoneByItsStage: number;
  readonly redoneByOthers: number;
  readonly stalledMs: (usualMs: number) => number;
  readonly longestGap: Gap;
}

const NO_GAP: Gap = { ms: 0, live: [], detail: "" };

function longestOf(gaps: readonly Gap[]): Gap {
  return gaps.reduce((longest, gap) => (gap.ms > longest.ms ? gap : longest), NO_GAP);
}

/** Looks every now and then, until it is stopped: what a network that stands still waits for is not seen afterwards. */
function watchGaps(network: ReplicaNetwork): () => Gap {
  const began = performance.now();
  let longest = NO_GAP;
  const timer = setInterval(() => {
    const ms = Math.round(performance.now() - Math.max(began, network.finished.at(-1) ?? 0));
    if (ms > longest.ms) longest = { ms, live: network.live, detail: network.detail };
  }, LOOK_EVERY_MS).unref();
  return () => {
    clearInterval(timer);
    return longest;
  };
}

function sumOf(parts: readonly Part[], of: (part: Part) => number): number {
  return parts.reduce((sum, part) => sum + of(part), 0);
}

/** Steps a second. */
function paceOf(parts: readonly Part[]): number {
  return (sumOf(parts, ({ finished }) => finished) * 1000) / sumOf(parts, ({ ms }) => ms);
}

async function during(network: ReplicaNetwork, seconds: number, failing: readonly Failing[]): Promise<Part> {
  const began = performance.now();
  const from = network.finished.length;
  const before = network.redone();
  const gaps = watchGaps(network);
  const until = began + seconds * 1000;
  for (const { atMs, stage, which } of failing) {
    await wait(Math.max(0, began + atMs - performance.now()));
    const victim = network.victim(stage, which);
    if (victim === null) continue;
    process.kill(victim.pid, "SIGKILL");
    await network.replace(victim);
  }
  await wait(Math.max(0, until - performance.now()));
  // Until who was killed last works again: its absence is of this part.
  await network.whole(WITHIN_MS);
  const points = network.points.slice(from);
  const times = [began, ...network.finished.slice(from), performance.now()];
  const after = network.redone();
  const steps = new Set(points.map(({ step }) => step));
  return {
    ms: performance.now() - began,
    finished: steps.size,
    told: points.length,
    lost: points.length - steps.size,
    longestGap: { ...gaps(), ms: Math.round(Math.max(...times.map((at, i) => at - (times[i - 1] ?? at)))) },
    redoneByItsStage: after.byLostStages - before.byLostStages,
    redoneByOthers: after.byOthers - before.byOthers,
    stalledMs: (usualMs) =>
      times.reduce((sum, at, i) => {
        const ms = at - (times[i - 1] ?? at);
        return sum + (ms > usualMs * STALL_TIMES ? ms - usualMs : 0);
      }, 0),
  };
}
