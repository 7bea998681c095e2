import { sumText } from "../../src-protocol/control.ts";
import type { OrchestratorMessage, Restorable } from "../../src-protocol/control.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { NOTHING, testHotkey, testRun } from "../runs/fleet.test-support.ts";
import { startNetwork } from "../runs/network-state.ts";
import type { Effect, NetworkEvent, NetworkState, RunMessage, StageSum } from "../runs/network-state.ts";
import { allCells, openCells } from "../routing/cells.ts";
import { ownerAt } from "../routing/step-book.ts";
import { apply } from "../runs/network.ts";

export const run = testRun({ evaluateEverySteps: 1_000_000_000, steps: null });
type Sent = { readonly to: SessionKey; readonly message: OrchestratorMessage };

export interface Joining {
  readonly endsInMs?: number;
  /** Its owner; left out: another one for each. */
  readonly hotkey?: Ss58Address;
  /** To whom its hotkey is paid; left out: to itself. */
  readonly owner?: Ss58Address;
  /** Of the whole computer; left out: more than enough. */
  readonly memoryBytes?: number;
  /** What it says it has on its disk. */
  readonly restorable?: readonly Restorable[];
}

/** Honest nodes as data: they answer what the orchestrator says, at once. */
export class Homes {
  state: NetworkState;
  readonly signers: SessionSigner[] = [];
  readonly sent: Sent[] = [];
  readonly effects: Effect[] = [];
  /** What has happened, in its order. */
  readonly events: NetworkEvent[] = [];
  readonly #stages = new Map<SessionKey, number>();
  #later: Sent[] = [];
  /** What the wall clock shows; Unix milliseconds. */
  date = 0;
  /** Nobody answers what is said from now on. */
  deaf = false;
  /** Whoever is loaded with a state has, from before, the sum of that step and this round; null: it has none. */
  sumRound: number | null = null;
  /** Nobody of this stage answers what it is told to take. */
  takesNot: number | null = null;
  /** They get what is said to them, and say nothing. */
  readonly mute = new Set<SessionKey>();
  /** Nothing of these steps and later is done. */
  stopAt = 3;
  #now = 10_000;

  /** @param known owners whose work was found good before the orchestrator's start */
  constructor(
    most = 2,
    known: readonly Ss58Address[] = [],
    needs: readonly number[] = [1, 1, 1],
    sums?: readonly StageSum[],
  ) {
    const remembered = { ...NOTHING, trusted: known };
    this.state = startNetwork(run, needs, remembered, 0, { network: "homes", most, ...(sums && { sums }) });
  }

  dispatch(event: Record<string, unknown>): void {
    const queue: Record<string, unknown>[] = [event];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      this.#now += 1;
      const timed = { ...next, now: this.#now, date: this.date } as unknown as NetworkEvent;
      this.events.push(timed);
      const { state, effects } = apply(timed, this.state);
      this.state = state;
      this.effects.push(...effects);
      for (const effect of effects)
        if (effect.type === "send") {
          this.sent.push(effect);
          if (this.deaf || this.mute.has(effect.to)) continue;
          queue.push(
            ...this.#answers(effect).map((message) => ({ type: "message", sessionKey: effect.to, message })),
          );
        }
    }
  }

  join({ endsInMs, hotkey, owner, memoryBytes = 1e9, restorable = [] }: Joining = {}): SessionKey {
    const signer = createSessionSigner(new Uint8Array(32).fill(this.signers.length + 1));
    this.signers.push(signer);
    this.dispatch({
      type: "joined",
      sessionKey: signer.publicKey,
      hotkey: hotkey ?? testHotkey(this.signers.length),
      linkAddress: { host: "h", port: 1 },
      memoryBytes,
      restorable,
      ...(endsInMs !== undefined && { endsInMs }),
      ...(owner !== undefined && { owner }),
    });
    return signer.publicKey;
  }

  says(sessionKey: SessionKey, endsInMs: number | null): void {
    this.dispatch({ type: "message", sessionKey, message: { type: "ends", endsInMs } });
  }

  leave(key: SessionKey): void {
    this.dispatch({ type: "left", sessionKey: key, cause: "closed" });
  }

  /** Of the clock that nobody sets, ms. */
  get now(): number {
    return this.#now;
  }

  tick(ms: number): void {
    this.#now += ms;
    this.dispatch({ type: "tick" });
  }

  /** Heads go on with what they have, and ask for more. */
  goOn(): void {
    const held = this.#later;
    this.#later = [];
    const heads = [...(this.state.team?.run?.members ?? [])].flatMap(([key, { stage, phase }]) =>
      stage === 0 && phase === "live" ? [key] : [],
    );
    const { generation } = this.state;
    for (const sent of held)
      for (const message of this.#answers(sent))
        this.dispatch({ type: "message", sessionKey: sent.to, message });
    for (const sessionKey of heads)
      this.dispatch({ type: "message", sessionKey, message: { type: "ask", generation } });
  }

  /** What a stage has lost is sent again to who holds it now, by those who kept it, and done again there. */
  again(stage: number): void {
    const { generation, step, team } = this.state;
    const book = team?.run?.book;
    const [to] = book?.stages[stage]?.live ?? [];
    const cells = allCells(book?.stages[stage]?.cells ?? openCells(0));
    for (const [microBatch, { owner }] of cells.entries()) {
      const before = book && ownerAt(book, stage - 1, microBatch);
      const after = book && ownerAt(book, stage + 1, microBatch);
      if (owner !== null || to === undefined || !before) continue;
      const of = { generation, step, microBatch };
      const say = (sessionKey: SessionKey, message: RunMessage): void =>
        this.dispatch({ type: "message", sessionKey, message });
      say(before, { type: "routed", ...of, to });
      if (after) say(to, { type: "routed", ...of, to: after });
      say(to, { type: "counted", ...of, loss: 2 });
    }
  }

  stageOf(key: SessionKey): number | undefined {
    return this.#stages.get(key);
  }

  #answers({ to, message }: Sent): RunMessage[] {
    const { generation } = this.state;
    const stage = this.#stages.get(to) ?? 0;
    const live = (at: number): SessionKey =>
      [...(this.state.team?.run?.members ?? [])].find(
        ([, each]) => each.stage === at && each.phase === "live",
      )?.[0] ?? to;
    switch (message.type) {
      case "assign":
        this.#stages.set(to, message.stage);
        return [
          {
            type: "ready",
            generation,
            ...(message.joins === false && { step: message.resumeStep }),
            ...(this.sumRound !== null && { sumRound: this.sumRound }),
          },
        ];
      case "adopt":
        return [{ type: "adopted", generation, step: message.step }];
      case "open":
        return stage === 0 && message.step < this.stopAt
          ? Array.from({ length: run.microBatches }, () => ({ type: "ask", generation }) as const)
          : [];
      case "lease": {
        const { step, microBatch, pass } = message;
        if (step >= this.stopAt) {
          this.#later.push({ to, message });
          return [];
        }
        const measured = { type: "measured", generation, step, microBatch, loss: 2 } as const;
        if (pass === "evaluate")
          queueMicrotask(() => this.dispatch({ type: "message", sessionKey: live(2), message: measured }));
        else this.#pass(step, microBatch, to, live);
        // One ask is answered by one micro-batch.
        return [{ type: "ask", generation }];
      }
      case "commit":
        return [
          {
            type: "summed",
            generation,
            step: message.step,
            round: message.round,
            parts: message.sums.map(({ replica: by }) => {
              const { step, round } = message;
              const digest = sha256(`${by} ${step}`);
              const text = sumText({
                network: "homes",
                runId: run.runId,
                generation,
                stage,
                step,
                round,
                sha256: digest,
              });
              const signer = this.signers.find(({ publicKey }) => publicKey === by);
              return { by, sha256: digest, signature: signer?.sign(text) ?? ("" as never) };
            }),
            totals: [],
          },
        ];
      case "take": {
        if (this.takesNot === stage) return [];
        const digest = sha256(`state ${stage} ${message.step + 1}`);
        return [
          { type: "saved", generation, step: message.step + 1, digest, link: digest, stateSha256: digest },
        ];
      }
      default:
        return [];
    }
  }

  /** A micro-batch all the way to the tail and back. */
  #pass(step: number, microBatch: number, head: SessionKey, live: (stage: number) => SessionKey): void {
    const { generation } = this.state;
    const chain = [head, live(1), live(2)];
    const say = (key: SessionKey, message: RunMessage): void =>
      queueMicrotask(() => this.dispatch({ type: "message", sessionKey: key, message }));
    for (const [stage, key] of chain.entries()) {
      const to = chain[stage + 1];
      if (to !== undefined) say(key, { type: "routed", generation, step, microBatch, to });
    }
    for (const key of chain.toReversed())
      say(key, { type: "counted", generation, step, microBatch, loss: 2 });
  }
}

/** Steps that take so long, until so many are finished. */
export async function trainedSlowly(homes: Homes, steps: number, stepMs: number): Promise<void> {
  for (let step = homes.state.step + 1; step <= steps; step++) {
    await trained(homes, step);
    homes.tick(stepMs);
  }
}

/** Until so many steps are finished. */
export async function trained(homes: Homes, steps: number): Promise<void> {
  homes.stopAt = steps;
  if (homes.state.phase !== "training") homes.tick(5_000);
  homes.goOn();
  for (let i = 0; i < 2_000 && homes.state.step < steps; i++) await Promise.resolve();
}
