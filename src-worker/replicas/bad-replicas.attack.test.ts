import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { allCells, openCells } from "../../src-orchestrator/routing/cells.ts";
import type { Cell } from "../../src-orchestrator/routing/cells.ts";
import { sumText } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { sumRoot } from "../../src-protocol/sum-shards.ts";
import { trainSingle } from "../replay/single.ts";
import type { SingleStep } from "../replay/single.ts";
import { TINY_CORPUS, tinyRun } from "../tiny-run.test-support.ts";
import { Fleet } from "./replica-fleet.test-support.ts";
import type { FleetNode } from "./replica-fleet.test-support.ts";

/** Peers that break the rules of docs/replicas.md: named, put aside, and the steps are those of honest ones. */

const STEPS = 3;
/** Who is given nothing in a step cannot attack in it: it is trained on until it was, so far at most. */
const MOST_STEPS = 24;
const spec = tinyRun({ evaluateEverySteps: 100 });
let alone: readonly SingleStep[];
let fleet: Fleet;
let attackedIn: number | null;

beforeEach(() => (attackedIn = null));

afterEach(() => fleet.close());

beforeAll(async () => {
  alone = await trainSingle({ spec, corpus: TINY_CORPUS, steps: MOST_STEPS, threads: 1 });
});

/** Whether a replica that could attack now does: in the first step but one that gives it the chance, and in no other. */
function isNow(step: number): boolean {
  if (step > 0) attackedIn ??= step;
  return step === attackedIn;
}

/** Until it was put aside. */
const trainedWith = (bad: FleetNode): Promise<void> =>
  fleet.train(STEPS, () => fencedOnes().some(({ key }) => key === bad.key), MOST_STEPS);

const fencedOnes = () => fleet.effects.filter((effect) => effect.type === "fenced");

function expectStepsOfHonestOnes(): void {
  expect(fleet.losses.size).toBeGreaterThanOrEqual(STEPS);
  for (const [step, loss] of fleet.losses)
    expect(Math.abs((alone[step - 1]?.loss ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(1e-4);
}

type Tensor = Extract<PeerMessage, { type: "tensor" }>;

const floats = (payload: Uint8Array): Float32Array<ArrayBuffer> => new Float32Array(payload.slice().buffer);

function withValues(message: Tensor, values: Float32Array<ArrayBuffer>): readonly [PeerMessage, Uint8Array] {
  const payload = new Uint8Array(values.buffer);
  return [{ ...message, sha256: sha256(payload) }, payload];
}

/** A sum of the second stage that its maker has signed as it ought to. */
function signedSum(
  node: FleetNode,
  message: Extract<PeerMessage, { type: "sum" }>,
  values: Float32Array<ArrayBuffer>,
): readonly [PeerMessage, Uint8Array] {
  const bytes = new Uint8Array(values.buffer);
  const digests = message.digests.with(message.shard, sha256(bytes));
  return [{ ...message, digests, signature: signature(node, message, sumRoot(digests), null) }, bytes];
}

/** The same of a shard that it has added up. */
function signedTotal(
  node: FleetNode,
  message: Extract<PeerMessage, { type: "total" }>,
  values: Float32Array<ArrayBuffer>,
): readonly [PeerMessage, Uint8Array] {
  const bytes = new Uint8Array(values.buffer);
  const digest = sha256(bytes);
  return [{ ...message, sha256: digest, signature: signature(node, message, digest, message.shard) }, bytes];
}

function signature(
  { signer }: FleetNode,
  { generation, step, round }: { generation: number; step: number; round: number },
  digest: string,
  shard: number | null,
): string {
  const of = { network: "fleet", runId: spec.runId, generation, stage: 1, step, round, sha256: digest };
  return signer.sign(sumText({ ...of, ...(shard !== null && { shard }) }));
}

/** Does something to the tensors that a replica sends. */
const tampering =
  (change: (message: Tensor, payload: Uint8Array) => readonly (readonly [PeerMessage, Uint8Array])[]) =>
  (node: FleetNode): void => {
    node.sends = (message, payload) =>
      message.type === "tensor" && isNow(message.step) ? change(message, payload) : [[message, payload]];
  };

/** Who has a micro-batch on the stage of the sender, and on that of the receiver. */
interface Owners {
  readonly here: SessionKey | null;
  readonly there: SessionKey | null;
}

/** The book's, of a stage. */
const cellsOf = (stage: number): Cell[] => allCells(fleet.run.book.stages[stage]?.cells ?? openCells(0));

/** Beside a tensor, sends it once more under the number of a micro-batch that is chosen by who owns it. */
const misdirecting =
  (pass: "forward" | "backward", isChosen: (owners: Owners, to: SessionKey, own: SessionKey) => boolean) =>
  (node: FleetNode): void => {
    let isSent = false;
    node.sends = (message, payload, to) => {
      const sent = [message, payload] as const;
      const { step } = fleet.run.book;
      if (isSent || message.type !== "tensor" || message.pass !== pass || message.step !== step)
        return [sent];
      const ownerOn = (stage: number, at: number) => cellsOf(stage)[at]?.owner ?? null;
      const there = pass === "forward" ? node.stage + 1 : node.stage - 1;
      const microBatch = cellsOf(0).findIndex((_, at) =>
        isChosen({ here: ownerOn(node.stage, at), there: ownerOn(there, at) }, to, node.key),
      );
      if (microBatch < 0 || !isNow(step)) return [sent];
      isSent = true;
      return [sent, [{ ...message, microBatch }, payload]];
    };
  };

/** Sends a copy of each tensor, or what is made of it, to all the others of the next stage as well. */
const copying =
  (change: (message: Tensor, payload: Uint8Array) => readonly [PeerMessage, Uint8Array] | null) =>
  (node: FleetNode): void => {
    let isCopying = false;
    node.sends = (message, payload, to) => {
      const isOne =
        message.type === "tensor" && message.pass === "forward" && message.step === fleet.run.step;
      const copy = !isCopying && isOne && isNow(message.step) ? change(message, payload) : null;
      if (copy !== null) {
        isCopying = true;
        for (const { key, stage } of fleet.nodes)
          if (stage === node.stage + 1 && key !== to) void node.links.get(key)?.send(...copy);
        isCopying = false;
      }
      return [[message, payload]];
    };
  };

const ATTACKS: [what: string, stage: number, attack: (node: FleetNode) => void, code: string][] = [
  [
    "sends what is no number",
    1,
    tampering((message, payload) => [withValues(message, floats(payload).fill(Number.NaN))]),
    "tensor-not-finite",
  ],
  [
    "sends a wrong shape",
    1,
    tampering((message, payload) => [[{ ...message, shape: [1, ...message.shape] }, payload]]),
    "bad-tensor",
  ],
  [
    "sends gradients of another step",
    2,
    tampering((message, payload) => [[{ ...message, step: message.step + 7 }, payload]]),
    "other-step",
  ],
  [
    "sends to two what it has one lease for",
    0,
    (node) => {
      node.says = (report) =>
        report.type === "routed" && isNow(report.step) ? [report, { ...report, to: node.key }] : [report];
    },
    "sent-to-two",
  ],
  [
    "sends on what it was given no lease for",
    0,
    (node) => {
      node.says = (report) => {
        const microBatch = cellsOf(0).findIndex(({ owner }) => owner !== node.key);
        return report.type === "routed" && microBatch >= 0 && isNow(report.step)
          ? [report, { ...report, microBatch }]
          : [report];
      };
    },
    "not-its-micro-batch",
  ],
  [
    "says it has counted what is another's",
    1,
    (node) => {
      node.says = (report) => {
        const { step } = fleet.run.book;
        const other = cellsOf(1).findIndex(({ owner }) => owner !== null && owner !== node.key);
        return report.type === "counted" && report.step === step && other >= 0 && isNow(step)
          ? [report, { ...report, microBatch: other }]
          : [report];
      };
    },
    "not-its-micro-batch",
  ],
  [
    "sends somebody else's micro-batch",
    0,
    (node) => {
      node.sends = (message, payload, to) => {
        const sent = [message, payload] as const;
        const { step } = fleet.run.book;
        if (message.type !== "tensor" || message.pass !== "forward" || message.step !== step) return [sent];
        // To who has it from its owner.
        const other = cellsOf(1).findIndex(
          ({ owner }, at) => owner === to && cellsOf(0)[at]?.owner !== node.key,
        );
        if (other < 0 || !isNow(step)) return [sent];
        return [sent, [{ ...message, microBatch: other }, payload]];
      };
    },
    "not-its-micro-batch",
  ],
  [
    "sends somebody else's micro-batch to one that does not own it",
    0,
    misdirecting("forward", ({ here, there }, to, own) => here !== own && there !== null && there !== to),
    "not-its-micro-batch",
  ],
  [
    "of the middle sends somebody else's micro-batch to one that does not own it",
    1,
    misdirecting(
      "forward",
      ({ here, there }, to, own) => here !== null && here !== own && there !== null && there !== to,
    ),
    "not-its-micro-batch",
  ],
  [
    "sends what it owns to a second one",
    1,
    misdirecting("forward", ({ here, there }, to, own) => here === own && there !== null && there !== to),
    "sent-to-two",
  ],
  [
    "gives wrong copies of what it owns to all others of the next stage at once",
    0,
    copying((message, payload) => withValues(message, floats(payload).fill(1))),
    "sent-to-two",
  ],
  [
    "gives everybody of the next stage what another head owns",
    0,
    copying((message, payload) => {
      const own = fleet.nodes.find(({ stage }) => stage === 0)?.key;
      const cells = cellsOf(0);
      const other = cells.findIndex(({ owner }) => owner !== null && owner !== own);
      return other < 0 ? null : withValues({ ...message, microBatch: other }, floats(payload).fill(1));
    }),
    "not-its-micro-batch",
  ],
  [
    "sends the gradient of a micro-batch that another one owns",
    2,
    misdirecting("backward", ({ here, there }, to, own) => there === to && here !== null && here !== own),
    "not-its-micro-batch",
  ],
  [
    "sends a second gradient that differs from the first",
    2,
    tampering((message, payload) => [
      [message, payload],
      withValues(message, floats(payload).fill(message.pass === "backward" ? 1 : 0)),
    ]),
    "two-gradients",
  ],
  [
    "sends activations that differ from those that it has sent before",
    0,
    tampering((message, payload) => [[message, payload], withValues(message, floats(payload).fill(1))]),
    "two-activations",
  ],
  [
    "says that it has sent on what it keeps",
    0,
    (node) => {
      let isKept = false;
      node.sends = (message, payload) => {
        if (message.type !== "tensor" || message.pass !== "forward" || !isNow(message.step))
          return [[message, payload]];
        // Once nobody can do more, until the first of them are late and were done again, too.
        if (!isKept) void fleet.still().then(() => fleet.elapse(120_000));
        isKept = true;
        return [];
      };
    },
    "too-late",
  ],
  [
    "adds what is no number to the sum of its stage",
    1,
    (node) => {
      node.sends = (message, payload) => {
        if (message.type !== "sum" || !isNow(message.step)) return [[message, payload]];
        return [signedSum(node, message, floats(payload).fill(Number.NaN))];
      };
    },
    "bad-sum",
  ],
  [
    "sends different sums to different peers",
    1,
    (node) => {
      let first: SessionKey | null = null;
      node.sends = (message, payload, to) => {
        if (message.type !== "sum" || !isNow(message.step)) return [[message, payload]];
        first ??= to;
        if (to === first) return [[message, payload]];
        const values = floats(payload);
        values[0] = 1;
        return [signedSum(node, message, values)];
      };
    },
    "two-sums",
  ],
  [
    "never does what it has taken",
    1,
    (node) => {
      let isTaken = false;
      const takes = (step: number): boolean => {
        if (!isNow(step)) return false;
        // When the others have done all that they can without it.
        if (!isTaken) void fleet.still().then(() => fleet.elapse(120_000));
        isTaken = true;
        return true;
      };
      node.says = (report) => (report.type === "counted" && takes(report.step) ? [] : [report]);
      node.sends = (message, payload) =>
        message.type === "tensor" && message.pass === "backward" && takes(message.step)
          ? []
          : [[message, payload]];
    },
    "too-late",
  ],
  [
    "keeps its sum to itself",
    1,
    (node) => {
      node.sends = (message, payload) =>
        message.type === "sum" && isNow(message.step) ? [] : [[message, payload]];
      let isLate = false;
      fleet.watchers.push((_, report) => {
        if (report.type !== "lacking" || isLate) return;
        isLate = true;
        // Those who wait for it have said so.
        void fleet.still().then(() => fleet.elapse(200_000));
      });
    },
    "sums-late",
  ],
  [
    "says that its step came to another result",
    1,
    (node) => {
      node.says = (report) =>
        report.type === "saved" && isNow(report.step - 1)
          ? [{ ...report, stateSha256: "0".repeat(64) }]
          : [report];
    },
    "other-result",
  ],
  [
    "accuses others",
    1,
    (node) => {
      node.says = (report) =>
        // Whether it was given anything in that step or not.
        (report.type === "counted" || report.type === "summed") && isNow(report.step)
          ? fleet.nodes
              .filter(({ stage }) => stage !== 1)
              .slice(0, 2)
              .map(({ key: replica }) => ({
                type: "accuse" as const,
                generation: report.generation,
                step: report.step,
                replica,
                microBatch: null,
                code: "bad-tensor",
                message: "It did.",
              }))
          : [report];
    },
    "accuses-others",
  ],
];

describe("a replica that", () => {
  it.each(ATTACKS)("%s is put aside by name, and the steps are those of honest ones", async (...each) => {
    const [, stage, attack, code] = each;
    const middle = code === "two-sums" || code === "other-result" ? 3 : 2;
    fleet = await Fleet.open(spec, TINY_CORPUS, stage === 1 ? [1, middle, 2] : [2, 2, 2]);
    const bad = fleet.nodes.find((node) => node.stage === stage);
    if (bad === undefined) throw new Error("no node");
    attack(bad);
    await trainedWith(bad);
    expect(attackedIn, "it could attack").not.toBeNull();
    expect(fencedOnes()).toContainEqual({ type: "fenced", key: bad.key, stage, code });
    expect(fencedOnes().filter((each) => each.key !== bad.key)).toEqual([]);
    expectStepsOfHonestOnes();
  });

  it("sends everything twice harms nobody", async () => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, 2, 1]);
    for (const node of fleet.nodes)
      node.sends = (message, payload) =>
        message.type === "tensor"
          ? [
              [message, payload],
              [message, payload],
            ]
          : [[message, payload]];
    await fleet.train(STEPS);
    expectStepsOfHonestOnes();
    expect(fencedOnes()).toEqual([]);
  });
});

describe("a replica that gives a newcomer", () => {
  it.each<[what: string, isPart: boolean]>([
    ["other numbers than the state has", true],
    ["digests of another state", false],
  ])("%s is put aside by name, and the newcomer takes the state from another one", async (_, isPart) => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, 3, 1]);
    // Whom the newcomer asks first.
    let liar: FleetNode | null = null;
    let parts = 0;
    for (const node of fleet.nodes)
      node.sends = (message, payload) => {
        if (message.type !== "statePart" || (liar ??= node) !== node) return [[message, payload]];
        const [isLie, other] = [parts++ > 0 === isPart, payload.slice()];
        other[0] = (other[0] ?? 0) ^ 1;
        return [[message, isLie ? other : payload]];
      };
    let newcomer: FleetNode | null = null;
    fleet.onStep = (step) => {
      if (step === 1) void fleet.join(1).then((node) => (newcomer = node));
    };
    let isAdopted = false;
    fleet.watchers.push((node, { type }) => (isAdopted ||= node === newcomer && type === "adopted"));
    await fleet.train(STEPS, () => isAdopted, MOST_STEPS);
    expect(isAdopted).toBe(true);
    const key = (liar as FleetNode | null)?.key;
    expect(fleet.effects).toContainEqual({ type: "fenced", key, stage: 1, code: "wrong-state" });
    expect(fleet.states(1).size).toBe(1);
    expectStepsOfHonestOnes();
  });
});

it("a newcomer that says so of every replica takes none of them away", async () => {
  fleet = await Fleet.open(spec, TINY_CORPUS, [1, 2, 1]);
  const replicas = fleet.nodes.filter(({ stage }) => stage === 1).map(({ key }) => key);
  let hasSaid = false;
  fleet.onStep = (step) => {
    if (step !== 1) return;
    void fleet.start(1, null).then((node) => {
      node.says = (report) => {
        if (report.type !== "adopted") return [report];
        hasSaid = true;
        return replicas.map((replica) => ({
          type: "accuse" as const,
          generation: report.generation,
          step: report.step,
          replica,
          microBatch: null,
          code: "wrong-state",
          message: "It lied.",
        }));
      };
      fleet.tell({ type: "added", key: node.key, stage: 1 });
      fleet.tell({ type: "warm", key: node.key });
    });
  };
  await fleet.train(STEPS, () => hasSaid, MOST_STEPS);
  expect(hasSaid).toBe(true);
  expect(fleet.run.book.stages[1]?.live.size).toBeGreaterThanOrEqual(1);
  expectStepsOfHonestOnes();
});

/** Of five replicas, each adds up a fifth, and looks after another one's. */
describe("of many replicas, one that", () => {
  const changed = (payload: Uint8Array): Float32Array<ArrayBuffer> => {
    const values = floats(payload);
    values[0] = (values[0] ?? 0) + 1;
    return values;
  };
  it.each<[what: string, attack: (node: FleetNode) => void, code: string]>([
    [
      "gives different totals to different peers",
      (node) => {
        let first: SessionKey | null = null;
        node.sends = (message, payload, to) => {
          if (message.type !== "total" || !isNow(message.step)) return [[message, payload]];
          first ??= to;
          return [to === first ? [message, payload] : signedTotal(node, message, changed(payload))];
        };
      },
      "two-sums",
    ],
    [
      "gives a wrong total to all, and says that it is right",
      (node) => {
        const lies = new Map<string, { sha256: string; signature: string }>();
        node.sends = (message, payload) => {
          if (message.type !== "total" || !isNow(message.step)) return [[message, payload]];
          const lie = signedTotal(node, message, changed(payload));
          const [told] = lie;
          if (told.type === "total") lies.set(`${told.round}/${told.shard}`, told);
          return [lie];
        };
        node.says = (report) =>
          report.type === "summed" && isNow(report.step)
            ? [
                {
                  ...report,
                  totals: report.totals.map((total, shard) => {
                    const lie = lies.get(`${report.round}/${shard}`);
                    return lie === undefined ? total : { ...total, ...lie };
                  }) as typeof report.totals,
                },
              ]
            : [report];
      },
      "wrong-sum",
    ],
    [
      "says that another one's total is wrong",
      (node) => {
        node.says = (report) =>
          report.type === "summed" && isNow(report.step)
            ? [
                {
                  ...report,
                  // Of the two that it adds up, the one that another one gives to all.
                  totals: report.totals.map((total, shard) =>
                    total.by === node.key && fleet.run.orders[1]?.live[shard] !== node.key
                      ? {
                          ...total,
                          sha256: sha256("a"),
                          signature: signature(node, report, sha256("a"), shard),
                        }
                      : total,
                  ) as typeof report.totals,
                },
              ]
            : [report];
      },
      "wrong-sum",
    ],
  ])("%s is put aside by name, and the steps are those of honest ones", async (_, attack, code) => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, 5, 1]);
    const bad = fleet.nodes.find(({ stage }) => stage === 1);
    if (bad === undefined) throw new Error("no node");
    attack(bad);
    await trainedWith(bad);
    expect(fencedOnes()).toEqual([{ type: "fenced", key: bad.key, stage: 1, code }]);
    expect(fleet.states(1).size).toBe(1);
    expectStepsOfHonestOnes();
  });
});
