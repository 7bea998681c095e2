import type { SumCodec } from "../src-protocol/link-codecs.ts";
import type { SessionKey } from "../src-protocol/keys.ts";
import { shardCount } from "../src-protocol/sum-shards.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { Activations } from "../src-worker/compute/compute-call.ts";
import type { OfflineOptions } from "../src-worker/replay/offline-run.ts";
import { StageSums } from "../src-worker/replicas/stage-sums.ts";

interface Replica {
  readonly key: SessionKey;
  readonly sums: StageSums;
}

/**
 * Each stage's sums as replicas add them up over their links, in the product's own `StageSums`: what each gives
 * is rounded, and what that leaves out comes with its next one. `bytes`: what all of them have sent so far.
 */
export class GateSums {
  readonly #codec: SumCodec;
  readonly #microBatches: number;
  readonly #count: number;
  readonly #stages = new Map<number, readonly Replica[]>();
  #round = 0;
  bytes = 0;

  constructor(codec: SumCodec, count: number, microBatches: number) {
    this.#codec = codec;
    this.#count = count;
    this.#microBatches = microBatches;
  }

  get replicas(): NonNullable<OfflineOptions["replicas"]> {
    return { count: this.#count, add: (stage, sums) => this.#add(stage, sums) };
  }

  #add(stage: number, own: readonly Activations[]): Activations {
    const replicas = this.#stages.get(stage) ?? this.#opened(own[0]?.length ?? 0);
    this.#stages.set(stage, replicas);
    this.#round += 1;
    const live = replicas.map(({ key }) => key);
    const order = {
      round: this.#round,
      sums: live.map((replica) => ({ replica, microBatches: [] })),
      live,
      shards: shardCount(live.length),
      isRecount: false,
    };
    for (const { sums } of replicas) sums.begin(order);
    for (const [i, { sums }] of replicas.entries()) sums.give([own[i] as Activations]);
    // What adds up a shard first needs all sums of it: its total travels in the second turn.
    for (let turn = 0; turn < 2; turn++)
      for (const from of replicas) for (const to of replicas) if (from !== to) this.#send(from, to, turn);
    const [first] = replicas;
    if (first === undefined || replicas.some(({ sums }) => sums.whole() === null))
      throw new Failure("bench-failed", "The sums of the replicas did not come together.");
    for (const { sums } of replicas) sums.taken();
    return first.sums.total();
  }

  #send(from: Replica, to: Replica, turn: number): void {
    for (const { message, bytes } of from.sums.outgoing(to.key)) {
      if ((message.type === "sum") !== (turn === 0)) continue;
      this.bytes += bytes.length;
      const failure = to.sums.arrived(
        from.key,
        { ...message, generation: 1, step: 0 },
        Uint8Array.from(bytes),
      );
      if (failure !== null) throw failure;
    }
  }

  #opened(length: number): readonly Replica[] {
    return Array.from({ length: this.#count }, (_, at) => {
      const key = `replica ${at}` as SessionKey;
      const sums = new StageSums({
        own: key,
        length,
        isExact: false,
        codec: this.#codec,
        microBatches: this.#microBatches,
        // Nobody lies here.
        sign: () => "",
        isSigned: () => true,
      });
      return { key, sums };
    });
  }
}
