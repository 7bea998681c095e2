import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { NODE_MESSAGE_LIMIT_BYTES, nodeMessage } from "../../src-protocol/control.ts";
import { encodeMessage } from "../../src-protocol/frame.ts";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { setOfMicroBatches } from "../../src-protocol/micro-batch-set.ts";
import { MOST_MICRO_BATCHES } from "../../src-protocol/model.ts";
import { ReceiptChain, receiptText, vouchedMicroBatches } from "../../src-protocol/receipt.ts";
import type { ReceiptBody, SignedReceipt } from "../../src-protocol/receipt.ts";
import { createSessionSigner, sha256, tensorsDigest, verifySession } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { receiptId } from "../pipeline/receipt-outbox.ts";
import { ShareReceipts } from "./share-receipts.ts";
import { UsedWork } from "./used-work.ts";
import type { CounterSignature, Crossed, ReceiptRequest } from "./used-work.ts";

const LINK = sha256("link");
const place = { runId: "r", tokens: 32, flops: 1_000 };

type Message = ReceiptRequest | CounterSignature;

/** Computers in a row, one on each stage, that give each other messages at once unless one of them is away. */
class Row {
  readonly nodes = [0, 1, 2].map((stage) => this.#node(stage, stage + 1));
  /** They get nothing, and what is sent to them is lost. */
  readonly away = new Set<SessionKey>();

  #node(stage: number, seed: number) {
    const signer = createSessionSigner(new Uint8Array(32).fill(seed));
    const node = {
      stage,
      key: signer.publicKey,
      kept: new Map<string, SignedReceipt>(),
      earned: [] as { receipt: SignedReceipt; isSure: boolean }[],
      shares: new ShareReceipts({
        signer,
        chain: new ReceiptChain(),
        network: "n",
        send: (to, message) => queueMicrotask(() => this.#deliver(node.key, to, message)),
        keep: async (receipt) => void node.kept.set(receiptId(receipt), receipt),
        forget: (id) => void node.kept.delete(id),
        earned: async (receipt, isSure) => {
          node.kept.delete(receiptId(receipt));
          node.earned.push({ receipt, isSure });
        },
        now: () => 1_700_000_000_000,
      }),
    };
    return node;
  }

  #deliver(from: SessionKey, to: SessionKey, message: Message): void {
    const node = this.nodes.find(({ key }) => key === to);
    if (node === undefined || this.away.has(to)) return;
    if (message.type === "receipt") node.shares.asked(from, message);
    else node.shares.counterSigned(from, message);
  }

  at(stage: number) {
    const node = this.nodes[stage];
    if (node === undefined) throw new Error(`no stage ${stage}`);
    return node;
  }

  /** The process is killed, and another one finds on the disk what it had kept. */
  restart(stage: number): void {
    const { kept } = this.at(stage);
    const next = this.#node(stage, stage + 11);
    this.nodes[stage] = next;
    next.shares.restore([...kept.values()]);
  }

  /** What the micro-batches of a step have crossed, at this stage. */
  crossed(stage: number, step = 4, microBatches = [0, 1]): Map<number, Crossed> {
    const digest = (border: number, way: string, at: number): string =>
      sha256(`${step} ${border} ${way} ${at}`);
    const keys = [1, 2, 3].map((seed) => createSessionSigner(new Uint8Array(32).fill(seed)).publicKey);
    const peer = (at: number): SessionKey => keys[at] as SessionKey;
    return new Map(
      microBatches.map((at) => [
        at,
        {
          previous:
            stage === 0
              ? null
              : {
                  peer: peer(stage - 1),
                  taken: digest(stage - 1, "y", at),
                  given: digest(stage - 1, "dx", at),
                },
          next:
            stage === 2
              ? null
              : { peer: peer(stage + 1), taken: digest(stage, "dx", at), given: digest(stage, "y", at) },
        },
      ]),
    );
  }

  counted(stage: number, step = 4, crossed = this.crossed(stage, step)): Promise<void> {
    return this.at(stage).shares.counted({ ...place, stage, step }, LINK, crossed);
  }
}

let row: Row;

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setInterval", "clearInterval", "setImmediate", "clearImmediate", "performance"],
  });
  row = new Row();
});
afterEach(() => vi.useRealTimers());

const seconds = (count: number): Promise<unknown> => vi.advanceTimersByTimeAsync(count * 1_000);

/** How many of its peers have signed, for each receipt. */
const signed = (receipts: readonly SignedReceipt[]): number[] =>
  receipts.map(
    ({ body, peerSignatures = [] }) =>
      peerSignatures.filter(
        (each, at) =>
          each !== null && verifySession(body.share?.peers[at]?.key as SessionKey, receiptText(body), each),
      ).length,
  );

const earned = (stage: number): SignedReceipt[] => row.at(stage).earned.map(({ receipt }) => receipt);

describe("a replica's receipt", () => {
  it("is on disk with its peers' signatures before the step is taken, and earned when it is", async () => {
    await Promise.all([0, 1, 2].map((stage) => row.counted(stage)));
    expect(row.nodes.map(({ kept }) => signed([...kept.values()]))).toEqual([[1], [2], [1]]);
    expect(row.nodes.flatMap((each) => each.earned)).toEqual([]);
    for (const { shares } of row.nodes) shares.taken(4);
    expect([0, 1, 2].map((stage) => signed(earned(stage)))).toEqual([[1], [2], [1]]);
    expect(row.nodes.flatMap((each) => each.earned).every(({ isSure }) => isSure)).toBe(true);
  });

  it("waits for a peer that has not counted its step yet", async () => {
    const first = row.counted(1);
    await seconds(0.3);
    await Promise.all([row.counted(0), row.counted(2), first]);
    expect(signed([...row.at(1).kept.values()])).toEqual([2]);
  });

  it("holds the step's end up for a moment, once, where a peer does not sign", async () => {
    row.away.add(row.at(2).key);
    let isSealed = false;
    void row.counted(1).then(() => (isSealed = true));
    await row.counted(0);
    await seconds(0.5);
    expect(isSealed).toBe(false);
    await seconds(1);
    expect(isSealed).toBe(true);
    row.at(1).shares.taken(4);
    await Promise.all([row.counted(0, 5), row.counted(1, 5)]);
  });

  it("holds the step's end up no longer when the peer is lost, and the next step not at all", async () => {
    row.away.add(row.at(2).key);
    const first = row.counted(1);
    await row.counted(0);
    row.at(1).shares.lost(row.at(2).key);
    await first;
    expect(signed([...row.at(1).kept.values()])).toEqual([1]);
    row.at(1).shares.taken(4);
    await Promise.all([row.counted(0, 5), row.counted(1, 5)]);
  });

  it("that nobody has signed for long is earned when the peer is there again", async () => {
    row.away.add(row.at(1).key);
    const head = row.counted(0);
    await seconds(2);
    await head;
    row.at(0).shares.taken(4);
    await seconds(60);
    expect(earned(0)).toEqual([]);
    // It was stopped all the while, and has counted the step before.
    row.away.clear();
    await Promise.all([row.counted(1), row.counted(2)]);
    row.at(0).shares.linked(row.at(1).key);
    await seconds(1);
    expect(signed(earned(0))).toEqual([1]);
  });

  it("is earned with one signature alone when the other peer does not answer for six seconds", async () => {
    row.away.add(row.at(2).key);
    void row.counted(0);
    void row.counted(1);
    await seconds(2);
    row.at(1).shares.taken(4);
    await seconds(5);
    expect(earned(1)).toEqual([]);
    await seconds(3);
    expect(signed(earned(1))).toEqual([1]);
  });

  it("is void when its step is opened again, and the same work is not signed twice", async () => {
    await Promise.all([0, 1, 2].map((stage) => row.counted(stage)));
    const [before] = row.at(0).kept.keys();
    await row.counted(0);
    expect([...row.at(0).kept.keys()]).toEqual([before]);
    await Promise.all([0, 1, 2].map((stage) => row.counted(stage, 4, row.crossed(stage, 4, [1]))));
    expect([...row.at(0).kept.values()].map(({ body }) => body.microBatches)).toEqual([1]);
  });

  it("of which it is not known whether its step was taken is earned all the same, as one in doubt", async () => {
    await Promise.all([0, 1, 2].map((stage) => row.counted(stage)));
    row.at(1).shares.left();
    expect(row.at(1).earned.map(({ isSure }) => isSure)).toEqual([false]);
  });

  it("that a killed computer had signed is earned by the process that comes after it", async () => {
    await Promise.all([0, 1, 2].map((stage) => row.counted(stage)));
    row.restart(1);
    expect(row.at(1).earned.map(({ isSure }) => isSure)).toEqual([false]);
    expect(signed(earned(1))).toEqual([2]);
  });

  it("that nobody had signed before it was killed is signed for the process that comes after it", async () => {
    for (const stage of [0, 2]) row.away.add(row.at(stage).key);
    void row.counted(1);
    await seconds(2);
    row.away.clear();
    await Promise.all([row.counted(0), row.counted(2)]);
    for (const stage of [0, 2]) row.at(stage).shares.taken(4);
    row.restart(1);
    for (const stage of [0, 2]) row.at(1).shares.linked(row.at(stage).key);
    await seconds(1);
    expect(signed(earned(1))).toEqual([2]);
  });

  it.each<[what: string, change: (request: ReceiptRequest) => ReceiptRequest]>([
    [
      "names another computer's work",
      ({ body, ...rest }) => ({ ...rest, body: { ...body, worker: row.at(2).key } }),
    ],
    ["claims another size", ({ body, ...rest }) => ({ ...rest, body: { ...body, tokens: body.tokens * 2 } })],
    ["is about another stage", ({ body, ...rest }) => ({ ...rest, body: { ...body, stage: 2 } })],
    ["is of another network", ({ body, ...rest }) => ({ ...rest, body: { ...body, network: "other" } })],
  ])("that %s gets no signature", async (_, change) => {
    await Promise.all([0, 1, 2].map((stage) => row.counted(stage)));
    const [receipt] = row.at(1).kept.values();
    if (receipt === undefined) throw new Error("nothing is kept");
    const answers: Message[] = [];
    const signer = createSessionSigner(new Uint8Array(32).fill(1));
    const head = new ShareReceipts({
      signer,
      chain: new ReceiptChain(),
      network: "n",
      send: (_to, message) => answers.push(message),
      keep: async () => undefined,
      forget: () => undefined,
      earned: async () => undefined,
      now: () => 0,
    });
    void head.counted({ ...place, stage: 0, step: 4 }, LINK, row.crossed(0));
    answers.length = 0;
    const { body, workerSignature } = receipt;
    head.asked(row.at(1).key, { type: "receipt", body, workerSignature });
    expect(answers.map(({ type }) => type)).toEqual(["counterSignature"]);
    answers.length = 0;
    const changed = change({ type: "receipt", body, workerSignature });
    const by = createSessionSigner(new Uint8Array(32).fill(2));
    head.asked(row.at(1).key, { ...changed, workerSignature: by.sign(receiptText(changed.body)) });
    expect(answers).toEqual([]);
  });
});

describe("a peer that asks again and again for what is not so", () => {
  /** A tail that has counted all of a step, which may be opened again, and how often it looks something up. */
  function asked(count: number) {
    const [signer, peer] = [9, 8].map((seed) => createSessionSigner(new Uint8Array(32).fill(seed))) as [
      SessionSigner,
      SessionSigner,
    ];
    const all = Array.from({ length: count }, (_, at) => at);
    const previous = { peer: peer.publicKey, taken: sha256("y"), given: sha256("dx") };
    let looked = 0;
    class Counted extends Map<number, Crossed> {
      override get(at: number): Crossed | undefined {
        looked += 1;
        return super.get(at);
      }
    }
    const signedFor: SessionKey[] = [];
    const used = new UsedWork(signer, "n", (to) => signedFor.push(to));
    const again = (): void =>
      used.counted(
        { ...place, stage: 2, step: 4 },
        new Counted(all.map((at) => [at, { previous, next: null }])),
      );
    again();
    const ask = (finishedAt: number, by = peer, given = sha256("wrong")): void => {
      const part = { side: "next", key: signer.publicKey, microBatches: setOfMicroBatches(all) } as const;
      const share = {
        microBatches: part.microBatches,
        peers: [{ ...part, taken: tensorsDigest(all.map(() => previous.given)), given }],
      };
      const body: ReceiptBody = {
        network: "n",
        runId: "r",
        stage: 1,
        step: 4,
        microBatches: count,
        flops: 1,
        link: LINK,
        previous: null,
        next: null,
        x: null,
        dy: null,
        y: null,
        dx: null,
        tokens: place.tokens * count,
        worker: by.publicKey,
        finishedAt,
        share,
      };
      used.asked(peer.publicKey, { type: "receipt", body, workerSignature: by.sign(receiptText(body)) });
    };
    const right = tensorsDigest(all.map(() => previous.taken));
    return { ask, right, count: again, signedFor, looked: () => looked };
  }

  it("costs no more than one look each, and is looked at no more when the step is opened again", () => {
    const { ask, right, count, signedFor, looked } = asked(64);
    for (let at = 0; at < 300; at++) ask(at);
    expect(looked()).toBe(300 * 64);
    count();
    expect(looked()).toBe((300 + 2) * 64);
    expect(signedFor).toEqual([]);
    ask(300, undefined, right);
    expect(signedFor).toHaveLength(1);
  });

  it("by other computers' names costs one look-up each", () => {
    const { ask, looked } = asked(64);
    for (let at = 0; at < 100; at++) ask(at, createSessionSigner(new Uint8Array(32).fill(100 + at)));
    expect(looked()).toBe(100);
  });

  it("is not looked at beyond its share, and is again when some time has passed", async () => {
    const { ask, right, signedFor, looked } = asked(MOST_MICRO_BATCHES);
    for (let at = 0; at < 70; at++) ask(at);
    expect(looked()).toBe(64 * MOST_MICRO_BATCHES);
    ask(70, undefined, right);
    expect(signedFor).toEqual([]);
    await seconds(1);
    ask(70, undefined, right);
    expect(signedFor).toHaveLength(1);
  });
});

/** One computer did all of the largest step, for so many of each side, who each used what it happened to get. */
async function longest(
  next: number,
  previous: number,
): Promise<{ receipt: SignedReceipt; requests: number[] }> {
  const key = (side: number, of: number): SessionKey =>
    sessionKey.parse((side * 1_000 + of).toString(16).padStart(64, "a"));
  const border = (side: number, count: number, at: number): Crossed["next"] =>
    count === 0 ? null : { peer: key(side, ((at * 7_919) % 16_411) % count), taken: LINK, given: LINK };
  const crossed = new Map(
    Array.from({ length: MOST_MICRO_BATCHES }, (_, at): [number, Crossed] => [
      at,
      { next: border(1, next, at), previous: border(2, previous, at) },
    ]),
  );
  const kept: SignedReceipt[] = [];
  const requests: number[] = [];
  const shares = new ShareReceipts({
    signer: createSessionSigner(new Uint8Array(32).fill(1)),
    chain: new ReceiptChain(),
    network: "n".repeat(64),
    send: (_to, message) => requests.push(encodeMessage(message, new Uint8Array()).length),
    keep: async (receipt) => void kept.push(receipt),
    forget: () => undefined,
    earned: async () => undefined,
    now: () => 1_700_000_000_000,
  });
  const end = shares.counted({ ...place, runId: "r".repeat(64), stage: 1, step: 4 }, LINK, crossed);
  await seconds(2);
  await end;
  const [receipt] = kept;
  if (receipt === undefined) throw new Error("nothing is kept");
  return { receipt, requests };
}

describe("the receipt of a computer that does alone what dozens do beside it", () => {
  it.each([
    { next: 31, previous: 31 },
    { next: 24, previous: 24 },
    { next: 40, previous: 64 },
    { next: 64, previous: 1 },
    { next: 0, previous: 31 },
  ])("goes into a message, and names peers for all of it: $next behind, $previous before", async (beside) => {
    const { receipt, requests } = await longest(beside.next, beside.previous);
    const peers = receipt.body.share?.peers ?? [];
    expect(requests).toHaveLength(peers.length);
    const whole = { ...receipt, peerSignatures: peers.map(() => receipt.workerSignature) };
    const message = JSON.stringify({ type: "receipts", receipts: [whole] });
    expect(message.length).toBeLessThan(NODE_MESSAGE_LIMIT_BYTES);
    expect(nodeMessage.safeParse(JSON.parse(message)).success).toBe(true);
    expect(vouchedMicroBatches(whole)).toBe(MOST_MICRO_BATCHES);
  });

  it("names as many as go into a message where there are still more", async () => {
    const { receipt } = await longest(64, 64);
    const whole = {
      ...receipt,
      peerSignatures: receipt.body.share?.peers.map(() => receipt.workerSignature),
    };
    expect(JSON.stringify({ type: "receipts", receipts: [whole] }).length).toBeLessThan(
      NODE_MESSAGE_LIMIT_BYTES,
    );
    expect(vouchedMicroBatches(whole)).toBeGreaterThan(0.6 * MOST_MICRO_BATCHES);
  });
});
