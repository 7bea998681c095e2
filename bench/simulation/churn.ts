import { endingAt, handOverMs } from "../../src-orchestrator/replicas/leaving.ts";
import { coverFor, moveFor, stageFor } from "../../src-orchestrator/replicas/replica-placement.ts";
import type { Placed, Pools } from "../../src-orchestrator/replicas/replica-placement.ts";
import { USUAL_REPLICAS } from "../../src-protocol/control.ts";
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
  /** What a micro-batch costs besides, whatever the computer. */
  readonly eachMs: number;
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
  /** Of these, to a stage of which everybody would have ended soon. */
  readonly covers: number;
  /** Who has said when they end, and handed over before. */
  readonly handedOver: number;
  readonly placementMsMean: number;
  readonly placementMsMax: number;
  /** Time in which a stage of a run had nobody, of the time of all runs. */
  readonly uncovered: number;
  /** Share of what all computers could have done: what has no place, what has handed over, what loads, and what waits for a poorer stage. */
  readonly reserve: number;
  readonly leaving: number;
  readonly loading: number;
  readonly imbalance: number;
  /** Work of steps that was lost with who had done it, of all work. */
  readonly wasted: number;
  /**
   * Of what all computers could have done: what the poorest stages could do, without what was lost with those who
   * went. That is what placement leaves: no step is done in it.
   */
  readonly placementGoodput: number;
  /**
   * Of what the poorest stage could do, a step of `sync` does so much, which fills and is emptied, and does
   * again what was lost: the mean of those that were simulated.
   */
  readonly syncEfficiency: number;
  /** Of what all computers could have done, in such steps: what training comes to, with book and routing. */
  readonly syncGoodput: number;
}

interface Worker {
  readonly stay: Stay;
  /** Null: every stage has as many as it may. */
  run: number | null;
  stage: number;
  isLive: boolean;
  /** Since when it gets nothing new, as its end is near. */
  leavesSince: number | null;
  /** Since when it works on its stage. */
  liveSince: number;
  /** How often it was given a stage. */
  given: number;
}

type Happening =
  | { readonly type: "comes"; readonly stay: Stay }
  | { readonly type: "loaded"; readonly worker: Worker; readonly given: number }
  | { readonly type: "ends"; readonly worker: Worker }
  | { readonly type: "goes"; readonly worker: Worker }
  | { readonly type: "closed" }
  | { readonly type: "watch"; readonly run: number };

const MINUTE = 60_000;
/** About as long as a step takes: when one is closed, a computer may move. */
const STEP_MS = 8 * MINUTE;
const USUAL = { hop: null, phase: null, step: STEP_MS };
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
  readonly #reserve = new Set<Worker>();
  readonly #watched: Watched[] = [];
  /** Of each run: of those who work, by stage; and of those who load. */
  readonly #speeds: { readonly live: number[]; loading: number; leaving: number }[];
  #reserveSpeed = 0;
  readonly #flops: readonly number[];
  #now = 0;
  #online = 0;
  #most = 0;
  #fewest = Infinity;
  #joins = 0;
  #moves = 0;
  #covers = 0;
  #handedOver = 0;
  #departures = 0;
  #placements = 0;
  #placementMs = 0;
  #placementMsMax = 0;
  /** In computers of median speed times ms. */
  #able = 0;
  #reserved = 0;
  #leaving = 0;
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
      leaving: 0,
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
      covers: this.#covers,
      handedOver: this.#handedOver,
      placementMsMean: this.#placementMs / this.#placements,
      placementMsMax: this.#placementMsMax,
      uncovered: this.#uncoveredMs / (measured * runs),
      reserve: this.#reserved / this.#able,
      leaving: this.#leaving / this.#able,
      loading: this.#loading / this.#able,
      imbalance: 1 - (this.#poorest + this.#loading + this.#leaving + this.#reserved) / this.#able,
      wasted: this.#wasted / this.#able,
      placementGoodput: (this.#poorest - this.#wasted) / this.#able,
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
    this.#able += this.#reserveSpeed * ms;
    this.#reserved += this.#reserveSpeed * ms;
    for (const { live, loading, leaving } of this.#speeds) {
      const least = Math.max(0, Math.min(...live));
      this.#able += (live.reduce((sum, speed) => sum + speed, 0) + loading + leaving) * ms;
      this.#leaving += leaving * ms;
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
        const { run, leavesSince } = worker;
        if (run === null || worker.given !== given || !this.#runs[run]?.has(worker.stay.key)) return;
        if (leavesSince !== null) return;
        this.#count(worker, -1);
        worker.isLive = true;
        worker.liveSince = this.#now;
        this.#count(worker, 1);
        return this.#saw(run, { at: this.#now, type: "comes", node: nodeOf(worker) });
      }
      case "ends":
        return this.#ends(event.worker);
      case "goes":
        return this.#goes(event.worker);
      case "closed":
        for (const run of this.#runs.keys()) this.#balance(run);
        // Somebody may have come to its stage who stays longer.
        for (const members of this.#runs)
          for (const worker of members.values())
            if ((worker.stay.declaredEnd ?? Infinity) - handOverMs({ usual: USUAL }) <= this.#now)
              this.#ends(worker);
        return;
      case "watch": {
        const nodes = [...(this.#runs[event.run]?.values() ?? [])].filter(isWorking).map(nodeOf);
        this.#watched.push({ run: event.run, from: this.#now, nodes, changes: [] });
      }
    }
  }

  #comes(stay: Stay): void {
    const worker: Worker = {
      stay,
      run: null,
      stage: 0,
      isLive: false,
      liveSince: this.#now,
      leavesSince: null,
      given: 0,
    };
    this.#joins += 1;
    this.#online += 1;
    this.#reserve.add(worker);
    this.#reserveSpeed += stay.speed;
    this.#place(worker);
    if (stay.declaredEnd !== null)
      this.#queue.push(Math.max(this.#now, stay.declaredEnd - handOverMs({ usual: USUAL })), {
        type: "ends",
        worker,
      });
    this.#queue.push(stay.to, { type: "goes", worker });
  }

  /** The run that has the least and has room, and in it the stage that placement says. */
  #place(worker: Worker): void {
    const { stay } = worker;
    const began = performance.now();
    const speeds = this.#speeds.map(({ live, loading }) => live.reduce((sum, speed) => sum + speed, loading));
    const poorestFirst = [...speeds.keys()].toSorted((a, b) => (speeds[a] ?? 0) - (speeds[b] ?? 0));
    let found: { readonly run: number; readonly stage: number } | null = null;
    for (const run of poorestFirst) {
      const stage = stageFor({ owner: stay.owner, canHold: () => true }, this.#pools(run));
      if (stage !== null) found = { run, stage };
      if (found !== null) break;
    }
    const ms = performance.now() - began;
    this.#placementMs += ms;
    this.#placements += 1;
    this.#placementMsMax = Math.max(this.#placementMsMax, ms);
    if (found === null) return;
    this.#reserve.delete(worker);
    this.#reserveSpeed -= stay.speed;
    worker.run = found.run;
    worker.stage = found.stage;
    this.#runs[found.run]?.set(stay.key, worker);
    this.#count(worker, 1);
    const { given } = worker;
    this.#queue.push(this.#now + this.#options.loadMs, { type: "loaded", worker, given });
  }

  #goes(worker: Worker): void {
    this.#online -= 1;
    if (this.#now >= SETTLED_AFTER) this.#departures += 1;
    if (worker.run === null) {
      this.#reserve.delete(worker);
      this.#reserveSpeed -= worker.stay.speed;
      return;
    }
    this.#runs[worker.run]?.delete(worker.stay.key);
    this.#count(worker, -1);
    this.#leaves(worker, worker.run);
    // There is room.
    const [waiting] = this.#reserve;
    if (waiting !== undefined) this.#place(waiting);
  }

  /** Its owner has said that it ends soon: as the product decides, it gets nothing new, and has no part in the next step. */
  #ends(worker: Worker): void {
    const { run, stay } = worker;
    const members = run === null ? undefined : this.#runs[run];
    if (run === null || members?.has(stay.key) !== true || worker.leavesSince !== null) return;
    const { leaving } = endingAt(
      {
        usual: USUAL,
        ends: new Map(
          [...members].flatMap(([key, { stay: its }]) =>
            its.declaredEnd === null ? [] : [[key, its.declaredEnd]],
          ),
        ),
        members: new Map(
          [...members].map(([key, each]) => [
            key,
            { stage: each.stage, phase: isWorking(each) ? "live" : "warm" },
          ]),
        ),
      },
      this.#now,
    );
    if (!leaving.has(stay.key)) return;
    this.#count(worker, -1);
    worker.leavesSince = this.#now;
    this.#count(worker, 1);
    if (!worker.isLive) return;
    this.#handedOver += 1;
    this.#saw(run, { at: this.#now, type: "leaves", key: stay.key });
  }

  /** What it has done of the step is done again by others. */
  #leaves({ stay, isLive, liveSince, leavesSince }: Worker, run: number): void {
    if (!isLive) return;
    this.#saw(run, { at: this.#now, type: "goes", key: stay.key });
    const capacity = Math.min(...(this.#speeds[run]?.live ?? []));
    const stepMs = Math.min(
      60 * MINUTE,
      (this.#options.microBatches * this.#options.workMs) / Math.max(0.1, capacity),
    );
    const worked = (leavesSince ?? this.#now) - Math.max(liveSince, this.#now - (this.#now % stepMs));
    // Who has handed over in a step before this has nothing in this one.
    if (this.#now >= SETTLED_AFTER) this.#wasted += Math.max(0, worked) * stay.speed;
  }

  /** In a step that has just been closed, so that nothing is lost, as the product does. */
  #balance(run: number): void {
    const pools = this.#pools(run);
    const cover = coverFor(pools, () => true);
    const move = cover ?? moveFor(pools, () => true);
    const worker = move === null ? undefined : this.#runs[run]?.get(move.key);
    if (move === null || worker === undefined) return;
    this.#moves += 1;
    if (cover !== null) this.#covers += 1;
    // A step that is watched began at another time than this: what it has is finished.
    this.#saw(run, { at: this.#now, type: "leaves", key: move.key });
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

  #count({ run, stage, stay, isLive, leavesSince }: Worker, sign: 1 | -1): void {
    const speeds = run === null ? undefined : this.#speeds[run];
    if (speeds === undefined) return;
    if (leavesSince !== null) speeds.leaving += sign * stay.speed;
    else if (isLive) speeds.live[stage] = (speeds.live[stage] ?? 0) + sign * stay.speed;
    else speeds.loading += sign * stay.speed;
  }

  #pools(run: number): Pools {
    const members = [...(this.#runs[run]?.values() ?? [])].map((worker): Placed => {
      const { stay, stage, isLive, given } = worker;
      return {
        key: stay.key,
        owner: stay.owner,
        stage,
        // Nobody knows it before it has worked.
        speed: isLive || given > 0 ? stay.speed : null,
        endsAt: stay.declaredEnd,
        isLive: isWorking(worker),
      };
    });
    return { flops: this.#flops, members, most: USUAL_REPLICAS, now: this.#now };
  }

  #syncEfficiency(): number {
    const { seed, stages, microBatches, workMs, eachMs, linkMs } = this.#options;
    const random = new Random(seed + 1);
    let ideal = 0;
    let taken = 0;
    for (const { nodes, changes } of this.#watched) {
      const { ms } = simulateStep({ stages, microBatches, nodes, changes, workMs, eachMs, linkMs, random });
      if (ms === null) continue;
      taken += ms;
      ideal += idealMs(nodes, changes, stages, microBatches * workMs);
    }
    return taken === 0 ? 0 : ideal / taken;
  }
}

/** It has part in the next step. */
function isWorking({ isLive, leavesSince }: Worker): boolean {
  return isLive && leavesSince === null;
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
    else if (change !== null) there.delete(change.key);
  }
  return at;
}
