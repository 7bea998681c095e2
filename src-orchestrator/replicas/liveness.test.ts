import { describe, expect, it } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { answeredBy, askedFor, stoodStill } from "./liveness.ts";
import { allCells, openCells } from "../routing/cells.ts";
import { applyToReplicas, nextReplicaWake, replicaRun } from "./replica-machine.ts";
import type { ReplicaEffect, ReplicaEvent, ReplicaMessage, ReplicaRun } from "./replica-run.ts";

const MICRO_BATCHES = 8;
const GENERATION = 1;
const key = (name: string): SessionKey => sessionKey.parse(Buffer.from(name.padEnd(32)).toString("hex"));
const [HEAD, OTHER_HEAD, TAIL, OTHER_TAIL] = ["head", "other head", "tail", "other tail"].map(key) as [
  SessionKey,
  SessionKey,
  SessionKey,
  SessionKey,
];

interface Home {
  /** Of a pass. */
  workMs: number;
  /** Of an answer. */
  answerMs: number;
  isStopped: boolean;
}

/**
 * Two stages of two replicas each as data, on a clock that the test sets on. Each works on one thing after
 * another; nobody routes by anything but turns.
 */
class Homes {
  run: ReplicaRun;
  now = 0;
  readonly fenced: { readonly key: SessionKey; readonly code: string; readonly at: number }[] = [];
  readonly counts = new Map<SessionKey, number>();
  onCounted: (by: SessionKey) => void = () => undefined;
  readonly homes = new Map<SessionKey, Home>(
    [HEAD, OTHER_HEAD, TAIL, OTHER_TAIL].map((each) => [
      each,
      { workMs: 100, answerMs: 5, isStopped: false },
    ]),
  );
  #events: { readonly at: number; readonly does: () => void }[] = [];
  /** When each has done what it has. */
  readonly #free = new Map<SessionKey, number>();
  #turn = 0;

  constructor(tails: readonly SessionKey[] = [TAIL, OTHER_TAIL], microBatches = MICRO_BATCHES) {
    this.run = replicaRun({
      run: {
        microBatches,
        evaluationMicroBatches: 1,
        evaluateEverySteps: 10 ** 9,
        steps: null,
      },
      signs: { network: "homes", runId: "run", generation: GENERATION },
      step: 3,
      live: [[HEAD, OTHER_HEAD], tails],
      agreed: [null, null],
      evaluatedStep: 3,
      now: 0,
    });
  }

  home(of: SessionKey): Home {
    return this.homes.get(of) as Home;
  }

  begin(): void {
    this.#tell({ type: "begin" });
    for (const head of [HEAD, OTHER_HEAD]) for (let i = 0; i < 2; i++) this.#ask(head);
  }

  /** Until then, whatever is due in its order. */
  to(until: number): void {
    for (;;) {
      const [next] = this.#events.toSorted((a, b) => a.at - b.at);
      const wake = nextReplicaWake(this.run) ?? Infinity;
      const at = Math.min(next?.at ?? Infinity, Math.max(wake, this.now + 1));
      if (at > until) break;
      this.now = Math.max(this.now, at);
      if (next !== undefined && next.at <= at) {
        this.#events = this.#events.filter((each) => each !== next);
        next.does();
      } else this.#tell({ type: "tick" });
    }
    this.now = until;
  }

  stop(of: SessionKey): void {
    this.home(of).isStopped = true;
  }

  /** What came meanwhile is answered now. */
  goOn(of: SessionKey): void {
    this.home(of).isStopped = false;
    this.#tell({ type: "alive", key: of });
  }

  #after(ms: number, of: SessionKey, does: () => void): void {
    this.#events.push({ at: this.now + ms, does: () => this.home(of).isStopped || does() });
  }

  #ask(head: SessionKey): void {
    this.#after(0, head, () => this.#say(head, { type: "ask", generation: GENERATION }));
  }

  #say(by: SessionKey, message: ReplicaMessage): void {
    if (message.type === "counted") this.onCounted(by);
    if (message.type === "counted") this.counts.set(by, (this.counts.get(by) ?? 0) + 1);
    this.#tell({ type: "message", key: by, message });
  }

  #tell(event: ReplicaEvent extends infer E ? (E extends unknown ? Omit<E, "now"> : never) : never): void {
    const { run, effects } = applyToReplicas({ ...event, now: this.now } as ReplicaEvent, this.run);
    this.run = run;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: ReplicaEffect): void {
    if (effect.type === "ask") {
      const { to } = effect;
      this.#after(this.home(to).answerMs, to, () => this.#tell({ type: "alive", key: to }));
    } else if (effect.type === "fenced")
      this.fenced.push({ key: effect.key, code: effect.code, at: this.now });
    else if (effect.type === "send" && effect.message.type === "lease")
      this.#pass(effect.to, effect.message.microBatch);
  }

  /** One pass after another on each: the head's, the tail's, the head's again. */
  #pass(head: SessionKey, microBatch: number): void {
    const { step } = this.run;
    const of = { generation: GENERATION, step, microBatch };
    this.#works(head, () => {
      const tails = [...(this.run.book.stages[1]?.live ?? [])];
      const to = tails[this.#turn++ % tails.length];
      if (to === undefined) return;
      this.#say(head, { type: "routed", ...of, to });
      this.#works(to, () => {
        this.#say(to, { type: "counted", ...of, loss: 1 });
        this.#works(head, () => {
          this.#say(head, { type: "counted", ...of, loss: null });
          this.#ask(head);
        });
      });
    });
  }

  #works(by: SessionKey, does: () => void): void {
    const at = Math.max(this.now, this.#free.get(by) ?? 0) + this.home(by).workMs;
    this.#free.set(by, at);
    this.#after(at - this.now, by, does);
  }
}

describe("a replica of which others wait for something", () => {
  it("is put aside as silent within two seconds of being stopped, and its part is open for others", () => {
    const homes = new Homes();
    homes.begin();
    homes.to(250);
    homes.stop(TAIL);
    homes.to(2_000);
    expect(homes.fenced.map(({ key: of, code }) => [of, code])).toEqual([[TAIL, "silent"]]);
    expect(homes.fenced[0]?.at).toBeLessThan(250 + 2_000);
    expect(
      allCells(homes.run.book.stages[1]?.cells ?? openCells(0)).some(({ owner }) => owner === TAIL),
    ).toBe(false);
  });

  it("is not given the state again before it has given a sign of life, and then after a pause", () => {
    const homes = new Homes();
    homes.begin();
    homes.to(250);
    homes.stop(TAIL);
    homes.to(30_000);
    expect(homes.run.silent).toEqual(new Set([TAIL]));
    expect(homes.run.members.get(TAIL)?.phase).toBe("warm");
    homes.goOn(TAIL);
    expect(homes.run.silent.size).toBe(0);
    expect(homes.run.members.get(TAIL)?.notBefore).toBe(homes.now + 500);
  });

  it("is never silent for being slow at its work: it answers, and goes on with its share", () => {
    const homes = new Homes();
    homes.home(TAIL).workMs = 500;
    homes.begin();
    homes.to(20_000);
    expect(homes.fenced).toEqual([]);
    expect(homes.run.book.isCommitted).toBe(true);
    expect(homes.counts.get(TAIL)).toBeGreaterThan(0);
  });

  it("is not put aside on a machine under load, where its answers take as long as they took before", () => {
    const homes = new Homes();
    for (const home of homes.homes.values()) Object.assign(home, { workMs: 1_900, answerMs: 900 });
    homes.begin();
    homes.to(1_500);
    for (const home of homes.homes.values()) home.answerMs = 3_000;
    homes.to(60_000);
    expect(homes.fenced).toEqual([]);
    expect(homes.run.book.isCommitted).toBe(true);
  });

  it("is given half as long again after an answer that came too late, not as long as it was stopped", () => {
    const homes = new Homes();
    homes.begin();
    homes.to(250);
    homes.stop(TAIL);
    homes.to(2_000);
    homes.goOn(TAIL);
    expect(homes.run.lives.get(TAIL)?.grace).toBe(1.5);
  });

  it.each([["before"], ["after"]])(
    "is given no longer when it says that it stood still, %s its answer is here",
    (when) => {
      const homes = new Homes();
      homes.begin();
      homes.to(250);
      homes.run = askedFor(homes.run, OTHER_TAIL, 400);
      if (when === "before") homes.run = stoodStill(homes.run, OTHER_TAIL);
      homes.run = answeredBy(homes.run, OTHER_TAIL, 4_400);
      if (when === "after") homes.run = stoodStill(homes.run, OTHER_TAIL);
      expect(homes.run.lives.get(OTHER_TAIL)?.grace).toBe(1);
      // One that comes late of itself is given longer as ever.
      homes.run = answeredBy(askedFor(homes.run, OTHER_TAIL, 5_000), OTHER_TAIL, 9_000);
      expect(homes.run.lives.get(OTHER_TAIL)?.grace).toBe(1.5);
    },
  );

  it("that was stopped once is soon found as fast as before, when its answers come in time again", () => {
    const homes = new Homes();
    homes.begin();
    homes.to(250);
    homes.run = answeredBy(askedFor(homes.run, OTHER_TAIL, 400), OTHER_TAIL, 4_400);
    const graces = [1, 2, 3, 4].map((at) => {
      homes.run = answeredBy(askedFor(homes.run, OTHER_TAIL, 5_000 * at), OTHER_TAIL, 5_000 * at + 5);
      return homes.run.lives.get(OTHER_TAIL)?.grace ?? Number.NaN;
    });
    expect(graces).toEqual(graces.toSorted((a, b) => b - a));
    expect(graces.at(-1)).toBeLessThan(1.15);
  });

  it("is found as soon when it is stopped at the end of a step, where its answers were measured before", () => {
    const homes = new Homes();
    homes.begin();
    while (!homes.run.book.isCommitted) homes.to(homes.now + 10);
    homes.to(homes.now + 50);
    const at = homes.now;
    homes.stop(TAIL);
    homes.to(at + 2_000);
    expect(homes.fenced.map(({ key: of, code }) => [of, code])).toEqual([[TAIL, "silent"]]);
  });

  it("is given longer when others who were asked at the same time are silent, too: that may be what they share", () => {
    const homes = new Homes();
    homes.begin();
    homes.to(250);
    homes.stop(TAIL);
    homes.stop(OTHER_TAIL);
    homes.to(250 + 300 + 800 + 200);
    expect(homes.fenced).toEqual([]);
    homes.to(4_000);
    expect(homes.fenced.map(({ code }) => code)).toContain("silent");
  });

  it("is asked again instead when whoever waits for it stood still itself", () => {
    const homes = new Homes();
    homes.begin();
    homes.to(250);
    // Nothing is read and no timer runs for a minute: a closed lid.
    homes.now = 60_000;
    homes.to(60_600);
    expect(homes.fenced).toEqual([]);
  });

  it("keeps its stage while nobody else has the state", () => {
    const homes = new Homes([TAIL]);
    homes.begin();
    homes.to(250);
    homes.stop(TAIL);
    homes.to(4_500);
    expect(homes.fenced).toEqual([]);
  });

  it("that gets slower and slower with each pass is late at none of them, and when it is stuck it is", () => {
    const homes = new Homes([TAIL, OTHER_TAIL], 400);
    const tail = homes.home(TAIL);
    homes.onCounted = (by) => {
      if (by === TAIL) tail.workMs = Math.min(2_000, tail.workMs * 1.15);
    };
    homes.begin();
    while (tail.workMs < 1_500) homes.to(homes.now + 1_000);
    expect(homes.fenced).toEqual([]);
    homes.onCounted = () => undefined;
    tail.workMs = 10 ** 6;
    homes.to(homes.now + 60_000);
    expect(homes.fenced.map(({ key: of, code }) => [of, code])).toContainEqual([TAIL, "too-late"]);
  });

  it("loses the lease that it does nothing with, and another head does it", () => {
    const homes = new Homes();
    homes.begin();
    homes.home(HEAD).workMs = 10 ** 6;
    homes.to(30_000);
    expect(homes.fenced.map(({ key: of, code }) => [of, code])).toContainEqual([HEAD, "too-late"]);
    const owners = allCells(homes.run.book.stages[0]?.cells ?? openCells(0)).map(({ owner }) => owner);
    expect(owners).not.toContain(HEAD);
  });

  it("is late by its own pace when it answers and does nothing", () => {
    const homes = new Homes();
    homes.begin();
    homes.home(OTHER_TAIL).workMs = 10 ** 6;
    homes.to(30_000);
    expect(homes.fenced.map(({ key: of, code }) => [of, code])).toContainEqual([OTHER_TAIL, "too-late"]);
  });
});
