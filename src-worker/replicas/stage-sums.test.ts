import { describe, expect, it } from "vitest";
import { randomStream } from "../../src-engine/random.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { SUM_PART_VALUES } from "../../src-protocol/peer.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { shardCount } from "../../src-protocol/sum-shards.ts";
import { StageSums } from "./stage-sums.ts";
import type { Order, SumMessage } from "./stage-sums.ts";

const key = (at: number): SessionKey => `replica ${String(at).padStart(2, "0")}` as SessionKey;
const OF = { generation: 1, step: 3 };
const MICRO_BATCHES = 12;

interface Replica {
  readonly sums: StageSums;
  readonly gradients: readonly Float32Array<ArrayBuffer>[];
  readonly microBatches: readonly number[];
}

/** Bytes that each has sent, on average, for each of a sum. */
interface Outcome {
  readonly totals: readonly Float32Array[];
  readonly sentPerSum: number;
}

/** Replicas that give one another what they have until all have all of it, in an order that is drawn. */
function added(
  count: number,
  length: number,
  isExact: boolean,
  { seed = "any", of: total = MICRO_BATCHES }: { readonly seed?: string; readonly of?: number } = {},
): Outcome {
  const draw = randomStream("sums", seed);
  const replicas = Array.from({ length: count }, (_, at): Replica => {
    const microBatches = Array.from({ length: total }, (__, i) => i).filter((i) => i % count === at);
    const gradients = microBatches.map((i) => {
      const random = randomStream("gradient", String(i));
      return Float32Array.from({ length }, () => (random() - 0.5) * 10 ** (random() * 6 - 3));
    });
    const sums = new StageSums({
      own: key(at),
      length,
      isExact,
      microBatches: MICRO_BATCHES,
      sign: (round, shard, sha256) => `${at} ${round} ${shard} ${sha256}`,
      isSigned: (by, round, shard, sha256, signature) =>
        signature === `${Number(by.slice(-2))} ${round} ${shard} ${sha256}`,
    });
    return { sums, gradients, microBatches };
  });
  const live = replicas.map((_, at) => key(at));
  const order: Order = {
    round: 1,
    sums: replicas.flatMap(({ microBatches }, at) =>
      microBatches.length === 0 ? [] : [{ replica: key(at), microBatches }],
    ),
    live,
    shards: shardCount(count),
    isRecount: false,
  };
  const lines = new Map<string, number>();
  const refused: unknown[] = [];
  let sent = 0;
  const waiting = replicas.map((_, at) => at);
  for (let isMoving = true; isMoving;) {
    isMoving = waiting.length > 0;
    const begins = waiting.splice(Math.floor(draw() * waiting.length), 1)[0];
    const starting = begins === undefined ? undefined : replicas[begins];
    if (starting !== undefined) {
      refused.push(...starting.sums.begin(order));
      const { gradients, sums } = starting;
      if (gradients.length > 0) sums.give(isExact ? joined(gradients) : summed(gradients, length));
    }
    for (const [from, { sums }] of replicas.entries())
      for (const [to, other] of replicas.entries()) {
        if (to === from) continue;
        const pieces = sums.outgoing(key(to));
        const line = `${from} ${to}`;
        for (const { message, bytes } of pieces.slice(lines.get(line) ?? 0)) {
          isMoving = true;
          sent += bytes.byteLength;
          const refusal = other.sums.arrived(key(from), { ...message, ...OF } as SumMessage, bytes.slice());
          refused.push(refusal);
        }
        lines.set(line, pieces.length);
      }
  }
  expect(refused.filter((each) => each !== null)).toEqual([]);
  return {
    totals: replicas.map(({ sums }) => {
      expect(sums.whole()?.parts).toHaveLength(order.sums.length);
      expect(sums.lacking()).toEqual([]);
      return sums.total();
    }),
    sentPerSum: sent / count / (length * 4),
  };
}

function joined(gradients: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  return Float32Array.from(gradients.flatMap((each) => [...each]));
}

function summed(gradients: readonly Float32Array[], length: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, (_, i) => {
    let sum = 0;
    for (const each of gradients) sum = Math.fround(sum + (each[i] ?? 0));
    return sum;
  });
}

describe("the sum of a stage", () => {
  it.each([1, 2, 4, 5, 9, 17])("is the same to the bit on each of %i replicas", (count) => {
    const [alone] = added(1, 37, true).totals;
    const exact = added(count, 37, true, { seed: `${count}` }).totals;
    const fast = added(count, 37, false, { seed: `${count}` }).totals;
    // In the order of the micro-batches, whoever had them.
    for (const total of exact) expect(total).toEqual(alone);
    for (const total of fast) expect(total).toEqual(fast[0]);
    for (const [i, value] of (fast[0] ?? []).entries()) expect(value).toBeCloseTo(alone?.[i] ?? 0, 2);
  });

  it("costs each of many replicas no more than three sums, and of few no more than one for each other", () => {
    const costs = [2, 4, 5, 9, 12].map((count) => added(count, 6_000, false).sentPerSum);
    const [two = 0, four = 0, ...many] = costs;
    expect(two).toBeCloseTo(1, 1);
    expect(four).toBeCloseTo(3, 1);
    for (const each of many) expect(each).toBeLessThan(3);
  });

  it("of a stage with fewer values than replicas, and of none, is whole too", () => {
    for (const length of [0, 3]) expect(added(7, length, false).totals[6]).toHaveLength(length);
  });

  it("is whole where a shard needs several messages", () => {
    const { totals } = added(2, SUM_PART_VALUES + 5, false, { of: 2 });
    expect(totals[0]).toEqual(totals[1]);
  });
});

it("who has sent two different sums, one it did not sign, or more than there are, is found", () => {
  const sums = new StageSums({
    own: key(0),
    length: 4,
    isExact: false,
    microBatches: 2,
    sign: () => "s",
    isSigned: (_by, _round, _shard, _sha256, signature) => signature === "s",
  });
  const message = (changes: Partial<Extract<PeerMessage, { type: "sum" }>> = {}): SumMessage => ({
    ...OF,
    type: "sum",
    round: 1,
    shard: 0,
    from: 0,
    digests: ["0".repeat(64)],
    signature: "s",
    ...changes,
  });
  const bytes = (): Uint8Array<ArrayBuffer> => new Uint8Array(16);
  expect(sums.arrived(key(1), message(), bytes())).toBeNull();
  expect(sums.arrived(key(1), message(), bytes())).toBeNull();
  expect(sums.arrived(key(1), message(), bytes())?.message).toMatch(/more sums/);
  const order = {
    round: 1,
    sums: [0, 1].map((at) => ({ replica: key(at), microBatches: [at] })),
    live: [key(0), key(1)],
    shards: 1,
    isRecount: false,
  };
  const wrong = sums.begin(order);
  expect(wrong.map(({ from, failure }) => [from, failure.code])).toContainEqual([key(1), "bad-sum"]);
  sums.begin({ ...order, round: 2 });
  expect(sums.arrived(key(1), message({ round: 2, signature: "no" }), bytes())?.message).toMatch(/signed/);
  expect(sums.arrived(key(1), message({ round: 2, from: 1 }), bytes())?.message).toMatch(/no place/);
  const other = message({ round: 2, digests: ["1".repeat(64)] });
  expect(sums.arrived(key(1), other, bytes())?.message).toMatch(/two different/);
  expect(sums.lacking()).toEqual([key(1)]);
});
