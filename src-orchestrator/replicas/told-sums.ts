import { sumText } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { verifySession } from "../../src-protocol/signing.ts";
import { addersOf } from "../../src-protocol/sum-shards.ts";
import { ownedCells } from "../routing/cells.ts";
import type { Cells } from "../routing/cells.ts";
import type { ReplicaMessage, ReplicaRun, SumOrder } from "./replica-run.ts";

/** What a replica's word that it has the whole sum comes to. */
export type SumVerdict =
  /** Of another step or round. */
  | { readonly type: "nothing" }
  | { readonly type: "fence"; readonly key: SessionKey; readonly code: string }
  | { readonly type: "summed"; readonly run: ReplicaRun }
  /** The two who add a shard have signed different totals: everybody is to add every shard once. */
  | { readonly type: "split"; readonly run: ReplicaRun }
  /** Everybody has: these had signed another total than most. */
  | { readonly type: "liars"; readonly run: ReplicaRun; readonly liars: readonly SessionKey[] };

/** A replica has the whole sum: of parts that their makers, and of shards that whoever added them has signed, once. */
export function judgeSums(
  before: ReplicaRun,
  key: SessionKey,
  stage: number,
  { step, round, parts, totals: adds, tied }: Extract<ReplicaMessage, { type: "summed" }>,
): SumVerdict {
  const fence = (who: SessionKey, code: string): SumVerdict => ({ type: "fence", key: who, code });
  const here = before.book.stages[stage];
  const order = before.orders[stage];
  if (step !== before.step || round !== before.round || here === undefined || order === undefined)
    return { type: "nothing" };
  if (!before.book.isCommitted || before.isHeld || before.book.isTaken) return { type: "nothing" };
  const due = sharesOf(here.cells).map(({ replica }) => replica);
  const areAdders = adds.every(({ by }, shard) => {
    const all = addersOf(order, shard);
    return by === (all.includes(key) ? key : all[0]);
  });
  const isDue = adds.length === (order.shards === 1 ? 0 : order.shards) && areAdders;
  if (parts.map(({ by }) => by).join() !== due.join() || !isDue) return fence(key, "wrong-sums");
  if ((tied !== undefined) !== before.tied.has(stage)) return fence(key, "wrong-sums");
  const signed = new Map(before.signed);
  const totals = new Map(before.totals);
  const told = [
    ...parts.map((part) => ({ ...part, shard: null, name: "" })),
    ...adds.map((total, shard) => ({ ...total, shard, name: `${stage}/${shard}/${total.by}` })),
  ];
  for (const { by, sha256, signature, shard, name } of told) {
    const known = shard === null ? signed.get(by) : totals.get(name);
    if (known === sha256) continue;
    const { network, runId, generation } = before.signs;
    const of = { network, runId, generation, stage, step, round, sha256, ...(shard !== null && { shard }) };
    // SECURITY: without the signature anybody could say that another one has sent two sums.
    if (!verifySession(by, sumText(of), signature)) return fence(key, "bad-signature");
    if (known !== undefined) return fence(by, "two-sums");
    if (shard === null) signed.set(by, sha256);
    else totals.set(name, sha256);
  }
  const tiedSums = tied === undefined ? before.tiedSums : new Map(before.tiedSums).set(key, tied);
  const run: ReplicaRun = { ...before, signed, totals, tiedSums };
  if (order.isRecount) {
    const liars = wrongAdders(run, stage, order);
    if (liars === null) return { type: "summed", run };
    const disputed = new Map(run.disputed);
    disputed.delete(stage);
    const settled: ReplicaRun = { ...run, disputed };
    return liars.length === 0 ? { type: "summed", run: settled } : { type: "liars", run: settled, liars };
  }
  if (!isSplit(run, stage, order)) return { type: "summed", run };
  const dispute = { live: order.live, totals: run.totals };
  return { type: "split", run: { ...run, disputed: new Map(run.disputed).set(stage, dispute) } };
}

/** Of a stage's micro-batches, each owner's, in the order of their keys: so the sums are added. */
export function sharesOf(cells: Cells): { replica: SessionKey; microBatches: number[] }[] {
  return [...ownedCells(cells)].map(([replica, microBatches]) => ({ replica, microBatches }));
}

/**
 * What each stage that holds parameters with others gives, as most of its replicas have told. Whoever told another
 * digest finds that out and has no part in the step.
 */
export function tiesAgreed({
  tied,
  tiedSums,
  book: { stages },
}: ReplicaRun): { stage: number; sha256: string }[] {
  return [...tied].flatMap((stage) => {
    const counts = new Map<string, number>();
    for (const key of stages[stage]?.live ?? []) {
      const digest = tiedSums.get(key);
      if (digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    }
    const most = [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0];
    return most === undefined ? [] : [{ stage, sha256: most[0] }];
  });
}

/** The two who add a shard have signed different totals. */
function isSplit({ totals }: ReplicaRun, stage: number, order: SumOrder): boolean {
  return Array.from({ length: order.shards }).some((_, shard) => {
    const said = addersOf(order, shard).flatMap((by) => totals.get(`${stage}/${shard}/${by}`) ?? []);
    return new Set(said).size > 1;
  });
}

/** Who has signed another total of a shard than most who add them all, now or before; null: not all have told. */
function wrongAdders(run: ReplicaRun, stage: number, order: SumOrder): SessionKey[] | null {
  const wrong = new Set<SessionKey>();
  for (let shard = 0; shard < order.shards; shard++) {
    const counts = new Map<string, number>();
    for (const by of order.live) {
      const digest = run.totals.get(`${stage}/${shard}/${by}`);
      if (digest === undefined) return null;
      counts.set(digest, (counts.get(digest) ?? 0) + 1);
    }
    const [right] = [...counts].toSorted(([, a], [, b]) => b - a)[0] ?? [];
    for (const by of order.live)
      for (const round of [run.totals, run.disputed.get(stage)?.totals])
        if ((round?.get(`${stage}/${shard}/${by}`) ?? right) !== right) wrong.add(by);
  }
  return [...wrong];
}
