import { describe, expect, it } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { handOverMs } from "./leaving.ts";
import { applyToReplicas, nextReplicaWake, replicaRun } from "./replica-machine.ts";
import type { ReplicaEffect, ReplicaEvent, ReplicaRun } from "./replica-run.ts";

const key = (name: string): SessionKey => sessionKey.parse(Buffer.from(name.padEnd(32)).toString("hex"));
const [HEAD, OTHER, TAIL] = ["head", "other head", "tail"].map(key) as [SessionKey, SessionKey, SessionKey];
const MINUTE = 60_000;

function started(): ReplicaRun {
  const run = replicaRun({
    run: { microBatches: 2, evaluationMicroBatches: 1, evaluateEverySteps: 10 ** 9, steps: null },
    signs: { network: "homes", runId: "run", generation: 1 },
    step: 3,
    live: [[HEAD, OTHER], [TAIL]],
    agreed: [null, null],
    evaluatedStep: 3,
    now: 0,
  });
  return run;
}

function told(
  run: ReplicaRun,
  now: number,
  event: ReplicaEvent extends infer E ? (E extends unknown ? Omit<E, "now"> : never) : never,
): { readonly run: ReplicaRun; readonly effects: readonly ReplicaEffect[] } {
  return applyToReplicas({ ...event, now } as ReplicaEvent, run);
}

const ends = (run: ReplicaRun, of: SessionKey, at: number | null, now = 0): ReplicaRun =>
  told(run, now, { type: "ends", key: of, at }).run;
const asks = (run: ReplicaRun, by: SessionKey, now: number): readonly ReplicaEffect[] =>
  told(run, now, { type: "message", key: by, message: { type: "ask", generation: 1 } }).effects;
const leases = (effects: readonly ReplicaEffect[]): number =>
  effects.filter((each) => each.type === "send" && each.message.type === "lease").length;

describe("a replica whose owner has said when it ends", () => {
  it("gets leases until shortly before, and then none, while another one of its stage does", () => {
    const run = ends(started(), HEAD, 5 * MINUTE);
    expect(leases(asks(run, HEAD, MINUTE))).toBe(1);
    const soon = 5 * MINUTE - handOverMs(run);
    expect(nextReplicaWake({ ...run, lives: new Map(), evaluation: null })).toBe(soon);
    const late = told(run, soon, { type: "tick" });
    expect(late.effects).toContainEqual({ type: "members" });
    expect(late.run.leaving).toEqual(new Set([HEAD]));
    expect(leases(asks(late.run, HEAD, soon))).toBe(0);
    expect(leases(asks(late.run, OTHER, soon))).toBe(1);
  });

  it("works to its end where nobody else has the stage, or those others end as soon", () => {
    const alone = ends(started(), TAIL, 5 * MINUTE);
    expect(told(alone, 5 * MINUTE - 1, { type: "tick" }).run.leaving.size).toBe(0);
    const both = ends(ends(started(), HEAD, 5 * MINUTE), OTHER, 5 * MINUTE + 5_000);
    expect(told(both, 5 * MINUTE - 1, { type: "tick" }).run.leaving.size).toBe(0);
  });

  it("goes on when its end is put off", () => {
    const late = told(ends(started(), HEAD, MINUTE), MINUTE - 1, { type: "tick" }).run;
    expect(leases(asks(late, HEAD, MINUTE))).toBe(0);
    const later = ends(late, HEAD, null, MINUTE);
    expect(later.leaving.size).toBe(0);
    expect(leases(asks(later, HEAD, MINUTE))).toBe(1);
  });

  it("is given longer for the handover the longer the run's steps are, and never more than ten minutes", () => {
    const usual = { hop: null, phase: null };
    expect(handOverMs({ usual: { ...usual, step: null } })).toBe(10_000);
    expect(handOverMs({ usual: { ...usual, step: MINUTE } })).toBe(2 * MINUTE);
    expect(handOverMs({ usual: { ...usual, step: 60 * MINUTE } })).toBe(10 * MINUTE);
  });
});
