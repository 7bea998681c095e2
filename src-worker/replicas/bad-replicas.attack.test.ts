import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { sumText } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { trainSingle } from "../replay/single.ts";
import type { SingleStep } from "../replay/single.ts";
import { TINY_CORPUS, tinyRun } from "../tiny-run.test-support.ts";
import { Fleet } from "./replica-fleet.test-support.ts";
import type { FleetNode } from "./replica-fleet.test-support.ts";

/** Peers that break the rules of docs/replicas.md: named, put aside, and the steps are those of honest ones. */

const STEPS = 3;
const spec = tinyRun({ steps: STEPS, evaluateEverySteps: 100 });
let alone: readonly SingleStep[];
let fleet: Fleet;

afterEach(() => fleet.close());

beforeAll(async () => {
  alone = await trainSingle({ spec, corpus: TINY_CORPUS, steps: STEPS, threads: 1 });
});

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
  const digest = sha256(bytes);
  const { generation, step, round } = message;
  const of = { network: "fleet", runId: spec.runId, generation, stage: 1, step, round, sha256: digest };
  return [{ ...message, sha256: digest, signature: node.signer.sign(sumText(of)) }, bytes];
}

/** Does something to the tensors that a replica sends, in step 1. */
const tampering =
  (change: (message: Tensor, payload: Uint8Array) => readonly (readonly [PeerMessage, Uint8Array])[]) =>
  (node: FleetNode): void => {
    node.sends = (message, payload) =>
      message.type === "tensor" && message.step === 1 ? change(message, payload) : [[message, payload]];
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
        report.type === "routed" && report.step === 1 ? [report, { ...report, to: node.key }] : [report];
    },
    "sent-to-two",
  ],
  [
    "sends on what it was given no lease for",
    0,
    (node) => {
      node.says = (report) => {
        const microBatch = fleet.run.book.stages[0]?.cells.findIndex(({ owner }) => owner !== node.key);
        return report.type === "routed" && report.step === 1 && microBatch !== undefined && microBatch >= 0
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
        const other = fleet.run.book.stages[1]?.cells.findIndex(
          ({ owner }) => owner !== null && owner !== node.key,
        );
        return report.type === "counted" && report.step === 1 && other !== undefined && other >= 0
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
      node.sends = (message, payload) => {
        if (message.type !== "tensor" || message.pass !== "forward" || message.step !== 1)
          return [[message, payload]];
        const other = fleet.run.book.stages[1]?.cells.findIndex(({ owner }, at) => {
          const before = fleet.run.book.stages[0]?.cells[at]?.owner ?? null;
          return owner !== null && before !== null && before !== node.key;
        });
        return other === undefined || other < 0
          ? [[message, payload]]
          : [
              [message, payload],
              [{ ...message, microBatch: other }, payload],
            ];
      };
    },
    "not-its-micro-batch",
  ],
  [
    "adds what is no number to the sum of its stage",
    1,
    (node) => {
      node.sends = (message, payload) => {
        if (message.type !== "sum" || message.step !== 1) return [[message, payload]];
        return [signedSum(node, message, floats(payload).fill(Number.NaN))];
      };
    },
    "bad-sum",
  ],
  [
    "sends different sums to different peers",
    1,
    (node) => {
      let isFirst: SessionKey | null = null;
      node.sends = (message, payload, to) => {
        if (message.type !== "sum" || message.step !== 1) return [[message, payload]];
        isFirst ??= to;
        if (to === isFirst) return [[message, payload]];
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
      let quiet: NodeJS.Timeout | null = null;
      const wait = (): void => {
        quiet = setTimeout(() => {
          fleet.watchers.splice(0);
          fleet.elapse(120_000);
        }, 300);
      };
      // When the others have done all that they can without it.
      fleet.watchers.push(() => {
        if (quiet === null) return;
        clearTimeout(quiet);
        wait();
      });
      node.says = (report) => {
        if (report.type !== "counted" || report.step !== 1) return [report];
        if (quiet === null) wait();
        return [];
      };
      node.sends = (message, payload) =>
        message.type === "tensor" && message.pass === "backward" && message.step === 1
          ? []
          : [[message, payload]];
    },
    "too-late",
  ],
  [
    "accuses others",
    1,
    (node) => {
      node.says = (report) =>
        // Whether it was given anything in that step or not.
        (report.type === "counted" || report.type === "summed") && report.step === 1
          ? fleet.nodes
              .filter(({ stage }) => stage !== 1)
              .slice(0, 2)
              .map(({ key: replica }) => ({
                type: "accuse" as const,
                generation: report.generation,
                step: 1,
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
    fleet = await Fleet.open(spec, TINY_CORPUS, stage === 1 ? [1, 3, 1] : [2, 2, 2]);
    const bad = fleet.nodes.find((node) => node.stage === stage);
    if (bad === undefined) throw new Error("no node");
    attack(bad);
    await new Promise<void>((resolve) => {
      fleet.onStep = (step) => step === STEPS && resolve();
      fleet.begin();
    });
    const fenced = fleet.effects.filter((effect) => effect.type === "fenced");
    expect(fenced).toContainEqual({ type: "fenced", key: bad.key, stage, code });
    for (const { step, loss } of alone)
      expect(Math.abs((fleet.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(1e-4);
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
    await new Promise<void>((resolve) => {
      fleet.onStep = (step) => step === STEPS && resolve();
      fleet.begin();
    });
    for (const { step, loss } of alone)
      expect(Math.abs((fleet.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(1e-4);
    expect(fleet.effects.filter(({ type }) => type === "fenced")).toEqual([]);
  });
});
