import { describe, expect, it } from "vitest";
import { randomStream } from "../../src-engine/random.ts";
import type { SumCodec } from "../../src-protocol/link-codecs.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { SUM_PART_VALUES } from "../../src-protocol/peer.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { shardCount, sumRoot } from "../../src-protocol/sum-shards.ts";
import { StageSums } from "./stage-sums.ts";
import type { Order, SumMessage } from "./stage-sums.ts";

const key = (at: number): SessionKey => `replica ${String(at).padStart(2, "0")}` as SessionKey;
const OF = { generation: 1, step: 3 };
const MICRO_BATCHES = 12;

interface Replica {
  readonly sums: StageSums;
  readonly gradients: () => readonly Float32Array<ArrayBuffer>[];
  readonly microBatches: readonly number[];
}

/** Bytes that each has sent, on average, for each of a sum as float32. */
interface Outcome {
  readonly totals: readonly Float32Array[];
  readonly sentPerSum: number;
}

interface Options {
  readonly seed?: string;
  readonly of?: number;
  readonly codec?: SumCodec;
}

function replicasOf(
  count: number,
  length: number,
  isExact: boolean,
  { of: total = MICRO_BATCHES, codec = "f32" }: Options = {},
): readonly Replica[] {
  return Array.from({ length: count }, (_, at): Replica => {
    const microBatches = Array.from({ length: total }, (__, i) => i).filter((i) => i % count === at);
    const gradients = () =>
      microBatches.map((i) => {
        const random = randomStream("gradient", String(i));
        return Float32Array.from({ length }, () => (random() - 0.5) * 10 ** (random() * 6 - 3));
      });
    const sums = new StageSums({
      own: key(at),
      length,
      isExact,
      codec,
      microBatches: MICRO_BATCHES,
      sign: (round, shard, sha256) => `${at} ${round} ${shard} ${sha256}`,
      isSigned: (by, round, shard, sha256, signature) =>
        signature === `${Number(by.slice(-2))} ${round} ${shard} ${sha256}`,
    });
    return { sums, gradients, microBatches };
  });
}

/** Replicas that give one another what they have until all have all of it, in an order that is drawn. */
function added(count: number, length: number, isExact: boolean, options: Options = {}): Outcome {
  return exchanged(replicasOf(count, length, isExact, options), length, options.seed, ({ gradients }) =>
    isExact ? gradients() : [summed(gradients(), length)],
  );
}

let rounds = 0;

function exchanged(
  replicas: readonly Replica[],
  length: number,
  seed = "any",
  own: (replica: Replica) => readonly Float32Array<ArrayBuffer>[],
): Outcome {
  const draw = randomStream("sums", seed);
  const live = replicas.map((_, at) => key(at));
  const order: Order = {
    round: (rounds += 1),
    sums: replicas.flatMap(({ microBatches }, at) =>
      microBatches.length === 0 ? [] : [{ replica: key(at), microBatches }],
    ),
    live,
    shards: shardCount(replicas.length),
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
      if (starting.microBatches.length > 0) starting.sums.give(own(starting));
    }
    for (const [from, { sums }] of replicas.entries())
      for (const [to, other] of replicas.entries()) {
        if (to === from || waiting.includes(from)) continue;
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
    sentPerSum: sent / replicas.length / (length * 4),
  };
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

  it.each(["f32", "int8b64"] as const)("is whole where a shard needs several messages, as %s", (codec) => {
    const length = SUM_PART_VALUES + 5;
    const ones = new Float32Array(length).fill(1);
    const { totals } = exchanged(replicasOf(2, length, false, { codec }), length, "any", () => [ones]);
    for (const total of totals) expect(total.every((value) => Math.abs(value - 2) < 0.01)).toBe(true);
  });

  it("is whole in the class exact where a gradient needs several messages, one after another", () => {
    const length = SUM_PART_VALUES + 5;
    const numbered = ({ microBatches }: Replica) =>
      microBatches.map((at) => new Float32Array(length).fill(2 ** at));
    const { totals } = exchanged(replicasOf(2, length, true, { of: 3 }), length, "any", numbered);
    for (const total of totals) expect(total.every((value) => value === 7)).toBe(true);
  });

  it.each([1, 6])(
    "is given from the gradients' own memory: they are not there twice (%i shards)",
    (shards) => {
      const [replica] = replicasOf(2, 600, true);
      if (replica === undefined) throw new Error("no replica");
      const { sums, microBatches } = replica;
      const live = Array.from({ length: Math.max(2, shards) }, (_, at) => key(at));
      const order = { round: 1, sums: [{ replica: key(0), microBatches }], live, shards, isRecount: false };
      const gradients = replica.gradients();
      sums.begin(order);
      sums.give(gradients);
      const own = new Set(gradients.map(({ buffer }) => buffer));
      const given = live
        .slice(1)
        .flatMap((to) => sums.outgoing(to).filter(({ message }) => message.type === "sum"));
      expect(given.length).toBeGreaterThanOrEqual(gradients.length);
      for (const { bytes } of given) expect(own.has(bytes.buffer as ArrayBuffer)).toBe(true);
    },
  );
});

describe("the sum of a stage in fewer bits", () => {
  const CODED = ["f16", "int8b64"] as const;

  it.each(CODED)("as %s is the same to the bit on each of few and of many replicas", (codec) => {
    for (const count of [2, 3, 5, 9]) {
      const [first, ...others] = added(count, 37, false, { seed: `${count}`, codec }).totals;
      for (const total of others) expect(total).toEqual(first);
      const [asItIs] = added(count, 37, false).totals;
      const largest = Math.max(...(asItIs ?? []).map(Math.abs));
      for (const [i, value] of (first ?? []).entries())
        expect(Math.abs(value - (asItIs?.[i] ?? 0))).toBeLessThan(0.02 * largest);
    }
  });

  it("costs as many bytes as its codec has bits, of few and of many", () => {
    for (const count of [3, 9]) {
      const [f32, f16, int8] = (["f32", ...CODED] as const).map(
        (codec) => added(count, 6_400, false, { codec }).sentPerSum,
      );
      expect(f16).toBeCloseTo(0.5 * (f32 ?? 0), 5);
      expect((int8 ?? 0) / (f32 ?? 1)).toBeCloseTo(8.25 / 32, 2);
    }
  });

  /** Of 64 values one is large, so that the others are less than half a step of their block. */
  const uneven = (): Float32Array<ArrayBuffer>[] => [
    Float32Array.from({ length: 64 }, (_, i) => (i === 0 ? 100 : 0.1)),
  ];
  const STEPS = 50;
  /** What has come of a small value in all steps, on each replica. */
  function come(count: number, codec: SumCodec, after: (sums: StageSums) => void): number[] {
    const replicas = replicasOf(count, 64, false, { codec });
    const small = replicas.map(() => 0);
    for (let step = 0; step < STEPS; step++) {
      const { totals } = exchanged(replicas, 64, `${step}`, uneven);
      for (const [at, total] of totals.entries()) small[at] = (small[at] ?? 0) + (total[1] ?? 0);
      for (const { sums } of replicas) after(sums);
    }
    return small;
  }

  it.each([2, 5])(
    "leaves nothing out for good, of %i replicas: what was rounded off comes later",
    (count) => {
      const due = STEPS * count * 0.1;
      for (const each of come(count, "int8b64", (sums) => sums.taken()))
        expect(Math.abs(each - due)).toBeLessThan(0.2 * due);
      const without = come(count, "int8b64", (sums) => sums.adopted());
      expect(without).toEqual(without.map(() => 0));
    },
  );

  it("gives the same again when a step that was not taken is summed again", () => {
    const replicas = replicasOf(2, 64, false, { codec: "int8b64" });
    const once = exchanged(replicas, 64, "a", uneven).totals[0];
    expect(exchanged(replicas, 64, "b", uneven).totals[0]).toEqual(once);
  });

  it("keeps what was left out for the next step that a replica counts something in", () => {
    const [first, second] = replicasOf(2, 64, false, { codec: "int8b64" });
    if (first === undefined || second === undefined) throw new Error("no replicas");
    let small = 0;
    for (let step = 0; step < STEPS; step++) {
      const microBatches = step % 2 === 0 ? second.microBatches : [];
      const { totals } = exchanged([first, { ...second, microBatches }], 64, `${step}`, uneven);
      small += totals[0]?.[1] ?? 0;
      for (const { sums } of [first, second]) sums.taken();
    }
    expect(Math.abs(small - 1.5 * STEPS * 0.1)).toBeLessThan(0.2 * STEPS * 0.1);
  });

  it("as f16 has no infinity: what there is no room for comes with the next steps", () => {
    const replicas = replicasOf(2, 1, false, { codec: "f16" });
    const totals = [100_000, 0, 0].map((value) => {
      const [total] = exchanged(replicas, 1, "any", () => [Float32Array.of(value)]).totals;
      for (const { sums } of replicas) sums.taken();
      return total?.[0] ?? 0;
    });
    expect(totals).toEqual([2 * 65_504, 2 * 34_496, 0]);
  });
});

it("who has sent two different sums, one it did not sign, or more than there are, is found", () => {
  const sums = new StageSums({
    own: key(0),
    length: 4,
    isExact: false,
    codec: "f32",
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
    codec: "f32",
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

describe("a sum in fewer bits", () => {
  const sent = (
    bytes: Uint8Array<ArrayBuffer>,
    changes: Partial<Extract<PeerMessage, { type: "sum" }>> = {},
  ) => {
    const { sums } = replicasOf(2, 64, false, { codec: "int8b64" })[0] ?? {};
    if (sums === undefined) throw new Error("no replica");
    const two = [0, 1].map((at) => ({ replica: key(at), microBatches: [at] }));
    sums.begin({ round: 1, sums: two, live: [key(0), key(1)], shards: 1, isRecount: false });
    const digests = [sha256(bytes)];
    const signature = `1 1 null ${sumRoot(digests)}`;
    const of = { ...OF, type: "sum", round: 1, shard: 0, from: 0, codec: "int8b64" } as const;
    return sums.arrived(key(1), { ...of, digests, signature, ...changes }, bytes)?.message ?? null;
  };
  /** A scale, as the upper half of a float32, and 64 integers. */
  const block = (scale: number, integer: number): Uint8Array<ArrayBuffer> =>
    Uint8Array.of(scale & 0xff, scale >>> 8, ...Array.from({ length: 64 }, () => integer));

  it("is refused with a scale that makes it no number, infinite, or too large to be used", () => {
    expect(sent(block(0x3f80, 1))).toBeNull();
    for (const scale of [0x7fc0, 0x7f80, 0xff80]) expect(sent(block(scale, 1))).toMatch(/no numbers/);
    expect(sent(block(0x7f7f, 127))).toMatch(/no numbers/);
    expect(sent(block(0x7f7f, 1))).toMatch(/too large/);
  });

  it("is refused in another codec than the run's, and with a byte too many or too few", () => {
    expect(sent(new Uint8Array(256), { codec: "f32" })).toMatch(/as f32/);
    expect(sent(new Uint8Array(65))).toMatch(/no place/);
    expect(sent(new Uint8Array(67))).toMatch(/no place/);
  });
});
