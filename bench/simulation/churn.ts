import { moveFor, stageFor } from "../../src-orchestrator/replicas/replica-placement.ts";
import type { Placed, Pools } from "../../src-orchestrator/replicas/replica-placement.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { EventQueue } from "./event-queue.ts";
import type { Stay } from "./homes.ts";
import { Random } from "./random.ts";
import { simulateStep } from "./step.ts";
import type { Change, StepNode } from "./step.ts";

/**
 * Days of many homes that train several runs at once, on a virtual clock. Who works on what is decided by the
 * product's own placement; how much of what the poorest stage could do a step then does, by its own book and
 * routing, in steps that are drawn from the days and simulated micro-batch by micro-batch.
 */

export interface ChurnOptions {
  readonly runs: number;
  readonly stages: number;
  readonly until: number;
  /** To load a stage's graphs and state; ms. */
  readonly loadMs: number;
  /** Of each step, and of a micro-batch on the median computer. */
  readonly microBatches: number;
  readonly workMs: number;
  readonly linkMs: number;
  /** Steps that are simulated in detail. */
  readonly steps: number;
  readonly seed: number;
}

export interface ChurnResult {
  /** Most and fewest computers at once after the first hour. */
  readonly online: readonly [number, number];
  readonly departuresPerHour: number;
  readonly joins: number;
  readonly moves: number;
  readonly placementMsMean: number;
  readonly placementMsMax: number;
  /** Time in which a stage of a run had nobody, of the time of all runs. */
  readonly uncovered: number;
  /** Share of what all computers could have done: what loads, and what waits for a poorer stage. */
  readonly loading: number;
  readonly imbalance: number;
  /** Work of steps that was lost with who had done it, of all work. */
  readonly wasted: number;
  /** Of what all computers could have done: what the poorest stages could do, without what was lost. */
  readonly goodput: number;
  /**
   * Of what the poorest stage could do, a step of `sync` does so much, which fills and is emptied, and does
   * again what was lost: the mean of those that were simulated.
   */
  readonly syncEfficiency: number;
  /** Of what all computers could have done, in such steps. */
  readonly syncGoodput: number;
}

interface Worker {
  readonly stay: Stay;
  run: number;
  stage: number;
  isLive: boolean;
  /** Since when it works on its stage. */
  liveSince: number;
  /** How often it was given a stage. */
  given: number;
}

type Happening =
  | { readonly type: "comes"; readonly stay: Stay }
  | { readonly type: "loaded"; readonly worker: Worker; readonly given: number }
  | { readonly type: "goes"; readonly worker: Worker }
  | { readonly type: "closed" }
  | { readonly type: "watch"; readonly run: number };

const MINUTE = 60_000;
/** About as long as a step takes: when one is closed, a computer may move. */
const STEP_MS = 8 * MINUTE;
/** What rounding leaves of a stage that has nobody. */
const NOBODY = 1e-6;
const SETTLED_AFTER = 60 * MINUTE;

/** A step that is to be simulated: who was there, and who came and went. */
interface Watched {
  readonly run: number;
  readonly from: number;
  readonly nodes: readonly StepNode[];
  readonly changes: Change[];
}

export function simulateChurn(stays: readonly Stay[], options: ChurnOptions): ChurnResult {
  return new Churn(options).run(stays);
}

class Churn {
  readonly #options: ChurnOptions;
  readonly #queue = new EventQueue<Happening>();
  readonly #runs: Map<SessionKey, Worker>[];
  readonly #watched: Watched[] = [];
  /** Of each run: of those who work, by stage; and of those who load. */
  readonly #speeds: { readonly live: number[]; loading: number }[];
  readonly #flops: readonly number[];
  #now = 0;
  #online = 0;
  #most = 0;
  #fewest = Infinity;
  #joins = 0;
  #moves = 0;
  #departures = 0;
  #placementMs = 0;
  #placementMsMax = 0;
  /** In computers of median speed times ms. */
  #able = 0;
  #loading = 0;
  #poorest = 0;
  #wasted = 0;
  #uncoveredMs = 0;

  constructor(options: ChurnOptions) {
    this.#options = options;
    this.#runs = Array.from({ length: options.runs }, () => new Map<SessionKey, Worker>());
    this.#speeds = this.#runs.map(() => ({
      live: Array.from({ length: options.stages }, () => 0),
      loading: 0,
    }));
    this.#flops = Array.from({ length: options.stages }, () => 1);
  }

  run(stays: readonly Stay[]): ChurnResult {
    const { until, runs, steps } = this.#options;
    for (const stay of stays) this.#queue.push(stay.from, { type: "comes", stay });
    for (let at = STEP_MS; at < until; at += STEP_MS) this.#queue.push(at, { type: "closed" });
    for (let i = 0; i < steps; i++)
      this.#queue.push(SETTLED_AFTER + ((i + 0.5) / steps) * (until - 2 * SETTLED_AFTER), {
        type: "watch",
        run: i % runs,
      });
    for (let next = this.#queue.pop(); next !== undefined && next.at <= until; next = this.#queue.pop()) {
      this.#passes(next.at);
      this.#happens(next.event);
    }
    const measured = until - SETTLED_AFTER;
    const syncEfficiency = this.#syncEfficiency();
    return {
      online: [this.#fewest, this.#most],
      departuresPerHour: this.#departures / (measured / (60 * MINUTE)),
      joins: this.#joins,
      moves: this.#moves,
      placementMsMean: this.#placementMs / this.#joins,
      placementMsMax: this.#placementMsMax,
      uncovered: this.#uncoveredMs / (measured * runs),
      loading: this.#loading / this.#able,
      imbalance: 1 - (this.#poorest + this.#loading) / this.#able,
      wasted: this.#wasted / this.#able,
      goodput: (this.#poorest - this.#wasted) / this.#able,
      syncEfficiency,
      syncGoodput: (this.#poorest * syncEfficiency) / this.#able,
    };
  }

  /** What was done until `at`, by who was there. */
  #passes(at: number): void {
    const ms = at - this.#now;
    const from = this.#now;
    this.#now = at;
    if (ms === 0 || from < SETTLED_AFTER) return;
    this.#most = Math.max(this.#most, this.#online);
    this.#fewest = Math.min(this.#fewest, this.#online);
    for (const { live, loading } of this.#speeds) {
      const least = Math.max(0, Math.min(...live));
      this.#able += (live.reduce((sum, speed) => sum + speed, 0) + loading) * ms;
      this.#loading += loading * ms;
      this.#poorest += least * this.#options.stages * ms;
      if (least < NOBODY) this.#uncoveredMs += ms;
    }
  }

  #happens(event: Happening): void {
    switch (event.type) {
      case "comes":
        return this.#comes(event.stay);
      case "loaded": {
        const { worker, given } = event;
        if (worker.given !== given || !this.#runs[worker.run]?.has(worker.stay.key)) return;
        this.#count(worker, -1);
        worker.isLive = true;
        worker.liveSince = this.#now;
        this.#count(worker, 1);
        return this.#saw(worker.run, { at: this.#now, type: "comes", node: nodeOf(worker) });
      }
      case "goes":
        return this.#goes(event.worker);
      case "closed":
        for (const run of this.#runs.keys()) this.#balance(run);
        return;
      case "watch": {
        const nodes = [...(this.#runs[event.run]?.values() ?? [])].filter(({ isLive }) => isLive).map(nodeOf);
        this.#watched.push({ run: event.run, from: this.#now, nodes, changes: [] });
      }
    }
  }

  /** The run that has the least, and in it the stage that placement says. */
  #comes(stay: Stay): void {
    const began = performance.now();
    const speeds = this.#speeds.map(({ live, loading }) => live.reduce((sum, speed) => sum + speed, loading));
    const run = speeds.indexOf(Math.min(...speeds));
    const pools = this.#pools(run);
    const stage = stageFor({ owner: stay.owner, canHold: () => true }, pools) ?? 0;
    const ms = performance.now() - began;
    this.#placementMs += ms;
    this.#placementMsMax = Math.max(this.#placementMsMax, ms);
    this.#joins += 1;
    this.#online += 1;
    const worker = { stay, run, stage, isLive: false, liveSince: this.#now, given: 0 };
    this.#runs[run]?.set(stay.key, worker);
    this.#count(worker, 1);
    this.#queue.push(this.#now + this.#options.loadMs, { type: "loaded", worker, given: 0 });
    this.#queue.push(stay.to, { type: "goes", worker });
  }

  #goes(worker: Worker): void {
    this.#runs[worker.run]?.delete(worker.stay.key);
    this.#count(worker, -1);
    this.#online -= 1;
    if (this.#now >= SETTLED_AFTER) this.#departures += 1;
    this.#leaves(worker);
  }

  /** What it has done of the step is done again by others. */
  #leaves(worker: Worker): void {
    const { run, stay, isLive, liveSince } = worker;
    if (!isLive) return;
    this.#saw(run, { at: this.#now, type: "goes", key: stay.key });
    const capacity = Math.min(...(this.#speeds[run]?.live ?? []));
    const stepMs = Math.min(
      60 * MINUTE,
      (this.#options.microBatches * this.#options.workMs) / Math.max(0.1, capacity),
    );
    const done = Math.min(this.#now % stepMs, this.#now - liveSince);
    if (this.#now >= SETTLED_AFTER) this.#wasted += done * stay.speed;
  }

  /** In a step that has just been closed, so that nothing is lost, as the product does. */
  #balance(run: number): void {
    const move = moveFor(this.#pools(run), () => true);
    const worker = move === null ? undefined : this.#runs[run]?.get(move.key);
    if (move === null || worker === undefined) return;
    this.#moves += 1;
    this.#saw(run, { at: this.#now, type: "goes", key: move.key });
    this.#count(worker, -1);
    worker.stage = move.to;
    worker.isLive = false;
    worker.given += 1;
    this.#count(worker, 1);
    this.#queue.push(this.#now + this.#options.loadMs, { type: "loaded", worker, given: worker.given });
  }

  #saw(run: number, change: Change): void {
    for (const watched of this.#watched)
      if (watched.run === run) watched.changes.push({ ...change, at: change.at - watched.from });
  }

  #count({ run, stage, stay, isLive }: Worker, sign: 1 | -1): void {
    const speeds = this.#speeds[run];
    if (speeds === undefined) return;
    if (isLive) speeds.live[stage] = (speeds.live[stage] ?? 0) + sign * stay.speed;
    else speeds.loading += sign * stay.speed;
  }

  #pools(run: number): Pools {
    const members = [...(this.#runs[run]?.values() ?? [])].map(({ stay, stage, isLive, given }): Placed => ({
      key: stay.key,
      owner: stay.owner,
      stage,
      // Nobody knows it before it has worked.
      speed: isLive || given > 0 ? stay.speed : null,
      endsAt: stay.declaredEnd,
      isLive,
    }));
    return { flops: this.#flops, members, most: Infinity, now: this.#now };
  }

  #syncEfficiency(): number {
    const { seed, stages, microBatches, workMs, linkMs } = this.#options;
    const random = new Random(seed + 1);
    let ideal = 0;
    let taken = 0;
    for (const { nodes, changes } of this.#watched) {
      const { ms } = simulateStep({ stages, microBatches, nodes, changes, workMs, linkMs, random });
      if (ms === null) continue;
      taken += ms;
      ideal += idealMs(nodes, changes, stages, microBatches * workMs);
    }
    return taken === 0 ? 0 : ideal / taken;
  }
}

function nodeOf({ stay, stage }: Worker): StepNode {
  return { key: stay.key, stage, speed: stay.speed };
}

/** How long the step takes at the speed of the poorest stage, whoever comes and goes. */
function idealMs(
  nodes: readonly StepNode[],
  changes: readonly Change[],
  stages: number,
  work: number,
): number {
  const there = new Map(nodes.map((node) => [node.key, node]));
  let at = 0;
  let left = work;
  for (const change of [...changes, null]) {
    const capacities = Array.from({ length: stages }, () => 0);
    for (const { stage, speed } of there.values()) capacities[stage] = (capacities[stage] ?? 0) + speed;
    const least = Math.min(...capacities);
    const until = change?.at ?? Infinity;
    if (least > 0 && at + left / least <= until) return at + left / least;
    left -= least * (until - at);
    at = until;
    if (change?.type === "comes") there.set(change.node.key, change.node);
    else if (change?.type === "goes") there.delete(change.key);
  }
  return at;
}
