import { queryObjects } from "node:v8";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { TensorMeta } from "../../src-protocol/peer.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { ReceiptChain, receiptText } from "../../src-protocol/receipt.ts";
import type { ReceiptBody } from "../../src-protocol/receipt.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import type { StageInfo } from "../compute/compute-call.ts";
import type { Compute } from "../compute/compute.ts";
import type { Report } from "../control/control.ts";
import type { Link } from "../links/index.ts";
import { memoryLinks } from "../links/index.ts";
import { PipelineRunner } from "./pipeline-runner.ts";
import { StepMemo } from "./step-memo.ts";
import type { StepPart } from "./step-memo.ts";
import { noSamples } from "../stage/stage-samples.ts";
import type { Samples } from "../stage/stage-samples.ts";
import { tinyRun } from "../tiny-run.test-support.ts";

const [own, before, after] = [1, 2, 3].map((seed) => createSessionSigner(new Uint8Array(32).fill(seed)));
const HEX = "0".repeat(64);
/** In two parts. */
const TIED = 2 ** 22 + 3;
const embedding = { name: "embedding", shape: [TIED], size: TIED, decay: true };
const bytes = { stateBytes: 0, runBytes: 0, keptBytes: 0, peakBytes: 0 };
/** Between head and tail; it holds none of the tied parameters itself. */
const stage: StageInfo = {
  index: 1,
  stages: 3,
  isHead: false,
  isTail: false,
  parameters: [],
  parameterCount: 0,
  uses: [],
  data: [],
  tables: [],
  input: [2],
  output: [2],
  flops: { forward: 1, backward: 1 },
  memory: { full: bytes, selective: bytes },
  boundaryBytes: { in: 8, out: 8 },
  endsAfter: null,
  ties: [embedding],
  tiedSums: [[1], [0], [1]],
};

let reports: Report[];
let calls: string[];
/** Heard of receipts from before, when stages had replicas. */
let shared: string[];
let peers: { previous: Link; next: Link };

/** The compute thread's answer to everything. */
async function compute(name: string): Promise<{ answer: { output: Float32Array }; ms: number }> {
  calls.push(name);
  return { answer: { output: new Float32Array(name === "tie" ? TIED : 2) }, ms: 1 };
}

beforeEach(() => void runPipeline({}));

function runPipeline({
  microBatches = 1,
  call = compute,
  memo = new StepMemo(),
  samples = noSamples,
  ties = stage.ties,
}: {
  microBatches?: number;
  call?: typeof compute;
  memo?: StepMemo;
  samples?: Samples;
  ties?: StageInfo["ties"];
}): PipelineRunner {
  if (own === undefined || before === undefined || after === undefined) throw new Error("no signers");
  reports = [];
  calls = [];
  shared = [];
  const previous = memoryLinks({ a: before.publicKey, b: own.publicKey });
  const next = memoryLinks({ a: after.publicKey, b: own.publicKey });
  peers = { previous: previous.a, next: next.a };
  for (const peer of [previous.a, next.a]) peer.onMessage(() => undefined);
  return new PipelineRunner({
    spec: tinyRun({ microBatches }),
    stage: { ...stage, ties },
    generation: 4,
    network: "n",
    resumeStep: 7,
    link: "0".repeat(64),
    signer: own,
    receiptChain: new ReceiptChain(),
    shares: {
      linked: (peer) => shared.push(`linked ${peer}`),
      asked: (from, { body }) => shared.push(`asked of ${body.step} by ${from}`),
      counterSigned: (from, { receiptId }) => shared.push(`signed ${receiptId} by ${from}`),
    },
    links: { previous: previous.b, next: next.b },
    compute: { call: call as unknown as Compute["call"] },
    samples,
    memo,
    files: () => null,
    save: () =>
      Promise.resolve({ digest: "0".repeat(64), link: "0".repeat(64), stateSha256: null, onDisk: [] }),
    report: (report) => void reports.push(report),
    overwriting: () => undefined,
    now: () => 0,
  });
}

afterEach(() => {
  for (const link of Object.values(peers)) link.close("done");
});

async function send(
  from: "previous" | "next",
  changes: Partial<TensorMeta>,
  values = new Float32Array(2),
  sent: { sha256?: string } = {},
): Promise<void> {
  const payload = new Uint8Array(values.buffer);
  const meta: TensorMeta = {
    type: "tensor",
    generation: 4,
    step: 7,
    microBatch: 0,
    pass: "forward",
    dtype: "float32",
    shape: [values.length],
    codec: "f32",
    sha256: sent.sha256 ?? sha256(payload),
    ...changes,
  };
  await peers[from].send(meta, payload);
  await new Promise(setImmediate);
}

/** As neighbours that have nothing against them. */
function signReceipts(): void {
  for (const [peer, signer] of [
    [peers.previous, before],
    [peers.next, after],
  ] as const)
    peer.onMessage((message) => {
      if (message.type !== "receipt" || signer === undefined) return;
      const text = receiptText(message.body);
      void peer.send({
        type: "counterSignature",
        receiptId: sha256(text),
        signature: signer.sign(text),
      });
    });
}

const part = (index: number, value = 0): [Partial<TensorMeta>, Float32Array<ArrayBuffer>] => [
  { pass: "tie", microBatch: index },
  new Float32Array(index === 0 ? 2 ** 22 : 3).fill(value),
];

const troubles = (): string[] =>
  reports.flatMap((report) => (report.type === "trouble" ? [report.code] : []));

it("tied gradients are added on the way to the head, and taken over on the way back, before the step", async () => {
  await send("previous", {});
  await send("next", { pass: "backward" });
  for (const from of ["next", "previous"] as const)
    for (const index of [0, 1]) await send(from, ...part(index));
  await expect.poll(() => reports.some(({ type }) => type === "stepped")).toBe(true);
  expect(calls).toEqual(["forward", "backward", "tie", "tie", "optimise"]);
  expect(troubles()).toEqual([]);
});

it.each<[string, () => Promise<void>, string]>([
  ["a part of another step", () => send("next", { ...part(0)[0], step: 8 }, part(0)[1]), "out-of-order"],
  ["a part from the stage that has none yet", () => send("previous", ...part(0)), "out-of-order"],
  ["a later part first", () => send("next", ...part(1)), "out-of-order"],
  ["a part that there is not", () => send("next", { pass: "tie", microBatch: 2 }), "bad-tensor"],
  ["a part of another size", () => send("next", { pass: "tie" }, new Float32Array(5)), "bad-tensor"],
  ["a part with less than its shape says", () => send("next", part(0)[0], new Float32Array(5)), "bad-tensor"],
  ["no numbers", () => send("next", ...part(0, Number.NaN)), "tensor-not-finite"],
  ["another digest", () => send("next", ...part(0), { sha256: sha256("other") }), "bad-tensor"],
])("%s instead of tied gradients is trouble, told once", async (_what, attack, code) => {
  await send("previous", {});
  await send("next", { pass: "backward" });
  await attack();
  await expect.poll(troubles).toEqual([code]);
  await attack();
  await send("next", ...part(0));
  expect(troubles()).toEqual([code]);
  expect(calls).toEqual(["forward", "backward"]);
});

it.each<[string, "previous" | "next", Partial<TensorMeta>, Float32Array<ArrayBuffer>, string]>([
  ["an input that holds no number", "previous", {}, new Float32Array([0, Number.NaN]), "tensor-not-finite"],
  ["an input of another shape", "previous", {}, new Float32Array(3), "bad-tensor"],
  ["an input that says another shape", "previous", { shape: [1, 2] }, new Float32Array(2), "bad-tensor"],
  ["an input of another step", "previous", { step: 9 }, new Float32Array(2), "out-of-order"],
  [
    "an input of a micro-batch that is not due",
    "previous",
    { microBatch: 1 },
    new Float32Array(2),
    "out-of-order",
  ],
  ["an input from the wrong side", "next", {}, new Float32Array(2), "bad-tensor"],
  ["a gradient from the wrong side", "previous", { pass: "backward" }, new Float32Array(2), "bad-tensor"],
])("%s is trouble, and nothing is computed with it", async (_what, from, changes, values, code) => {
  await send(from, changes, values);
  await expect.poll(troubles).toEqual([code]);
  await send("previous", {});
  expect(troubles()).toEqual([code]);
  expect(calls).toEqual([]);
});

it.each<[string, Partial<TensorMeta>, Float32Array<ArrayBuffer>, string]>([
  ["holds no number", {}, new Float32Array([Infinity, 0]), "tensor-not-finite"],
  ["has another shape", {}, new Float32Array(3), "bad-tensor"],
  ["is of another step", { step: 6 }, new Float32Array(2), "out-of-order"],
  ["is of a micro-batch that was not sent", { microBatch: 1 }, new Float32Array(2), "out-of-order"],
])("a gradient that %s is trouble, and is added to nothing", async (_what, changes, values, code) => {
  await send("previous", {});
  await send("next", { pass: "backward", ...changes }, values);
  await expect.poll(troubles).toEqual([code]);
  expect(calls).toEqual(["forward"]);
});

it("neighbours are asked, and answered, about steps in which their stages had replicas", async () => {
  const [first, last] = [before?.publicKey, after?.publicKey] as [SessionKey, SessionKey];
  expect(shared).toEqual([`linked ${first}`, `linked ${last}`]);
  const used = { microBatches: "01", taken: HEX, given: HEX };
  const nothing = { previous: null, next: null, x: null, dy: null, y: null, dx: null };
  const body: ReceiptBody = {
    ...nothing,
    network: "n",
    runId: "r",
    stage: 0,
    step: 6,
    microBatches: 1,
    tokens: 2,
    flops: 1,
    worker: first,
    link: HEX,
    finishedAt: 0,
    share: { microBatches: "01", peers: [{ side: "next", key: own?.publicKey ?? last, ...used }] },
  };
  await peers.previous.send({ type: "receipt", body, workerSignature: HEX.repeat(2) });
  await peers.next.send({ type: "counterSignature", receiptId: HEX, signature: HEX.repeat(2) });
  await expect.poll(() => shared.slice(2)).toEqual([`asked of 6 by ${first}`, `signed ${HEX} by ${last}`]);
  expect(troubles()).toEqual([]);
});

it("a part that comes twice, or a whole that does, is trouble, told once", async () => {
  await send("previous", {});
  await send("next", { pass: "backward" });
  for (const index of [0, 1, 0, 0]) await send("next", ...part(index));
  await expect.poll(troubles).toEqual(["out-of-order"]);
  expect(calls).toEqual(["forward", "backward", "tie"]);
});

it("a step that was remembered and turns out to be of another history is trouble before anybody takes it", async () => {
  const digest = sha256(new Uint8Array(8));
  const worked = { x: digest, y: new Float32Array(2), dy: digest, dx: new Float32Array(2), loss: null };
  const of = (step: number, link: string): StepPart => ({
    step,
    link,
    worked: [worked],
    sums: new Float32Array(1),
  });
  const memo = new StepMemo();
  memo.restore([of(7, HEX), of(8, "1".repeat(64))]);
  runPipeline({ memo });
  signReceipts();
  await send("previous", {});
  await send("next", { pass: "backward" });
  for (const from of ["next", "previous"] as const)
    for (const index of [0, 1]) await send(from, ...part(index));
  await expect.poll(troubles, { timeout: 5_000 }).toEqual(["other-history"]);
  expect(calls).toEqual(["setGradients", "tie", "tie", "optimise"]);
  expect(memo.parts.map(({ step }) => step)).toEqual([7]);
});

it("what is remembered while the job before it is still computed is sent after what that gives", async () => {
  const memo = new StepMemo();
  const y = Float32Array.of(5, 5);
  memo.sent(7, 2, { x: sha256(new Uint8Array(new Float32Array(2).buffer)), y });
  const slow = Promise.withResolvers<void>();
  const call = async (name: string): ReturnType<typeof compute> => {
    if (calls.length === 1) await slow.promise;
    return await compute(name);
  };
  runPipeline({ microBatches: 3, memo, call });
  const came: unknown[] = [];
  peers.next.onMessage((message, payload) => {
    if (message.type === "tensor")
      came.push([message.microBatch, new Float32Array(payload.slice().buffer)[0]]);
  });
  for (const microBatch of [0, 1, 2]) await send("previous", { microBatch });
  expect(came).toEqual([[0, 0]]);
  slow.resolve();
  await expect
    .poll(() => came)
    .toEqual([
      [0, 0],
      [1, 0],
      [2, 5],
    ]);
  expect([calls, troubles()]).toEqual([["forward", "forward"], []]);
});

it.each([
  ["a halt while tokens are awaited forgets nothing of the step", true, 1],
  ["tokens that do not come are trouble, after which nothing is remembered", false, 0],
])("%s", async (_what, isHalted, remembered) => {
  const memo = new StepMemo();
  const tokens = Promise.withResolvers<never>();
  const runner = runPipeline({
    microBatches: 3,
    memo,
    samples: async ({ microBatch }) => (microBatch === 0 ? {} : await tokens.promise),
  });
  for (const microBatch of [0, 1]) await send("previous", { microBatch });
  if (isHalted) runner.stop();
  tokens.reject(new Error("nobody waits for them any more"));
  await runner.quiet();
  expect(memo.sentCount).toBe(remembered);
  expect(troubles()).toEqual(isHalted ? [] : ["internal"]);
});

it("nothing of a step waits when the step is over, however many have been before", async () => {
  runPipeline({ ties: [] });
  signReceipts();
  const steps = async (from: number, to: number): Promise<void> => {
    for (let step = from; step < to; step++) {
      await send("previous", { step });
      await send("next", { step, pass: "backward" });
      // The test's own waiting leaves nothing either, as `expect.poll` does.
      while (!savedOf(step)) await new Promise(setImmediate);
    }
  };
  await steps(7, 30);
  const before = queryObjects(Promise, { format: "count" });
  await steps(30, 130);
  // Of one step there are more.
  expect(queryObjects(Promise, { format: "count" }) - before).toBeLessThan(100);
});

const savedOf = (step: number): boolean =>
  reports.some((report) => report.type === "saved" && report.step === step + 1);
