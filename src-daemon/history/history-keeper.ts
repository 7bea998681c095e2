import { renameSync, rmSync } from "node:fs";
import type { ComputerHour, StateChange, WorkedHour } from "../../src-protocol/history.ts";
import { decidingReasons } from "../../src-protocol/reason-text.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { isWorking } from "../../src-protocol/why.ts";
import { type Drawn, HistoryStore } from "./history-store.ts";

/** Often enough that a kill costs the report less than a minute of work; what was earned it never costs. */
const SAVE_EVERY_MS = 30_000;
/** Two looks further apart than this: the computer slept between them, or hung. */
const LONGEST_LOOK_MS = 2 * SAVE_EVERY_MS;
const THIS_COMPUTER = "";

export interface HistoryPorts {
  state(): DaemonState;
  /** Unix milliseconds. */
  now(): number;
  /** A clock that nobody sets, milliseconds. */
  steady(): number;
  failed(error: unknown): void;
  /** The network on this computer is new: nothing was earned there before. */
  readonly isNew?: boolean;
}

/** Watches the state and writes down, by the hour, how long it worked and what that earned. */
export class HistoryKeeper {
  readonly #ports: HistoryPorts;
  readonly #store: HistoryStore | null;
  readonly #timer: NodeJS.Timeout;
  #lookedAt: number;
  #worked = 0;
  #wasWorking = false;
  #total: { network: string; asset: WorkedHour["asset"]; rao: bigint } | null = null;
  #savedTotal = -1n;
  /** Over other networks' lines, not stored yet. */
  #moved = { sent: 0, received: 0 };
  #stored: { from: number; bytes: number } | null = null;
  /** The state that was written down last. */
  #noted: { readonly key: string; readonly to: StateChange["to"] } | null = null;
  #step: { runId: string; step: number } | null = null;

  constructor(path: string, ports: HistoryPorts) {
    this.#ports = ports;
    this.#store = opened(path, ports);
    this.#lookedAt = ports.steady();
    const [last] = this.changes(0, Number.MAX_SAFE_INTEGER, 1);
    if (last?.to === "off") this.#noted = { key: "off", to: "off" };
    if (ports.isNew === true) this.#beginAtZero();
    this.#timer = setInterval(() => this.save(), SAVE_EVERY_MS).unref();
  }

  /** The state has changed: what passed since the last look is counted by what it was then. */
  look(): void {
    const now = this.#ports.steady();
    if (this.#wasWorking) this.#worked += Math.min(now - this.#lookedAt, LONGEST_LOOK_MS);
    this.#lookedAt = now;
    this.#wasWorking = isWorking(this.#ports.state());
    this.#noteChange();
  }

  /** Newest first. */
  changes(from: number, to: number, limit: number): StateChange[] {
    return this.#store?.changes(from, to, limit) ?? [];
  }

  #noteChange(): void {
    const { decision, override, node } = this.#ports.state();
    // What supports a decision comes and goes; what decides it is news.
    const deciding = decidingReasons(decision).join(" ");
    const key = [decision.action, deciding, node.phase, override?.since, override?.action].join("/");
    if (key === this.#noted?.key) return;
    const who = override === null ? null : [override.by, override.lease?.name].filter(Boolean).join(" ");
    this.#write({ to: decision.action, phase: node.phase, reasons: decision.reasons, who }, key);
  }

  #write(change: Omit<StateChange, "at" | "from">, key: string): void {
    try {
      this.#store?.addChange({ at: this.#ports.now(), from: this.#noted?.to ?? null, ...change });
    } catch (error) {
      this.#ports.failed(error);
    }
    this.#noted = { key, to: change.to };
  }

  /** An answer about what was earned, and no guess. */
  earned({ asset, accruedRao, claimedRao }: DaemonState["earnings"]): void {
    const network = this.#ports.state().network.id ?? THIS_COMPUTER;
    this.#total = { network, asset, rao: BigInt(accruedRao) + BigInt(claimedRao) };
  }

  /** Else the first total that is heard, some seconds after the first step, would be taken for what was there before. */
  #beginAtZero(): void {
    const nothing = { workedMs: 0, tokens: 0, totalRao: 0n };
    try {
      this.#store?.add(this.#ports.now(), { network: THIS_COMPUTER, asset: "test", ...nothing });
    } catch (error) {
      this.#ports.failed(error);
    }
  }

  /** For what is kept by the hour besides; null: nothing can be kept. */
  get store(): HistoryStore | null {
    return this.#store;
  }

  /** Bytes that workers have sent and received over the computer's line. */
  moved(sent: number, received: number): void {
    this.#moved = { sent: this.#moved.sent + sent, received: this.#moved.received + received };
  }

  /** Sent and received since then; null: it cannot be kept, so nobody knows. */
  bytesSince(from: number): number | null {
    if (this.#store === null) return null;
    // Asked at every decision, and the sum changes only with what is stored.
    if (this.#stored?.from !== from) this.#stored = { from, bytes: this.#store.bytesSince(from) };
    return this.#stored.bytes + this.#moved.sent + this.#moved.received;
  }

  /** Drawn since this was told last, while it worked. */
  drew(drawn: Drawn): void {
    try {
      this.#store?.addPower(this.#ports.now(), drawn);
    } catch (error) {
      this.#ports.failed(error);
    }
  }

  computer(from: number, to: number): ComputerHour[] {
    this.save();
    return this.#store?.computer(from, to) ?? [];
  }

  hours(from: number, to: number): WorkedHour[] {
    this.save();
    return this.#store?.hours(from, to) ?? [];
  }

  /** Pending and claimed together, as the hours have counted it; null: nothing was heard of it yet. */
  get inAllRao(): bigint | null {
    const { network, earnings } = this.#ports.state();
    const here = network.id ?? THIS_COMPUTER;
    return this.#total?.network === here && this.#total.asset === earnings.asset ? this.#total.rao : null;
  }

  save(): void {
    this.look();
    this.#saveTraffic();
    const { network, earnings, run } = this.#ports.state();
    const tokens = run === null ? 0 : this.#tokensSince(run);
    const here = network.id ?? THIS_COMPUTER;
    const known = this.inAllRao;
    const workedMs = Math.round(this.#worked);
    if (workedMs === 0 && tokens === 0 && (known === null || known === this.#savedTotal)) return;
    this.#worked = 0;
    try {
      this.#store?.add(this.#ports.now(), {
        network: here,
        asset: earnings.asset,
        workedMs,
        tokens,
        totalRao: known,
      });
      if (known !== null) this.#savedTotal = known;
    } catch (error) {
      this.#ports.failed(error);
    }
  }

  #saveTraffic(): void {
    const { sent, received } = this.#moved;
    if (sent + received === 0) return;
    try {
      this.#store?.addTraffic(this.#ports.now(), sent, received);
      this.#moved = { sent: 0, received: 0 };
      this.#stored = null;
    } catch (error) {
      this.#ports.failed(error);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.save();
    this.#write({ to: "off", phase: "paused", reasons: [], who: null }, "off");
    this.#store?.close();
  }

  #tokensSince({ runId, step, tokensPerStep }: NonNullable<DaemonState["run"]>): number {
    const before = this.#step;
    this.#step = { runId, step };
    if (before === null || before.runId !== runId || step <= before.step) return 0;
    return (step - before.step) * tokensPerStep;
  }
}

function opened(path: string, { failed }: HistoryPorts): HistoryStore | null {
  try {
    return HistoryStore.open(path);
  } catch (error) {
    failed(error);
  }
  try {
    // Somebody may still read it; what follows is counted anew.
    renameSync(path, `${path}.unreadable`);
    for (const ending of ["-wal", "-shm"]) rmSync(path + ending, { force: true });
    return HistoryStore.open(path);
  } catch (error) {
    failed(error);
    return null;
  }
}
