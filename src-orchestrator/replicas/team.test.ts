import { describe, expect, it } from "vitest";
import { sumText } from "../../src-protocol/control.ts";
import type { OrchestratorMessage } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { NOTHING, testHotkey, testRun } from "../runs/fleet.test-support.ts";
import { startNetwork } from "../runs/network-state.ts";
import type { Effect, NetworkEvent, NetworkState, RunMessage } from "../runs/network-state.ts";
import { apply, nextWake } from "../runs/network.ts";
import { runView } from "../runs/run-view.ts";

const run = testRun({ evaluateEverySteps: 1_000_000_000, steps: null });
type Sent = { readonly to: SessionKey; readonly message: OrchestratorMessage };

/** Honest nodes as data: they answer what the orchestrator says, at once. */
class Homes {
  state: NetworkState;
  readonly signers: SessionSigner[] = [];
  readonly sent: Sent[] = [];
  readonly effects: Effect[] = [];
  readonly #stages = new Map<SessionKey, number>();
  #later: Sent[] = [];
  /** Nothing of these steps and later is done. */
  stopAt = 3;
  #now = 10_000;

  constructor(most = 2) {
    this.state = startNetwork(run, [1, 1, 1], NOTHING, 0, { network: "homes", most });
  }

  dispatch(event: Record<string, unknown>): void {
    const queue: Record<string, unknown>[] = [event];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      this.#now += 1;
      const { state, effects } = apply(
        { ...next, now: this.#now, date: 0 } as unknown as NetworkEvent,
        this.state,
      );
      this.state = state;
      this.effects.push(...effects);
      for (const effect of effects)
        if (effect.type === "send") {
          this.sent.push(effect);
          queue.push(
            ...this.#answers(effect).map((message) => ({ type: "message", sessionKey: effect.to, message })),
          );
        }
    }
  }

  join(endsInMs?: number): SessionKey {
    const signer = createSessionSigner(new Uint8Array(32).fill(this.signers.length + 1));
    this.signers.push(signer);
    this.dispatch({
      type: "joined",
      sessionKey: signer.publicKey,
      hotkey: testHotkey(this.signers.length),
      linkAddress: { host: "h", port: 1 },
      memoryBytes: 1e9,
      restorable: [],
      ...(endsInMs !== undefined && { endsInMs }),
    });
    return signer.publicKey;
  }

  says(sessionKey: SessionKey, endsInMs: number | null): void {
    this.dispatch({ type: "message", sessionKey, message: { type: "ends", endsInMs } });
  }

  leave(key: SessionKey): void {
    this.dispatch({ type: "left", sessionKey: key, cause: "closed" });
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
        return [{ type: "ready", generation }];
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

async function trained(homes: Homes, steps: number): Promise<void> {
  homes.stopAt = steps;
  if (homes.state.phase !== "training") homes.tick(5_000);
  homes.goOn();
  for (let i = 0; i < 2_000 && homes.state.step < steps; i++) await Promise.resolve();
}

describe("a run whose stages may have two replicas", () => {
  it("gives whoever comes the stage with the fewest, and goes on without a holder that leaves", async () => {
    const homes = new Homes();
    const keys = Array.from({ length: 5 }, () => homes.join());
    await trained(homes, 3);
    expect(homes.state.step).toBe(3);
    const { generation } = homes.state;
    const counts = [0, 1, 2].map((stage) => keys.filter((key) => homes.stageOf(key) === stage).length);
    expect(counts.toSorted()).toEqual([1, 2, 2]);
    const sixth = homes.join();
    expect(homes.stageOf(sixth)).toBe(counts.indexOf(1));
    const holder = homes.state.stages[0]?.holder ?? sixth;
    homes.leave(holder);
    expect(homes.state).toMatchObject({ phase: "training", generation });
    expect(homes.state.stages[0]?.holder).not.toBe(holder);
    expect(homes.state.stages[0]?.holder).not.toBeNull();
    const replicas = homes.effects.filter((each) => each.type === "store" && each.row.kind === "replica");
    expect(replicas).toHaveLength(3);
  });

  it("is a plain pipeline while each stage has one computer, and begins anew, once, with the first one more", async () => {
    const homes = new Homes(8);
    for (let i = 0; i < 3; i++) homes.join();
    homes.tick(5_000);
    expect(homes.state).toMatchObject({ phase: "training", team: null });
    const { generation, recoveries } = homes.state;
    const fourth = homes.join();
    expect(homes.state).toMatchObject({ generation: generation + 1, recoveries });
    expect(homes.stageOf(fourth)).toBeDefined();
    const generations = homes.effects.flatMap((each) =>
      each.type === "store" && each.row.kind === "generation" ? [each.row.isShared === true] : [],
    );
    expect(generations).toEqual([false, true]);
    homes.join();
    await trained(homes, 2);
    expect(homes.state.step).toBe(2);
    homes.leave(fourth);
    homes.join();
    expect(homes.state.generation).toBe(generation + 1);
  });

  it("is formed anew when a stage has lost its last replica, from the step that all have", async () => {
    const homes = new Homes();
    for (let i = 0; i < 4; i++) homes.join();
    await trained(homes, 3);
    const { generation, stages } = homes.state;
    const alone = [0, 1, 2].find(
      (stage) => homes.signers.filter(({ publicKey }) => homes.stageOf(publicKey) === stage).length === 1,
    );
    homes.leave(stages[alone ?? 0]?.holder as SessionKey);
    expect(homes.state.generation).toBe(generation + 1);
    expect(runView(homes.state, [], 0).phase).not.toBe("finished");
    expect(nextWake(homes.state)).not.toBeNull();
  });

  it("moves a node from a rich stage to one that has lost its own, and nobody does anything twice", async () => {
    const homes = new Homes(4);
    const keys = Array.from({ length: 12 }, () => homes.join());
    await trained(homes, 3);
    const { generation, recoveries } = homes.state;
    const at = (stage: number): SessionKey[] =>
      keys.filter((key) => homes.state.nodes.has(key) && homes.stageOf(key) === stage);
    for (const key of at(1).slice(1)) homes.leave(key);
    expect([0, 1, 2].map((stage) => at(stage).length)).toEqual([4, 1, 4]);
    await trained(homes, 4);
    const counts = [0, 1, 2].map((stage) => at(stage).length);
    expect(counts[1]).toBe(2);
    expect(counts.toSorted()).toEqual([2, 3, 4]);
    await trained(homes, 5);
    expect(
      [0, 1, 2].map((stage) => at(stage).length),
      "one a minute",
    ).toEqual(counts);
    expect(homes.state.step).toBe(5);
    expect(homes.state).toMatchObject({ phase: "training", generation, lastTrouble: null });
    expect(homes.state.recoveries, "of those that left; a move is none").toBe(recoveries + 1);
    expect(homes.state.team?.run?.redone.byOthers).toBe(0);
    const phases = [...(homes.state.team?.run?.members.values() ?? [])].map(({ phase }) => phase);
    expect(new Set(phases)).toEqual(new Set(["live"]));
  });

  it("has somebody else on a stage before its only holder ends as it has said, and loses nothing with it", async () => {
    const homes = new Homes(4);
    const keys = Array.from({ length: 5 }, () => homes.join());
    await trained(homes, 3);
    const at = (stage: number): SessionKey[] => keys.filter((key) => homes.stageOf(key) === stage);
    const alone = [0, 1, 2].find((stage) => at(stage).length === 1) ?? 0;
    const [last] = at(alone);
    homes.says(last as SessionKey, 4 * 60_000);
    await trained(homes, 4);
    expect(at(alone), "somebody of a stage that has two").toHaveLength(2);
    await trained(homes, 5);
    const { recoveries, generation } = homes.state;
    expect(homes.state.team?.run?.leaving.size).toBe(0);
    homes.says(last as SessionKey, 9_000);
    expect(homes.state.team?.run?.leaving).toEqual(new Set([last]));
    const told = homes.effects.flatMap((each) =>
      each.type === "send" && each.message.type === "members" ? [{ to: each.to, ...each.message }] : [],
    );
    expect(told.findLast(({ to }) => to === last)?.leaving, "it knows that others go on").toBe(true);
    expect(told.findLast(({ to }) => to !== last)?.leaving).toBeUndefined();
    // It finishes the step that had begun, and has no part in the next one.
    await trained(homes, 7);
    const shares = homes.effects.flatMap((each) =>
      each.type === "store" && each.row.kind === "shares" && each.row.step === 6 ? each.row.stages : [],
    );
    expect(shares.flat().map(({ replica }) => replica)).not.toContain(last);
    homes.dispatch({ type: "left", sessionKey: last, cause: "drained" });
    await trained(homes, 8);
    expect(homes.state).toMatchObject({ step: 8, generation, recoveries });
    expect(homes.state.team?.run?.redone).toEqual({ byLostStages: 0, byOthers: 0 });
  });
});
