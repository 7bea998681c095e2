import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { allCells, firstOpen } from "./cells.ts";
import { applyToStep, cellOf, openStep, ownerAt } from "./step-book.ts";
import type { StepBook, StepEffect, StepEvent } from "./step-book.ts";

const M = 5;
const key = (stage: number, replica: number): SessionKey =>
  sessionKey.parse((stage * 256 + replica).toString(16).padStart(64, "0"));

/** Replicas that add micro-batches to real sums and tell the book late, twice, or never. */
class Toy {
  book: StepBook;
  readonly told: StepEffect[] = [];
  /** What each replica's sum really has. */
  readonly sums = new Map<SessionKey, number[]>();
  readonly #wire: StepEvent[] = [];
  readonly #dead = new Set<SessionKey>();
  /** On its way to a replica, or waiting there for the gradient. */
  readonly #work: { stage: number; microBatch: number; at: SessionKey }[] = [];
  #arrivals = 100;
  readonly #stages: number;

  constructor(stages: number, replicas: number) {
    this.#stages = stages;
    const keys = Array.from({ length: stages }, (_, stage) =>
      Array.from({ length: replicas }, (_each, replica) => key(stage, replica)),
    );
    this.book = openStep(7, M, keys);
  }

  feed(event: StepEvent): void {
    const { book, effects } = applyToStep(event, this.book);
    this.book = book;
    this.told.push(...effects);
    for (const effect of effects)
      if (effect.type === "leased")
        this.#work.push({ stage: 0, microBatch: effect.microBatch, at: effect.to });
  }

  /** A fault, drawn. */
  harm(kind: number, pick: number): void {
    const stage = pick % this.#stages;
    const replicas = [...(this.book.stages[stage]?.live ?? [])];
    const replica = replicas[pick % Math.max(1, replicas.length)];
    if (replica === undefined) return;
    switch (kind % 5) {
      case 0: {
        this.#dead.add(replica);
        this.feed({ type: "lost", replica, code: "link-lost" });
        // Somebody else comes in time, or a stage would be uncovered.
        this.feed({ type: "joined", stage, replica: key(stage, this.#arrivals++) });
        return;
      }
      case 1:
        // Cut off, declared lost, and back: it goes on as if nothing had been.
        this.feed({ type: "lost", replica, code: "silent" });
        this.feed({ type: "joined", stage, replica });
        this.feed({ type: "joined", stage, replica: key(stage, this.#arrivals++) });
        return;
      case 2: {
        const again = this.#wire[pick % Math.max(1, this.#wire.length)];
        if (again !== undefined) this.#wire.push(again);
        return;
      }
      case 3:
        // It says it has counted what is another's.
        if (ownerAt(this.book, stage, pick % M) === replica) return;
        this.feed({ type: "counted", step: 7, stage, microBatch: pick % M, by: replica });
        this.feed({ type: "joined", stage, replica: key(stage, this.#arrivals++) });
        return;
      case 4:
        this.feed({ type: "counted", step: 6, stage, microBatch: pick % M, by: replica });
        this.feed({ type: "joined", stage, replica: key(stage, this.#arrivals++) });
    }
  }

  /** One thing that may happen; false: nothing is left. */
  next(pick: number): boolean {
    const choices = [...this.#leases(), ...this.#routes(pick), ...this.#backwards(), ...this.#arrived()];
    choices[pick % Math.max(1, choices.length)]?.();
    return choices.length > 0;
  }

  #leases(): (() => void)[] {
    const head = this.book.stages[0];
    if (head === undefined || firstOpen(head.cells) === null) return [];
    return [...head.live].map((by) => () => this.feed({ type: "lease", by }));
  }

  /** Whoever owns a micro-batch sends it on, to an owner where there is none. */
  #routes(pick: number): (() => void)[] {
    return this.book.stages.slice(1).flatMap(({ cells, live }, before) =>
      allCells(cells).flatMap(({ owner }, microBatch) => {
        const by = ownerAt(this.book, before, microBatch);
        const to = [...live][pick % Math.max(1, live.size)];
        if (owner !== null || by === null || to === undefined) return [];
        return [
          () => {
            this.feed({ type: "routed", stage: before + 1, microBatch, by, to });
            this.#work.push({ stage: before + 1, microBatch, at: to });
          },
        ];
      }),
    );
  }

  /** Adds where the gradient is there: of the tail at once, else when the stage behind has counted. */
  #backwards(): (() => void)[] {
    return this.#work.flatMap((work) => {
      const { stage, microBatch, at } = work;
      const isLast = stage === this.#stages - 1;
      const hasGradient = isLast || cellOf(this.book, stage + 1, microBatch)?.isCounted === true;
      if (!hasGradient || this.#dead.has(at)) return [];
      return [
        () => {
          this.#work.splice(this.#work.indexOf(work), 1);
          this.sums.set(at, [...(this.sums.get(at) ?? []), microBatch]);
          this.#wire.push({ type: "counted", step: 7, stage, microBatch, by: at });
        },
      ];
    });
  }

  #arrived(): (() => void)[] {
    return this.#wire.map((event) => () => {
      this.#wire.splice(this.#wire.indexOf(event), 1);
      this.feed(event);
    });
  }
}

describe("a step over many replicas", () => {
  it("is committed only with every micro-batch once in the real sums of every stage, whatever dies, lies, comes late or twice", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.tuple(fc.nat(60), fc.nat(4), fc.nat(1000)), { maxLength: 8 }),
        fc.infiniteStream(fc.nat(10_000)),
        (stages, replicas, faults, order) => {
          const toy = new Toy(stages, replicas);
          let turns = 0;
          while (toy.next(order.next().value ?? 0) && turns < 5000) {
            if (toy.book.isCommitted) break;
            for (const [at, kind, pick] of faults) if (at === turns) toy.harm(kind, pick);
            turns++;
          }
          expect(toy.book.isCommitted).toBe(true);
          const commit = toy.told.findLast((effect) => effect.type === "commit");
          expect(commit?.sums).toHaveLength(stages);
          for (const [stage, sums] of (commit?.sums ?? []).entries()) {
            const counted: number[] = [];
            for (const [replica, microBatches] of sums) {
              expect(toy.book.fenced.has(replica)).toBe(false);
              expect(toy.sums.get(replica)?.toSorted()).toEqual(microBatches);
              counted.push(...microBatches);
            }
            expect(counted.toSorted()).toEqual([0, 1, 2, 3, 4]);
            // Nobody whose work counts has done anything twice: what was redone is what fenced ones had done.
            const others = [...toy.sums].filter(
              ([each]) => !toy.book.fenced.has(each) && Number.parseInt(each, 16) >> 8 === stage,
            );
            expect(others.flatMap(([, sum]) => sum)).toHaveLength(M);
          }
        },
      ),
      { numRuns: 300, seed: 8 },
    );
  });

  const run = (
    events: readonly StepEvent[],
    replicas = [
      [key(0, 1), key(0, 2)],
      [key(1, 1), key(1, 2), key(1, 3)],
    ],
    microBatches = 1,
  ) => {
    let book = openStep(7, microBatches, replicas);
    const told: StepEffect[] = [];
    for (const event of events) {
      const outcome = applyToStep(event, book);
      book = outcome.book;
      told.push(...outcome.effects);
    }
    return { book, told };
  };
  const [head, tail] = [key(0, 1), key(1, 1)];
  const leased: StepEvent = { type: "lease", by: head };
  const routed: StepEvent = { type: "routed", stage: 1, microBatch: 0, by: head, to: tail };
  const counted = (stage: number, by: SessionKey, step = 7): StepEvent => ({
    type: "counted",
    step,
    stage,
    microBatch: 0,
    by,
  });
  const whole = [leased, routed, counted(1, tail), counted(0, head)];
  const summed = (by: SessionKey, stage = 1): StepEvent => ({ type: "summed", stage, by });
  const heads = [summed(head, 0), summed(key(0, 2), 0)];
  const taken = [...whole, ...heads, ...[1, 2, 3].map((replica) => summed(key(1, replica)))];
  const result = (by: SessionKey, digest: string): StepEvent => ({ type: "result", stage: 1, by, digest });

  it("asks the neighbours for what they kept when a replica is lost, and nobody else for work", () => {
    const three = [[head], [key(1, 1), key(1, 2)], [key(2, 1)]];
    const through: StepEvent = { type: "routed", stage: 2, microBatch: 0, by: tail, to: key(2, 1) };
    const lost: StepEvent = { type: "lost", replica: tail, code: "link-lost" };
    const { told, book } = run([leased, routed, through, counted(2, key(2, 1)), lost], three);
    expect(told.slice(-2)).toEqual([
      { type: "fenced", replica: tail, code: "link-lost" },
      { type: "redo", stage: 1, microBatch: 0, input: head },
    ]);
    expect(cellOf(book, 2, 0)).toMatchObject({ owner: key(2, 1), isCounted: true });
  });

  it("gives the lease of a head that is lost to another one", () => {
    const lost = { type: "lost", replica: head, code: "too-late" } as const;
    const { told } = run([leased, lost, { type: "lease", by: key(0, 2) }]);
    expect(told.at(-1)).toEqual({ type: "leased", to: key(0, 2), microBatch: 0, isAgain: false });
  });

  it("says of what a lost one had counted that nobody waits for it, and leases what somebody waits for before", () => {
    const done = [leased, routed, counted(1, tail), counted(0, head)];
    const lost = (replica: SessionKey): StepEvent => ({ type: "lost", replica, code: "closed" });
    const behind = run([...done, lost(tail), { ...routed, to: key(1, 2) }]);
    expect(behind.told.at(-1)).toMatchObject({ type: "given", to: key(1, 2), isAgain: true });
    const leases = Array.from({ length: M }, (): StepEvent => ({ type: "lease", by: key(0, 2) }));
    const { told } = run([...done, lost(head), ...leases], undefined, M);
    const given = told.flatMap((each) => (each.type === "leased" && each.to === key(0, 2) ? [each] : []));
    expect(given.map(({ microBatch }) => microBatch)).toEqual([1, 2, 3, 4, 0]);
    expect(given.map(({ isAgain }) => isAgain)).toEqual([false, false, false, false, true]);
  });

  it.each([
    ["not-its-micro-batch", [leased, { ...routed, by: key(0, 2) }], key(0, 2)],
    ["not-its-micro-batch", [leased, routed, counted(1, key(1, 2))], key(1, 2)],
    ["sent-to-two", [leased, routed, { ...routed, to: key(1, 2) }], head],
    ["other-step", [leased, routed, counted(1, tail, 6)], tail],
    ["not-its-micro-batch", [leased, counted(1, key(1, 2)), routed], key(1, 2)],
    ["sum-before-commit", [leased, routed, summed(tail)], tail],
    ["result-before-sums", [...whole, result(tail, "a")], tail],
    ["two-results", [...taken, result(tail, "a"), result(tail, "b")], tail],
  ] as [string, StepEvent[], SessionKey][])(
    "names and fences who breaks a rule: %s",
    (code, events, replica) => {
      expect(run(events).told).toContainEqual({ type: "fenced", replica, code });
    },
  );

  it("gives a micro-batch to whom its owner has sent it, and says who has it behind that one", () => {
    const three = [[head, key(0, 2)], [tail, key(1, 2)], [key(2, 1)]];
    const through: StepEvent = { type: "routed", stage: 2, microBatch: 0, by: tail, to: key(2, 1) };
    const lost: StepEvent = { type: "lost", replica: tail, code: "closed" };
    const given = { type: "given", microBatch: 0, isAgain: false } as const;
    const { told } = run([leased, routed, through, lost, { ...routed, to: key(1, 2) }], three);
    expect(told.filter(({ type }) => type === "given")).toEqual([
      { ...given, to: tail, from: head, heldBy: null },
      { ...given, to: key(2, 1), from: tail, heldBy: null },
      { ...given, to: key(1, 2), from: head, heldBy: key(2, 1) },
    ]);
  });

  it("gives it again, as another one's, when who had sent it was lost", () => {
    const lost: StepEvent = { type: "lost", replica: head, code: "closed" };
    const again: StepEvent[] = [
      { type: "lease", by: key(0, 2) },
      { ...routed, by: key(0, 2) },
    ];
    const { told, book } = run([leased, routed, counted(1, tail), lost, ...again]);
    const given = { type: "given", to: tail, microBatch: 0, from: key(0, 2), heldBy: null, isAgain: false };
    expect(told.at(-1)).toEqual(given);
    expect(cellOf(book, 1, 0)).toEqual({ owner: tail, isCounted: true, isAgain: false });
  });

  it("takes the optimiser step when everybody on every stage has all sums", () => {
    expect(run(taken.slice(0, -1)).told.at(-1)?.type).toBe("commit");
    expect(run(taken).told.at(-1)).toEqual({ type: "take" });
    const others = run([...taken.slice(0, -1), { type: "lost", replica: key(1, 3), code: "silent" }]);
    expect(others.told.at(-1)).toEqual({ type: "take" });
  });

  it("is open again when a sum is lost before anybody took the optimiser step, and stays committed after", () => {
    const lost: StepEvent = { type: "lost", replica: tail, code: "link-lost" };
    const before = run([...whole, lost]);
    expect(before.book.isCommitted).toBe(false);
    expect(before.told).toContainEqual({ type: "reopened", stage: 1 });
    const between = run([...whole, ...heads, summed(tail), summed(key(1, 2)), lost]);
    expect(between.book.isCommitted).toBe(false);
    const after = run([...taken, lost]);
    expect(after.book.isCommitted).toBe(true);
    expect(after.told.filter(({ type }) => type === "redo")).toEqual([]);
  });

  it("closes a stage by the digest of more than half, and the others reload", () => {
    const told = (...digests: string[]): StepEffect[] =>
      run([...taken, ...digests.map((digest, i) => result(key(1, i + 1), digest))]).told.slice(4);
    expect(told("a", "a", "b")).toEqual([
      { type: "reload", stage: 1, replica: key(1, 3), from: key(1, 1) },
      { type: "closed", stage: 1, digest: "a" },
    ]);
    expect(told("a", "b", "c")).toEqual([{ type: "disagreed", stage: 1 }]);
    expect(told("a", "a")).toEqual([]);
  });
});
