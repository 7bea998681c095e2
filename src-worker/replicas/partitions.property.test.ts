import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  applyToReplicas,
  nextReplicaWake,
  replicaRun,
} from "../../src-orchestrator/replicas/replica-machine.ts";
import type {
  ReplicaEffect,
  ReplicaEvent,
  ReplicaMessage,
  ReplicaRun,
} from "../../src-orchestrator/replicas/replica-run.ts";
import type { OrchestratorMessage } from "../../src-protocol/control.ts";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { Tensor } from "../stage/tensor-message.ts";
import { MicroBatches } from "./micro-batches.ts";
import { NextReplicas } from "./next-replicas.ts";

/**
 * One step of a network on a virtual clock: the orchestrator's machine and every node's own routing and
 * bookkeeping are the product's; passes take time and nothing is computed. Messages keep their order on each
 * connection and none among connections.
 */

const GENERATION = 1;
const STEP = 7;
const MICRO_BATCHES = 6;
const WITHIN_MS = 120_000;
const VALUES = new Float32Array(1);

/** What may befall a node without any fault of its own. */
const HARMS = ["kill", "stop", "partition", "slow control", "come again"] as const;
interface Harm {
  readonly at: number;
  readonly what: (typeof HARMS)[number];
  readonly whom: number;
  readonly ms: number;
}

interface Node {
  readonly key: SessionKey;
  readonly stage: number;
  readonly batches: MicroBatches;
  readonly next: NextReplicas;
  /** Whose gradient is in its sum: what its commit has to say. */
  readonly counted: number[];
  peers: { previous: SessionKey[]; next: SessionKey[]; live: Set<SessionKey> };
  isBusy: boolean;
  isDead: boolean;
  isLive: boolean;
  stoppedUntil: number;
  controlMs: number;
}

class World {
  run: ReplicaRun;
  now = 0;
  readonly nodes = new Map<SessionKey, Node>();
  readonly fenced: string[] = [];
  commits: ReadonlyMap<SessionKey, Extract<OrchestratorMessage, { type: "commit" }>> = new Map();
  hasEnded = false;
  readonly #summed = new Map<SessionKey, number>();
  readonly #draw: () => number;
  readonly #cut = new Map<string, number>();
  /** When the last message on a connection arrives: none overtakes another. */
  readonly #lastOn = new Map<string, number>();
  #events: { readonly at: number; readonly order: number; readonly does: () => void }[] = [];
  #order = 0;

  constructor(stages: number, replicas: number, draw: () => number) {
    this.#draw = draw;
    const live = Array.from({ length: stages }, (_, stage) =>
      Array.from({ length: replicas }, (__, at) => sessionKey.parse(`${stage}${at}`.padStart(64, "a"))),
    );
    this.run = replicaRun({
      run: {
        microBatches: MICRO_BATCHES,
        evaluationMicroBatches: 1,
        evaluateEverySteps: 10 ** 9,
        steps: null,
      },
      signs: { network: "world", runId: "run", generation: GENERATION },
      step: STEP,
      live,
      agreed: live.map(() => null),
      evaluatedStep: STEP,
      now: 0,
    });
    for (const [stage, keys] of live.entries())
      for (const key of keys) this.nodes.set(key, this.#node(key, stage, stages));
  }

  /** Everybody has heard what is added up, and all that they had said before is heard. */
  get isSummed(): boolean {
    const { book, isHeld, round } = this.run;
    if (!book.isCommitted || isHeld) return false;
    return book.stages.every(({ live }) => [...live].every((key) => this.#summed.get(key) === round));
  }

  begin(harms: readonly Harm[]): void {
    this.#tell({ type: "begin" });
    for (const harm of harms) this.#at(harm.at, () => this.#harm(harm));
  }

  /** Until the step is committed, or can not be; or the time is over. */
  live(): void {
    while (!this.isSummed && !this.hasEnded && this.now < WITHIN_MS) {
      this.#events.sort((a, b) => a.at - b.at || a.order - b.order);
      const [next] = this.#events;
      const wake = Math.max(nextReplicaWake(this.run) ?? Infinity, this.now + 1);
      if (wake === Infinity && next === undefined) return;
      if (next !== undefined && next.at <= wake) {
        this.#events.shift();
        this.now = Math.max(this.now, next.at);
        next.does();
      } else {
        this.now = wake;
        this.#tell({ type: "tick" });
      }
    }
  }

  #harm({ what, whom, ms }: Harm): void {
    const all = [...this.nodes.values()];
    const node = all[whom % all.length];
    if (node === undefined || node.isDead) return;
    const others = all.filter(
      ({ key, stage, isDead, isLive }) => stage === node.stage && key !== node.key && !isDead && isLive,
    );
    switch (what) {
      case "kill":
        if (others.length === 0) return;
        node.isDead = true;
        for (const other of all) this.#unlink(node, other);
        return void this.#at(this.now + ms / 20, () =>
          this.#tell({ type: "gone", key: node.key, code: "closed" }),
        );
      case "stop":
        node.stoppedUntil = this.now + ms;
        return;
      case "partition": {
        const near = all.filter(({ stage }) => Math.abs(stage - node.stage) === 1);
        const other = near[ms % Math.max(1, near.length)];
        if (other === undefined) return;
        const until = this.now + ms / 4;
        this.#unlink(node, other);
        this.#cut.set(pair(node.key, other.key), until);
        return void this.#at(until, () => this.#link(node, other));
      }
      case "slow control":
        node.controlMs = ms / 4;
        return;
      case "come again":
        // The same link, made anew: whatever may not have come is sent twice.
        for (const other of all)
          if (Math.abs(other.stage - node.stage) === 1) {
            this.#unlink(node, other);
            this.#link(node, other);
          }
    }
  }

  #unlink(a: Node, b: Node): void {
    a.next.failed(b.key);
    b.next.failed(a.key);
  }

  #link(a: Node, b: Node): void {
    if (a.isDead || b.isDead || this.#isCut(a.key, b.key)) return;
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const)
      this.#whenAwake(one, () => {
        one.next.restored(other.key);
        one.batches.linked(other.key);
        one.batches.routeWaiting();
        this.#pump(one);
      });
  }

  #isCut(a: SessionKey, b: SessionKey): boolean {
    return this.now < (this.#cut.get(pair(a, b)) ?? 0);
  }

  #node(key: SessionKey, stage: number, stages: number): Node {
    const next = new NextReplicas(
      () => this.now,
      () => this.#draw(),
    );
    const digest = `${stage}`;
    const peer = (to: SessionKey, does: (other: Node) => void): void => this.#toPeer(node, to, does);
    const batches = new MicroBatches({
      lastFrom: () => MICRO_BATCHES - 1,
      isTail: stage === stages - 1,
      choose: (isHeap) =>
        next.choose((to) => !this.#isCut(key, to) && this.nodes.get(to)?.isDead === false, isHeap ? 2 : 1),
      sendForward: (microBatch, to) => {
        next.sent(to);
        peer(to, (other) => other.batches.arrived(key, microBatch, tensor(digest), "f32"));
        return digest;
      },
      digestOf: () => digest,
      sendBackward: (microBatch, to) => {
        peer(to, (other) => other.batches.returned(key, microBatch, tensor(digest), "f32"));
        return digest;
      },
      routed: (microBatch, to) => this.#say(node, { type: "routed", ...of(microBatch), to }),
      sendWant: (microBatch, to) => peer(to, (other) => other.batches.wanted(key, microBatch)),
      sendLack: (microBatch, to) => peer(to, (other) => other.batches.lacked(key, microBatch)),
      answered: (by) => next.answered(by),
      counted: (microBatch, loss) => {
        node.counted.push(microBatch);
        this.#say(node, { type: "counted", ...of(microBatch), loss });
      },
      accuse: (replica, microBatch, code, message) =>
        this.#say(node, {
          type: "accuse",
          generation: GENERATION,
          step: STEP,
          replica,
          microBatch,
          code,
          message,
        }),
    });
    const node: Node = {
      key,
      stage,
      batches,
      next,
      counted: [],
      peers: { previous: [], next: [], live: new Set() },
      isBusy: false,
      isDead: false,
      isLive: true,
      stoppedUntil: 0,
      controlMs: 2,
    };
    return node;
  }

  #toPeer(from: Node, to: SessionKey, does: (other: Node) => void): void {
    const other = this.nodes.get(to);
    if (other === undefined || this.#isCut(from.key, to)) return;
    this.#later(`${from.key}>${to}`, 1 + this.#draw() * 30, () =>
      this.#whenAwake(other, () => {
        // Lost with the link, and what is lost is sent again when there is another one.
        if (this.#isCut(from.key, to) || !other.isLive) return;
        does(other);
        this.#pump(other);
      }),
    );
  }

  #say(node: Node, message: ReplicaMessage): void {
    this.#later(`${node.key}>`, node.controlMs * this.#draw(), () =>
      this.#tell({ type: "message", key: node.key, message }),
    );
  }

  #tell(event: ReplicaEvent extends infer E ? (E extends unknown ? Omit<E, "now"> : never) : never): void {
    const { run, effects } = applyToReplicas({ ...event, now: this.now } as ReplicaEvent, this.run);
    this.run = run;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: ReplicaEffect): void {
    switch (effect.type) {
      case "send":
        return this.#instruct(effect.to, effect.message);
      case "ask":
        return this.#toNode(effect.to, (node) =>
          this.#later(`${node.key}>`, node.controlMs * this.#draw(), () =>
            this.#tell({ type: "alive", key: node.key }),
          ),
        );
      case "fenced":
        return void this.fenced.push(effect.code);
      case "ended":
        this.hasEnded = true;
        return;
      case "members":
        for (const [key, { stage }] of this.run.members) {
          const live = (at: number): SessionKey[] =>
            [...this.run.members].flatMap(([each, member]) =>
              member.stage === at && member.phase === "live" ? [each] : [],
            );
          const [after] = [live(stage + 1)];
          this.#toNode(key, (node) => {
            node.peers = { ...node.peers, next: after ?? [] };
            node.next.admit(node.peers.next);
            node.batches.routeWaiting();
            this.#pump(node);
          });
        }
    }
  }

  #instruct(to: SessionKey, message: OrchestratorMessage): void {
    if (message.type === "commit") this.commits = new Map([...this.commits, [to, message]]);
    this.#toNode(to, (node) => {
      if (!node.isLive) return;
      if (message.type === "lease")
        node.batches.leased(message.microBatch, message.heldBy, message.isAgain ?? false);
      if (message.type === "yours")
        node.batches.given(message.microBatch, message.from, message.heldBy, message.isAgain ?? false);
      // Nobody has sent anything that the book did not give.
      if (message.type === "commit") node.batches.committed();
      if (message.type === "fenced") this.#fenced(node, message);
      if (message.type === "commit")
        this.#later(`${to}>`, node.controlMs * this.#draw(), () => this.#summed.set(to, message.round));
      if (message.type === "lease" || message.type === "open") this.#ask(node);
      this.#pump(node);
    });
  }

  #ask(node: Node): void {
    if (node.stage === 0) this.#say(node, { type: "ask", generation: GENERATION });
  }

  #fenced(node: Node, { replica }: Extract<OrchestratorMessage, { type: "fenced" }>): void {
    if (replica === node.key) {
      node.isLive = false;
      node.batches.clear();
      node.counted.length = 0;
      return;
    }
    node.next.admit(node.peers.next.filter((key) => key !== replica));
    node.batches.fenced(replica);
  }

  #toNode(to: SessionKey, does: (node: Node) => void): void {
    const node = this.nodes.get(to);
    if (node === undefined) return;
    this.#later(`>${to}`, node.controlMs * this.#draw(), () => this.#whenAwake(node, () => does(node)));
  }

  #pump(node: Node): void {
    if (node.isBusy || !node.isLive || node.isDead) return;
    const job = node.batches.next();
    if (job === null) return;
    node.isBusy = true;
    this.#at(this.now + 1 + this.#draw() * 60, () =>
      this.#whenAwake(node, () => {
        node.isBusy = false;
        if (node.isLive) node.batches.computed(job, VALUES, node.batches.inFlight);
        this.#pump(node);
      }),
    );
  }

  /** A stopped process finds what has come meanwhile when it goes on, in its order. */
  #whenAwake(node: Node, does: () => void): void {
    if (node.isDead) return;
    if (this.now < node.stoppedUntil) this.#at(node.stoppedUntil, () => this.#whenAwake(node, does));
    else does();
  }

  #later(connection: string, ms: number, does: () => void): void {
    const at = Math.max(this.now + ms, this.#lastOn.get(connection) ?? 0);
    this.#lastOn.set(connection, at);
    this.#at(at, does);
  }

  #at(at: number, does: () => void): void {
    this.#events.push({ at, order: this.#order++, does });
  }
}

const tensor = (sha256: string): Tensor => ({ values: VALUES, sha256 }) as Tensor;
const of = (microBatch: number) => ({ generation: GENERATION, step: STEP, microBatch });
const pair = (a: SessionKey, b: SessionKey): string => (a < b ? `${a}-${b}` : `${b}-${a}`);

function drawn(seed: number): () => number {
  let at = (seed % 2_147_483_646) + 1;
  return () => (at = (at * 16_807) % 2_147_483_647) / 2_147_483_647;
}

/** Nobody breaks a rule in these worlds: nobody may be named for it. */
const NO_FAULT = new Set(["silent", "too-late", "closed"]);

describe("a step among deaths, stops, partitions, delays, duplicates and returns", () => {
  it("counts every micro-batch once in every stage, or is not committed; and names no honest node", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 4 }),
        fc.integer({ min: 2, max: 3 }),
        fc.array(
          fc.record({
            at: fc.nat(600),
            what: fc.constantFrom(...HARMS),
            whom: fc.nat(11),
            ms: fc.integer({ min: 20, max: 8_000 }),
          }),
          { maxLength: 5 },
        ),
        fc.nat(2 ** 30),
        (stages, replicas, harms, seed) => {
          const world = new World(stages, replicas, drawn(seed));
          world.begin(harms);
          world.live();
          expect(world.fenced.filter((code) => !NO_FAULT.has(code))).toEqual([]);
          expect(world.hasEnded || world.isSummed, "it ends in time").toBe(true);
          if (world.hasEnded) return;
          for (let stage = 0; stage < stages; stage++) {
            const [live] = world.run.book.stages[stage]?.live ?? [];
            const told = live === undefined ? undefined : world.commits.get(live);
            expect(told?.round).toBe(world.run.round);
            const all = told?.sums.flatMap(({ microBatches }) => microBatches);
            expect(all?.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
            for (const { replica, microBatches } of told?.sums ?? [])
              expect(world.nodes.get(replica)?.counted.toSorted((a, b) => a - b)).toEqual([...microBatches]);
          }
        },
      ),
      { numRuns: 400, seed: 8 },
    );
  });
});
