import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { sumText } from "../../src-protocol/control.ts";
import { KERNELS } from "../../src-protocol/arithmetic.ts";
import type { CodecName } from "../../src-protocol/link-codecs.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { parametersSha256 } from "../../src-protocol/parameters-digest.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { vouchedMicroBatches } from "../../src-protocol/receipt.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { sumRoot } from "../../src-protocol/sum-shards.ts";
import { memoryCorpus } from "../corpus/corpus-reader.ts";
import { OfflineRun } from "../replay/offline-run.ts";
import { trainSingle } from "../replay/single.ts";
import { TINY_CORPUS, tinyRun } from "../tiny-run.test-support.ts";
import { Fleet } from "./replica-fleet.test-support.ts";
import type { FleetNode } from "./replica-fleet.test-support.ts";

/** Three stages of two replicas whose links carry fewer bits: docs/codecs.md. */

const both = (codec: CodecName) => ({ forward: codec, backward: codec });
let fleet: Fleet;

afterEach(() => fleet.close());

function killWhenCounted(stage: number, step: number): void {
  let isDone = false;
  fleet.watchers.push((node, report) => {
    if (isDone || node.stage !== stage || report.type !== "counted" || report.step !== step) return;
    isDone = true;
    queueMicrotask(() => fleet.kill(node));
  });
}

/** Of each replica's part of each step, how many micro-batches it has counted, and how many are vouched for. */
async function parts(): Promise<{ counted: number[][]; vouched: number[][] }> {
  for (const { runner } of fleet.nodes) await runner?.quiet();
  const all = [...fleet.shares].flatMap(([step, stages]) =>
    stages.flat().map(({ replica, microBatches }) => ({ step, replica, microBatches })),
  );
  return {
    counted: all.map(({ microBatches }) => [microBatches.length]),
    vouched: all.map(({ step, replica }) => {
      const node = fleet.nodes.find(({ key }) => key === replica);
      return node?.receipts.filter(({ body }) => body.step === step).map(vouchedMicroBatches) ?? [];
    }),
  };
}

describe("three stages of two replicas with fewer bits on their links", () => {
  it("train: the loss falls as with all bits, at equal tokens", async () => {
    const steps = 20;
    const spec = tinyRun({ steps, codecs: both("int8b64") });
    const alone = await trainSingle({ spec, corpus: TINY_CORPUS, steps, threads: 1 });
    fleet = await Fleet.open(spec, TINY_CORPUS, [2, 2, 2]);
    await fleet.train(steps);
    const last = (of: (step: number) => number): number =>
      [16, 17, 18, 19, 20].reduce((sum, step) => sum + of(step), 0) / 5;
    const coded = last((step) => fleet.losses.get(step) ?? Number.NaN);
    const asTheyAre = last((step) => alone[step - 1]?.loss ?? Number.NaN);
    expect(coded).toBeLessThan((fleet.losses.get(1) ?? 0) - 1);
    expect(Math.abs(coded - asTheyAre)).toBeLessThan(0.005 * asTheyAre);
    expect(coded, "they were not carried as they are").not.toBe(asTheyAre);
  }, 180_000);

  it.each(["f16", "int8b64", "int4h"] as const)(
    "come in the class exact to the bits of the run done again without links, in %s and with a loss",
    async (codec) => {
      const steps = 3;
      const exact = { arithmetic: "exact", kernels: KERNELS.exact } as const;
      const spec = tinyRun({ steps, ...exact, codecs: both(codec) });
      const corpus = memoryCorpus(TINY_CORPUS);
      const again = await OfflineRun.open({ spec, corpus, file: null, threads: 1, from: null });
      for (let step = 0; step < steps; step++) await again.next();
      const due = parametersSha256(again.weights());
      await again.close();
      fleet = await Fleet.open(spec, TINY_CORPUS, [2, 2, 2]);
      killWhenCounted(1, 1);
      await fleet.train(steps);
      expect(parametersSha256(fleet.weights())).toBe(due);
    },
  );

  it("have all their work vouched for, also what a lost one had sent on", async () => {
    fleet = await Fleet.open(tinyRun({ steps: 4, codecs: both("int8b64") }), TINY_CORPUS, [2, 2, 2]);
    killWhenCounted(1, 1);
    killWhenCounted(0, 2);
    await fleet.train(4);
    const { counted, vouched } = await parts();
    expect(vouched).toEqual(counted);
  });

  it("send the same bytes again on a link that could carry more or fewer bits: all is vouched for", async () => {
    const spec = tinyRun({ steps: 4, codecs: { ...both("int8b64"), near: "f32" } });
    fleet = await Fleet.open(spec, TINY_CORPUS, [2, 2, 2]);
    let turn = 0;
    fleet.watchers.push((node, { type }) => {
      if (type !== "counted" || node.stage !== 1) return;
      turn += 1;
      for (const other of fleet.nodes.filter(({ stage }) => stage !== 1)) {
        for (const [one, peer] of [
          [node, other],
          [other, node],
        ] as const)
          if (turn % 2 === 0) one.far.delete(peer.key);
          else one.far.add(peer.key);
        fleet.relink(node, other);
      }
    });
    await fleet.train(4);
    expect(turn).toBe(4 * spec.microBatches);
    expect(fleet.effects.filter(({ type }) => type === "fenced")).toEqual([]);
    const { counted, vouched } = await parts();
    expect(vouched).toEqual(counted);
  });

  it("carry the values as they are between computers that are near each other, where the run says so", async () => {
    const spec = tinyRun({ steps: 2, codecs: { ...both("int8b64"), near: "f32" } });
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, 2, 1]);
    await fleet.train(2);
    const links = fleet.nodes.flatMap((node) => [...node.links.values()]);
    const carried = links.flatMap(({ stats }) => [stats.sentAs, stats.receivedAs]);
    expect(new Set(carried.filter((codec) => codec !== null))).toEqual(new Set(["f32"]));
  });
});

describe("three stages whose replicas send their sums in fewer bits", () => {
  it.each(["f16", "int8b64"] as const)(
    "as %s train as one process does, but for rounding, and have the same bits on each, with a loss and a newcomer",
    async (sums) => {
      const steps = 12;
      const spec = tinyRun({ steps, codecs: { ...both("f32"), sums } });
      const alone = await trainSingle({ spec, corpus: TINY_CORPUS, steps, threads: 1 });
      fleet = await Fleet.open(spec, TINY_CORPUS, [2, 3, 2]);
      killWhenCounted(1, 3);
      await new Promise<void>((resolve) => {
        fleet.onStep = (step) => {
          if (step === 5) void fleet.join(2);
          if (step === steps) resolve();
        };
        fleet.begin();
      });
      for (const { step, loss } of alone)
        expect(Math.abs((fleet.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(
          TOLERANCE[sums] * loss,
        );
      for (const stage of [0, 1, 2]) expect(fleet.states(stage).size, `stage ${stage}`).toBe(1);
      expect(fleet.effects.flatMap((effect) => (effect.type === "fenced" ? effect.code : []))).toEqual([
        "closed",
      ]);
      const [first, second] = fleet.nodes.filter(({ stage }) => stage === 0);
      expect(first?.links.get((second as FleetNode).key)?.stats).toMatchObject({
        sentAs: sums,
        receivedAs: sums,
      });
    },
  );
});

/** Of the loss, after 12 steps. */
const TOLERANCE = { f16: 2e-4, int8b64: 5e-3 };

const ATTACKED_STEPS = 3;
/** Who is given nothing in a step cannot attack in it: it is trained on until it was, so far at most. */
const MOST_STEPS = 24;

/** Of each step, as replicas train that keep to the rules: one of each stage. */
function honestLosses(spec: RunSpec): () => ReadonlyMap<number, number> {
  let losses: ReadonlyMap<number, number> = new Map();
  beforeAll(async () => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, 1, 1]);
    await fleet.train(MOST_STEPS);
    losses = new Map(fleet.losses);
    await fleet.close();
  });
  return () => losses;
}

type Tensor = Extract<PeerMessage, { type: "tensor" }>;

const withBytes = (message: Tensor, payload: Uint8Array): readonly [PeerMessage, Uint8Array] => [
  { ...message, sha256: sha256(payload) },
  payload,
];

const ATTACKS: [
  what: string,
  change: (message: Tensor, payload: Uint8Array) => readonly [PeerMessage, Uint8Array],
  code: string,
][] = [
  [
    "sends in another codec than was agreed",
    (message, payload) => {
      const bytes = new Uint8Array(message.shape.reduce((a, b) => a * b, 2));
      bytes.set(payload.subarray(0, bytes.length));
      return withBytes({ ...message, codec: "f16" }, bytes);
    },
    "bad-tensor",
  ],
  [
    "sends the values as they are, where fewer bits were agreed",
    (message) => {
      const bytes = new Uint8Array(message.shape.reduce((a, b) => a * b, 4));
      return withBytes({ ...message, codec: "f32" }, bytes);
    },
    "bad-tensor",
  ],
  ["sends a byte too little", (message, payload) => withBytes(message, payload.subarray(1)), "bad-tensor"],
  [
    "sends a byte too much",
    (message, payload) => withBytes(message, Uint8Array.of(...payload, 0)),
    "bad-tensor",
  ],
  [
    "sends a scale that is no number",
    (message, payload) => {
      const bytes = payload.slice();
      bytes.set([0xc0, 0x7f]);
      return withBytes(message, bytes);
    },
    "tensor-not-finite",
  ],
  [
    "sends a scale that is infinite",
    (message, payload) => {
      const bytes = payload.slice();
      bytes.set([0x80, 0x7f]);
      return withBytes(message, bytes);
    },
    "tensor-not-finite",
  ],
];

describe("a replica that", () => {
  const spec = tinyRun({ evaluateEverySteps: 100, codecs: both("int8b64") });
  const honest = honestLosses(spec);

  it.each(ATTACKS)("%s is put aside by name, and the steps are those of honest ones", async (...each) => {
    const [, change, code] = each;
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, 3, 1]);
    const bad = fleet.nodes.find(({ stage }) => stage === 1) as FleetNode;
    let attackedIn: number | null = null;
    bad.sends = (message, payload) => {
      if (message.type !== "tensor" || message.step === 0) return [[message, payload]];
      attackedIn ??= message.step;
      return [message.step === attackedIn ? change(message, payload) : [message, payload]];
    };
    const fenced = () => fleet.effects.filter((effect) => effect.type === "fenced");
    await fleet.train(ATTACKED_STEPS, () => fenced().some(({ key }) => key === bad.key), MOST_STEPS);
    expect(attackedIn, "it could attack").not.toBeNull();
    expect(fenced()).toContainEqual({ type: "fenced", key: bad.key, stage: 1, code });
    for (const [step, loss] of fleet.losses)
      expect(Math.abs((honest().get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(1e-4);
  });
});

describe("of replicas whose sums are int8b64, one that", () => {
  type Sent = Extract<PeerMessage, { type: "sum" | "total" }>;
  const spec = tinyRun({ evaluateEverySteps: 100, codecs: { ...both("f32"), sums: "int8b64" } });
  const honest = honestLosses(spec);

  /** Its maker signs the changed one, too. */
  function signed(node: FleetNode, message: Sent, bytes: Uint8Array): readonly [PeerMessage, Uint8Array] {
    const { generation, step, round, shard } = message;
    const of = { network: "fleet", runId: spec.runId, generation, stage: 1, step, round };
    const digest = sha256(bytes);
    if (message.type === "total")
      return [
        {
          ...message,
          sha256: digest,
          signature: node.signer.sign(sumText({ ...of, shard, sha256: digest })),
        },
        bytes,
      ];
    const digests = message.digests.with(shard, digest);
    return [
      { ...message, digests, signature: node.signer.sign(sumText({ ...of, sha256: sumRoot(digests) })) },
      bytes,
    ];
  }

  it.each<
    [what: string, type: Sent["type"], isToAll: boolean, scale: number, replicas: number, code: string]
  >([
    ["gives different sums to different peers", "sum", false, 0x3f80, 3, "two-sums"],
    ["has a scale that is no number", "sum", true, 0x7fc0, 2, "bad-sum"],
    ["has a scale that makes all too large", "sum", true, 0x7e80, 2, "bad-sum"],
    ["gives different totals to different peers", "total", false, 0x3f80, 5, "two-sums"],
  ])("%s is put aside by name, and the steps are those of honest ones", async (...each) => {
    const [, type, isToAll, scale, replicas, code] = each;
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, replicas, 1]);
    const bad = fleet.nodes.find(({ stage }) => stage === 1) as FleetNode;
    let attackedIn: number | null = null;
    let first: string | null = null;
    bad.sends = (message, payload, to) => {
      if (message.type !== type || message.step === 0) return [[message, payload]];
      attackedIn ??= message.step;
      first ??= to;
      if (message.step !== attackedIn || (to === first && !isToAll)) return [[message, payload]];
      const bytes = payload.slice();
      bytes.set([scale & 0xff, scale >>> 8]);
      bytes.fill(1, bytes.length - 64);
      return [signed(bad, message, bytes)];
    };
    const fenced = () => fleet.effects.filter((effect) => effect.type === "fenced");
    await fleet.train(ATTACKED_STEPS, () => fenced().length > 0, MOST_STEPS);
    expect(attackedIn, "it could attack").not.toBeNull();
    expect(fenced()).toEqual([{ type: "fenced", key: bad.key, stage: 1, code }]);
    expect(fleet.states(1).size).toBe(1);
    for (const [step, loss] of fleet.losses)
      expect(Math.abs((honest().get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(
        TOLERANCE.int8b64 * loss,
      );
  });
});
