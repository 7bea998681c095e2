import { KERNELS } from "../../src-protocol/arithmetic.ts";
import type { LinkAddress, OrchestratorMessage } from "../../src-protocol/control.ts";
import { sessionKey, ss58Address } from "../../src-protocol/keys.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER, isCheckpointStep } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import type { Checkpoint } from "../stores/checkpoints.ts";
import { startNetwork } from "./network-state.ts";
import { apply } from "./network.ts";
import type {
  Effect,
  Moment,
  NetworkEvent,
  NetworkState,
  Proved,
  Remembered,
  Row,
  RunMessage,
  SavedStep,
} from "./network-state.ts";
import { SAVED_STATE } from "../stores/saved-state.test-support.ts";

/** Nodes as data, with the disks and the manners of real ones, for tests of the pure network. */

export function testRun(change: Partial<RunSpec> = {}): RunSpec {
  return {
    runId: "test",
    name: "Test run",
    model: DEFAULT_MODEL,
    stages: 3,
    batch: 2,
    sequence: 16,
    microBatches: 2,
    optimizer: DEFAULT_OPTIMIZER,
    arithmetic: "fast",
    kernels: KERNELS.fast,
    seed: 7,
    steps: 12,
    evaluateEverySteps: 5,
    evaluationMicroBatches: 1,
    checkpointEverySteps: 4,
    corpus: { name: "none", sha256: "0".repeat(64), bytes: 1000, tokenBytes: 1 },
    ...change,
  };
}

export function testKey(number: number): SessionKey {
  return sessionKey.parse(number.toString(16).padStart(64, "0"));
}

const HOTKEYS = [
  "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
  "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
  "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y",
  "5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXVeYum3PTXFy",
  "5HGjWAeFDfFCWPsjFQdVV2Msvz2XtMktvgocEZcCj68kUMaw",
];

/** Of a snapshot: the same step trained again is another one. */
export function testDigest(generation: number, stage: number, step: number): string {
  return `${generation}b${stage}b${step}b`.padEnd(64, "0");
}

export function testHotkey(number: number): Ss58Address {
  return ss58Address.parse(HOTKEYS[number % HOTKEYS.length]);
}

export const NOTHING: Remembered = {
  generation: 1_000_000,
  lastPoint: null,
  heldOut: null,
  heldOutLossAtStart: null,
  recoveries: 0,
  lastRecoveryMs: null,
  checkpoints: [],
  saves: [],
  trusted: [],
  proved: null,
};

type Assignment = OrchestratorMessage & { type: "assign" };

/** A computer: its disk outlives its session keys. */
export interface Computer {
  readonly number: number;
  readonly memoryBytes: number;
  /** Snapshot slots by stage: slot `step % 3` holds that step. */
  readonly disk: Map<number, Map<number, SavedStep>>;
  session: SessionKey | null;
  assignment: Assignment | null;
  step: number;
  /** Said, not heard yet. */
  readonly outbox: { readonly from: SessionKey; readonly message: RunMessage }[];
}

/** An orchestrator's memory and a few computers. Nothing happens unless a test says so. */
export class Fleet {
  readonly run: RunSpec;
  readonly needs: readonly number[];
  state: NetworkState;
  now = 1_000;
  /** By how much the wall clock is ahead of `now`, in ms. */
  clockAhead = 1_700_000_000_000;
  readonly computers: Computer[];
  /** There is an operator, who is asked before much is given up. */
  isAsking(): void {
    this.state = { ...this.state, isAsking: true };
  }

  /** Other states are in memory alone. */
  diskEverySteps = 1;
  /** What has happened, in its order. */
  readonly events: NetworkEvent[] = [];
  readonly rows: Row[] = [];
  readonly sent: Extract<Effect, { type: "send" }>[] = [];
  /** What the head was asked to do and has not done. */
  private grants: (OrchestratorMessage & { type: "grant" })[] = [];
  private readonly ready = new Set<string>();
  private sessions = 0;
  private lives = 1;

  /** `needs`: gigabytes that each stage takes; `memories`: gigabytes of each computer. */
  constructor(
    run: RunSpec,
    computers: number,
    needs: readonly number[] = [],
    memories: readonly number[] = [],
  ) {
    this.run = run;
    this.needs = Array.from({ length: run.stages }, (_, stage) => (needs[stage] ?? 1) * 1e9);
    this.state = startNetwork(run, this.needs, NOTHING, this.now);
    this.computers = Array.from({ length: computers }, (_, number) => ({
      number,
      memoryBytes: (memories[number] ?? 8) * 1e9,
      disk: new Map(),
      session: null,
      assignment: null,
      step: 0,
      outbox: [],
    }));
  }

  /** The wall clock may be anything: tests set it to see that it decides nothing. */
  moment(): Moment {
    return { now: this.now, date: this.now + this.clockAhead };
  }

  dispatch(event: NetworkEvent): readonly Effect[] {
    this.events.push(event);
    const { state, effects } = apply(event, this.state);
    this.state = state;
    for (const effect of effects) {
      if (effect.type === "link") continue;
      if (effect.type === "store") this.rows.push(effect.row);
      else if (effect.type === "send") this.deliver(effect);
    }
    return effects;
  }

  computer(number: number): Computer {
    const found = this.computers[number];
    if (found === undefined) throw new Error(`no computer ${number}`);
    return found;
  }

  join(number: number): void {
    const computer = this.computer(number);
    if (computer.session !== null) return;
    this.sessions++;
    computer.session = testKey(this.sessions);
    computer.assignment = null;
    const restorable = [...computer.disk].map(([stage, slots]) => ({
      runId: this.run.runId,
      stage,
      steps: [...slots.values()],
    }));
    this.dispatch({
      type: "joined",
      ...this.moment(),
      sessionKey: computer.session,
      hotkey: testHotkey(number),
      linkAddress: { host: "127.0.0.1", port: 1000 + number } satisfies LinkAddress,
      memoryBytes: computer.memoryBytes,
      restorable,
    });
  }

  leave(number: number, cause: "closed" | "silent" | "drained" = "closed"): void {
    const computer = this.computer(number);
    const session = computer.session;
    if (session === null) return;
    computer.session = null;
    computer.assignment = null;
    this.dispatch({ type: "left", ...this.moment(), sessionKey: session, cause });
  }

  /** The orchestrator is killed: it comes back with what its store has; every node has to join again. */
  restart(): void {
    this.lives++;
    const points = new Map<number, HistoryPoint>();
    let heldOut: Remembered["heldOut"] = null;
    const { heldOutLossAtStart } = this.state;
    const checkpoints = this.state.stages.map(() => new Map<number, Checkpoint>());
    const saves = this.state.stages.map(() => new Map<number, string>());
    const trusted = new Set<Ss58Address>();
    let proved: Proved | null = null;
    for (const row of this.rows) {
      if (row.kind === "point") points.set(row.point.step, row.point);
      if (row.kind === "heldOut") heldOut = { step: row.step, loss: row.loss };
      if (row.kind === "point" && row.point.heldOutLoss !== null)
        heldOut = { step: row.point.step, loss: row.point.heldOutLoss };
      if (row.kind === "checkpoint")
        checkpoints[row.stage]?.set(row.step, { sha256: row.sha256, bytes: row.bytes });
      if (row.kind === "saved") saves[row.stage]?.set(row.step, row.digest);
      if (row.kind === "forgetSaves") for (const step of row.steps) saves[row.stage]?.delete(step);
      if (row.kind === "proved") {
        proved = row.proved;
        for (const hotkey of row.trusted) trusted.add(hotkey);
      }
      if (row.kind === "forgetCheckpoint") checkpoints[row.stage]?.delete(row.step);
    }
    const lastPoint = [...points.values()].sort((a, b) => b.step - a.step)[0] ?? null;
    for (const computer of this.computers) {
      computer.session = null;
      computer.assignment = null;
    }
    this.state = startNetwork(
      this.run,
      this.needs,
      {
        ...NOTHING,
        generation: this.lives * 1_000_000,
        lastPoint,
        heldOut,
        heldOutLossAtStart,
        checkpoints,
        saves,
        trusted: [...trusted],
        proved,
      },
      this.now,
    );
  }

  tick(milliseconds: number): void {
    this.now += milliseconds;
    this.dispatch({ type: "tick", ...this.moment() });
  }

  /** Hears the oldest thing that this computer said. */
  hear(number: number): void {
    const said = this.computer(number).outbox.shift();
    if (said !== undefined) this.say(said.from, said.message);
  }

  say(from: SessionKey, message: RunMessage): void {
    if (message.type === "ready") this.ready.add(`${from} ${message.generation}`);
    this.dispatch({ type: "message", ...this.moment(), sessionKey: from, message });
  }

  hearAll(): void {
    for (let left = 10_000; left > 0 && this.computers.some((one) => one.outbox.length > 0); left--) {
      for (const one of this.computers) this.hear(one.number);
    }
  }

  /** The pipeline runs the oldest grant, if every member is there; true when something was done. */
  work(checkpoints = true): boolean {
    const grant = this.grants.shift();
    if (grant === undefined) return false;
    const members = this.state.stages.map((_, stage) =>
      this.computers.find(
        (one) => one.assignment?.generation === grant.generation && one.assignment.stage === stage,
      ),
    );
    if (members.some((member) => member === undefined)) return false;
    const { generation, step } = grant;
    const tail = members.at(-1);
    if (grant.evaluations > 0 && tail !== undefined)
      this.post(tail, { type: "evaluated", generation, step, loss: 6 - step / 100 });
    if (grant.microBatches === 0) return true;
    for (const member of members.toReversed()) {
      if (member?.assignment === undefined || member.assignment === null) continue;
      if (member.step !== step)
        throw new Error(`computer ${member.number} is at ${member.step}, not at ${step}`);
      member.step = step + 1;
      const { stage } = member.assignment;
      const loss = member === tail ? 5 - step / 100 : null;
      this.post(member, { type: "stepped", generation, step: step + 1, loss, computeMs: 1 });
      const digest = testDigest(generation, stage, step + 1);
      if ((step + 1) % this.diskEverySteps === 0) this.write(member, stage, { step: step + 1, digest });
      const onDisk = [...(member.disk.get(stage)?.values() ?? [])];
      this.post(member, {
        type: "saved",
        generation,
        step: step + 1,
        ...SAVED_STATE,
        digest,
        stateSha256: digest,
        onDisk,
      });
      if (checkpoints && isCheckpointStep(this.run, step + 1)) {
        const sha256 = `${stage}a${step + 1}`.padEnd(64, "0");
        this.post(member, { type: "checkpoint", generation, step: step + 1, sha256, bytes: 10 });
      }
    }
    return true;
  }

  private write(computer: Computer, stage: number, saved: SavedStep): void {
    const slots = computer.disk.get(stage) ?? new Map<number, SavedStep>();
    computer.disk.set(stage, slots.set((saved.step / this.diskEverySteps) % 3, saved));
  }

  private post(computer: Computer, message: RunMessage): void {
    if (computer.session !== null) computer.outbox.push({ from: computer.session, message });
  }

  private deliver(effect: Extract<Effect, { type: "send" }>): void {
    this.sent.push(effect);
    const { to, message } = effect;
    const computer = this.computers.find((one) => one.session === to);
    if (computer === undefined) return;
    if (message.type === "assign") this.load(computer, message);
    if (message.type === "grant") this.accept(message);
  }

  private accept(grant: OrchestratorMessage & { type: "grant" }): void {
    for (const { holder } of this.state.stages) {
      if (!this.ready.has(`${holder} ${grant.generation}`))
        throw new Error(`granted, but ${holder} was not ready`);
    }
    this.grants.push(grant);
  }

  private load(computer: Computer, message: Assignment): void {
    const { stage, resumeStep, resumeDigest, generation } = message;
    this.grants = this.grants.filter((grant) => grant.generation === generation);
    const own = computer.disk.get(stage)?.get((resumeStep / this.diskEverySteps) % 3);
    const restorable =
      resumeStep === 0 ||
      message.checkpointSha256 !== null ||
      (own?.step === resumeStep && own.digest === resumeDigest);
    if (!restorable)
      throw new Error(`computer ${computer.number} cannot restore stage ${stage} at ${resumeStep}`);
    computer.assignment = message;
    computer.step = resumeStep;
    this.post(computer, { type: "ready", generation });
  }
}
