import { sessionKey, ss58Address } from "../../src-protocol/keys.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { overlapsAny } from "../../src-protocol/micro-batch-set.ts";
import { receiptText, vouchedMicroBatches } from "../../src-protocol/receipt.ts";
import type { ReceiptBody, SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256, statementId } from "../../src-protocol/signing.ts";
import type { ReceiptRow } from "../../src-protocol/state.ts";
import { accruedAccount, balance, enter } from "./book.ts";
import { ownerOf } from "./owner.ts";
import {
  formRefusal,
  leastStepMs,
  priceRao,
  shareTenant,
  signatureRefusalAside,
  tenant,
} from "./receipts.ts";
import type { CountedShare, ReceiptRefusal, Tenant, Tenure, Vouches } from "./receipts.ts";
import type { SealHead } from "./seals.ts";
import { prune, receiptOf, sealHead, sealOf, shareText } from "./seals.ts";
import { bigintOf, hexOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store, StoredRow } from "../stores/store.ts";

export interface LedgerOptions {
  readonly network: string;
  readonly run: RunSpec;
  /** Counted for one micro-batch, by stage. */
  readonly flops: readonly number[];
  readonly raoPerTeraflop: bigint;
  /** The pipeline at work, and for how long it has been. */
  readonly pipeline: () => { readonly generation: number; readonly elapsedMs: number };
  /** Receipts of earlier steps are deleted once they are added up: nobody can go back to those. */
  readonly keptFrom: () => number;
  readonly now: () => number;
  readonly block: () => number;
  /** A stage has said this of its chain with a receipt that was paid. */
  readonly onLink?: (step: number, stage: number, link: string) => void;
}

export interface CreditAnswer {
  /** Ids that are on disk and paid, the ones that were before included. */
  stored: string[];
  refused: { id: string; code: ReceiptRefusal }[];
  /** Of what is stored, the shares of which a part is not paid, and why. */
  partly?: { id: string; code: ReceiptRefusal }[];
}

/** What was done is to be looked at again later: their steps are not finished yet. */
export interface Credited {
  readonly answer: CreditAnswer;
  readonly early: readonly SignedReceipt[];
}

/** `signatures`: of a share, those that count. */
type Found =
  | Exclude<Tenant, { hotkey: unknown }>
  | { hotkey: Ss58Address; signatures?: Vouches; hasOwn?: boolean };

/** A query for each of the two indexes: without the word about `share` SQLite reads the whole table. */
export const OF_STEP = ["NULL", "NOT NULL"]
  .map(
    (is) =>
      `SELECT * FROM receipts WHERE runId = :runId AND stage = :stage AND step = :step AND share IS ${is}`,
  )
  .join(" UNION ALL ");

/** What one message's bookings have in common, looked up once. */
interface Page {
  head: SealHead;
  readonly tenures: (key: SessionKey) => readonly Tenure[];
  /** Receipts of the message, by hotkey's number. */
  readonly counts: Map<bigint, number>;
  readonly numberOf: (address: Ss58Address) => bigint;
}

/** Counter-signed receipts, and the double-entry account of what they earned. */
export class Ledger {
  private readonly store: Store;
  private readonly options: LedgerOptions;
  /** Receipts that wait to be added up, by hotkey and stage. */
  private readonly loose = new Map<Ss58Address, Map<number, number>>();

  constructor(store: Store, options: LedgerOptions) {
    this.store = store;
    this.options = options;
  }

  /** Verifies, stores and pays; resolves when that is on disk. The same receipt again is answered again and paid once. */
  async credit(receipts: readonly SignedReceipt[]): Promise<Credited> {
    const answer: CreditAnswer = { stored: [], refused: [] };
    const early: SignedReceipt[] = [];
    const looked: Promise<{ id: string; receipt: SignedReceipt; code: ReceiptRefusal | null }>[] = [];
    // A quick node's receipts may be here before the step that they rest on can be read.
    await this.store.settled("later");
    const tenures = this.tenuresOnce();
    for (const receipt of receipts) {
      const text = receiptText(receipt.body);
      const id = sha256(text);
      // SECURITY: what can be refused for little is refused before the signatures are looked at.
      const { network, run, flops } = this.options;
      const known = formRefusal(receipt, network, run, flops) ?? this.standing(id, receipt, tenures);
      if (known === "stored") {
        answer.stored.push(id);
        continue;
      }
      if (known === "early") {
        early.push(receipt);
        continue;
      }
      const proof = known === null ? signatureRefusalAside(receipt, text) : Promise.resolve(known);
      looked.push(proof.then((code) => ({ id, receipt, code })));
    }
    const asked = await Promise.all(looked);
    const sound = asked.filter(({ code }) => code === null);
    for (const { id, code } of asked) if (code !== null) answer.refused.push({ id, code });
    if (sound.length === 0) return { answer, early };
    return await this.store.writeLater(() => {
      const page = this.page();
      for (const { id, receipt } of sound) {
        const code = this.book(id, receipt, page, answer);
        if (code === null) answer.stored.push(id);
        else answer.refused.push({ id, code });
      }
      for (const [hotkey, receipts] of page.counts)
        this.store.run("UPDATE hotkeys SET receipts = receipts + :receipts WHERE number = :hotkey", {
          hotkey,
          receipts,
        });
      return { answer, early };
    }, sound.length);
  }

  /** Inside `store.write` only: nobody else writes meanwhile. */
  private page(): Page {
    const numbers = new Map<Ss58Address, bigint>();
    return {
      head: sealHead(this.store),
      tenures: this.tenuresOnce(),
      counts: new Map(),
      numberOf: (address) => {
        const number = numbers.get(address) ?? hotkeyNumber(this.store, address);
        numbers.set(address, number);
        return number;
      },
    };
  }

  private book(id: string, asked: SignedReceipt, page: Page, answer: CreditAnswer): ReceiptRefusal | null {
    const { body, workerSignature, previousSignature, nextSignature } = asked;
    const { runId, stage, step, microBatches, tokens, flops, finishedAt } = body;
    const booked = this.booked(id, body);
    if (booked !== null) return booked === "stored" ? null : booked;
    const found = this.tenant(asked, page.tenures);
    if (found === "early") return "not-finished";
    if ("refusal" in found) return found.refusal;
    // Of a share, only what was vouched for is paid, so only those who vouched are kept.
    const receipt =
      found.signatures === undefined ? asked : { ...asked, peerSignatures: [...found.signatures] };
    const vouched = vouchedMicroBatches(receipt);
    if (vouched < microBatches && found.hasOwn === true)
      answer.partly = [...(answer.partly ?? []), { id, code: "own-counter-signature" }];
    const { raoPerTeraflop } = this.options;
    const hotkey = page.numberOf(found.hotkey);
    const { head } = page;
    const number = head.number + 1n;
    const pay = {
      amountRao: priceRao(flops, vouched, raoPerTeraflop),
      raoPerTeraflop,
      block: this.options.block(),
      creditedAt: this.options.now(),
    };
    const seal = sealOf(head.seal, {
      id,
      workerSignature,
      previousSignature,
      nextSignature,
      peerSignatures: receipt.peerSignatures,
      hotkey: found.hotkey,
      ...pay,
    });
    this.store.run(
      `INSERT INTO receipts (number, id, runId, stage, step, microBatches, tokens, flops, worker, previous, next, x, dy, y, dx,
         link, finishedAt, workerSignature, previousSignature, nextSignature, hotkey, amountRao, block, creditedAt, sequence,
         before, raoPerTeraflop, seal, share)
       VALUES (:number, :id, :runId, :stage, :step, :microBatches, :tokens, :flops, :worker, :previous, :next, :x, :dy, :y, :dx,
         :link, :finishedAt, :workerSignature, :previousSignature, :nextSignature, :hotkey, :amountRao, :block, :creditedAt,
         :sequence, :before, :raoPerTeraflop, :seal, :share)`,
      {
        number,
        id: bytes(id),
        runId,
        stage,
        step,
        microBatches,
        tokens,
        flops,
        worker: bytes(body.worker),
        previous: bytesOrNull(body.previous),
        next: bytesOrNull(body.next),
        x: bytesOrNull(body.x),
        dy: bytesOrNull(body.dy),
        y: bytesOrNull(body.y),
        dx: bytesOrNull(body.dx),
        link: bytes(body.link),
        finishedAt,
        workerSignature: bytes(workerSignature),
        previousSignature: bytesOrNull(previousSignature),
        nextSignature: bytesOrNull(nextSignature),
        hotkey,
        sequence: body.chain?.sequence ?? null,
        before: bytesOrNull(body.chain?.before ?? null),
        seal: bytes(seal),
        share: shareText(receipt),
        ...pay,
      },
    );
    if (body.share !== undefined) {
      const { store } = this;
      const { worker } = body;
      // SECURITY: its receipt is deleted one day, and must not be paid again in another text.
      store.run(
        "UPDATE shares SET isPaid = 1 WHERE runId = :runId AND step = :step AND stage = :stage AND worker = :worker",
        { runId, step, stage, worker },
      );
    }
    page.head = { number, seal };
    page.counts.set(hotkey, (page.counts.get(hotkey) ?? 0) + 1);
    this.options.onLink?.(step, stage, body.link);
    this.addUpInTime(found.hotkey, hotkey, body);
    return null;
  }

  private addUpInTime(address: Ss58Address, hotkey: bigint, { runId, stage }: ReceiptBody): void {
    const stages = this.loose.get(address) ?? new Map<number, number>();
    const count = (stages.get(stage) ?? this.looseOf(hotkey, runId, stage) - 1) + 1;
    this.loose.set(address, stages.set(stage, count));
    if (count < RECEIPTS_PER_STATEMENT) return;
    this.loose.delete(address);
    addUp(this.store, address, this.options);
    forgetReceipts(this.store, runId, this.options);
  }

  private looseOf(hotkey: bigint, runId: string, stage: number): number {
    return numberOf(
      this.store.get(
        "SELECT count(*) AS n FROM receipts WHERE statement IS NULL AND hotkey = :hotkey AND runId = :runId AND stage = :stage",
        { hotkey, runId, stage },
      )?.n,
    );
  }

  /** What is known of a receipt without its signatures: stored before, refused for good, early, or (null) still to be looked at. */
  private standing(
    id: string,
    receipt: SignedReceipt,
    tenures: (key: SessionKey) => readonly Tenure[],
  ): "stored" | "early" | ReceiptRefusal | null {
    const booked = this.booked(id, receipt.body);
    if (booked !== null) return booked;
    const found = this.tenant(receipt, tenures);
    if (found === "early") return found;
    return "refusal" in found ? found.refusal : null;
  }

  private tenant(receipt: SignedReceipt, tenures: (key: SessionKey) => readonly Tenure[]): Found {
    const { run } = this.options;
    const { stage, microBatches, share } = receipt.body;
    const leastMs = leastStepMs(run.arithmetic, (this.options.flops[stage] ?? 0) * microBatches);
    return share === undefined
      ? tenant(receipt, leastMs, tenures)
      : shareTenant(receipt, leastMs, this.counted(receipt.body), tenures);
  }

  /** What a finished step has counted, on the receipt's stage and those beside it. */
  private counted({ runId, stage, step }: ReceiptBody): CountedShare[] {
    return this.store
      .all(
        `SELECT stage, worker, generation, microBatches FROM shares
         WHERE runId = :runId AND step = :step AND stage BETWEEN :from AND :to`,
        { runId, step, from: stage - 1, to: stage + 1 },
      )
      .map((row) => ({
        generation: numberOf(row.generation),
        stage: numberOf(row.stage),
        worker: sessionKey.parse(row.worker),
        microBatches: textOf(row.microBatches),
      }));
  }

  private booked(id: string, { runId, stage, step, share }: ReceiptBody): "stored" | "already-paid" | null {
    const rows = this.store.all(OF_STEP, { runId, stage, step });
    if (rows.some((row) => hexOf(row.id) === id)) return "stored";
    if (share === undefined && rows.length > 0) return "already-paid";
    if (share !== undefined) {
      const shares = rows.map((row) => receiptOf(row, this.options.network).body.share);
      const known = shares.flatMap((its) => its?.microBatches ?? []);
      if (known.length < rows.length || overlapsAny(share.microBatches, known)) return "already-paid";
      const paid = this.store.all(
        "SELECT microBatches FROM shares WHERE runId = :runId AND step = :step AND stage = :stage AND isPaid = 1",
        { runId, step, stage },
      );
      const sets = paid.map((row) => textOf(row.microBatches));
      return overlapsAny(share.microBatches, sets) ? "already-paid" : null;
    }
    const added = this.store.get(
      `SELECT 1 FROM statements WHERE runId = :runId AND stage = :stage AND toStep >= :step AND fromStep <= :step LIMIT 1`,
      { runId, stage, step },
    );
    return added === null ? null : "already-paid";
  }

  /** Looked up once for each session: a message is about few of them. */
  private tenuresOnce(): (key: SessionKey) => readonly Tenure[] {
    const known = new Map<SessionKey, readonly Tenure[]>();
    return (key) => {
      const found = known.get(key) ?? this.tenures(key);
      known.set(key, found);
      return found;
    };
  }

  private tenures(session: SessionKey): Tenure[] {
    const live = this.options.pipeline();
    const owners = new Map<Ss58Address, Ss58Address>();
    return this.store
      .all(
        `SELECT a.generation, a.stage, a.hotkey, g.resumeStep, g.finishedStep, g.elapsedMs, g.isShared
         FROM assignments a JOIN generations g USING (runId, generation) WHERE a.sessionKey = :session AND a.runId = :runId`,
        { session, runId: this.options.run.runId },
      )
      .map((row) => {
        const isLive = numberOf(row.generation) === live.generation;
        const hotkey = ss58Address.parse(textOf(row.hotkey));
        const owner = owners.get(hotkey) ?? ownerOf(this.store, hotkey);
        owners.set(hotkey, owner);
        return {
          generation: numberOf(row.generation),
          stage: numberOf(row.stage),
          hotkey,
          owner,
          resumeStep: numberOf(row.resumeStep),
          finishedStep: numberOf(row.finishedStep),
          elapsedMs: isLive ? live.elapsedMs : numberOf(row.elapsedMs),
          isShared: numberOf(row.isShared) === 1,
          isLive,
        };
      });
  }
}

/** So many at most wait to be added up, of each stage: what a claim makes anyway. */
const RECEIPTS_PER_STATEMENT = 512;

/**
 * Adds a hotkey's receipts up into statements, one for each stage and steps without a gap, and books what
 * they earned (where stages have replicas, a step may pass without work for one of them: that is no gap); inside `store.write` only. Receipts of blocks that have not come wait: a statement is
 * claimed whole.
 */
export function addUp(
  store: Store,
  address: Ss58Address,
  clock: { readonly now: () => number; readonly block: () => number },
): void {
  const now = clock.now();
  const rows = store.all(
    `SELECT r.number, r.id, r.hotkey, r.runId, r.stage, r.step, r.link, r.amountRao, r.block, r.share FROM receipts r
     JOIN hotkeys h ON h.number = r.hotkey WHERE h.address = :address AND r.statement IS NULL AND r.block <= :until
     ORDER BY r.runId, r.stage, r.step, r.number`,
    { address, until: clock.block() },
  );
  for (const group of withoutGaps(rows)) {
    const [first, last] = [group[0], group.at(-1)];
    if (first === undefined || last === undefined) continue;
    const amountRao = group.reduce((sum, row) => sum + bigintOf(row.amountRao), 0n);
    const id = statementId(group.map((row) => hexOf(row.id)));
    const blocks = group.map((row) => numberOf(row.block));
    const { lastRow } = store.run(
      `INSERT INTO statements VALUES (NULL, :id, :runId, :stage, :hotkey, :fromStep, :toStep, :receipts, :link, :amountRao,
        :fromBlock, :toBlock, :now, NULL)`,
      {
        id: bytes(id),
        runId: textOf(first.runId),
        stage: numberOf(first.stage),
        hotkey: bigintOf(first.hotkey),
        fromStep: numberOf(first.step),
        toStep: numberOf(last.step),
        receipts: group.length,
        link: bytes(hexOf(last.link)),
        amountRao,
        fromBlock: Math.min(...blocks),
        toBlock: Math.max(...blocks),
        now,
      },
    );
    for (const { number } of group)
      store.run("UPDATE receipts SET statement = :statement WHERE number = :number", {
        statement: lastRow,
        number: bigintOf(number),
      });
    enter(store, "statement", id, now);
  }
}

function withoutGaps(rows: readonly StoredRow[]): StoredRow[][] {
  const groups: StoredRow[][] = [];
  for (const row of rows) {
    const last = groups.at(-1)?.at(-1);
    if (last !== undefined && goesOn(last, row)) groups.at(-1)?.push(row);
    else groups.push([row]);
  }
  return groups;
}

function goesOn(last: StoredRow, row: StoredRow): boolean {
  if (last.runId !== row.runId || last.stage !== row.stage) return false;
  if (last.share !== null || row.share !== null) return last.share !== null && row.share !== null;
  return numberOf(last.step) + 1 === numberOf(row.step);
}

/** More steps than this are not kept once they are added up, however old the state is that the run could go back to. */
const MOST_KEPT_STEPS = 512;
/** Who has been gone for so long sends no more that belongs to the same statement. */
const LOOSE_STEPS = 2 * RECEIPTS_PER_STATEMENT;

/**
 * Deletes receipts of steps below `keptFrom` that are in a statement, those of computers that are gone added
 * up before; inside `store.write` only. Nothing is paid again: `statements` says which steps of a stage are, and
 * `shares` which replicas are.
 */
function forgetReceipts(
  store: Store,
  runId: string,
  { keptFrom, ...clock }: Pick<LedgerOptions, "keptFrom" | "now" | "block">,
): void {
  const newest = numberOf(
    store.get("SELECT max(step) AS step FROM receipts WHERE runId = :runId", { runId })?.step,
  );
  const gone = store.all(
    `SELECT DISTINCT h.address FROM receipts r JOIN hotkeys h ON h.number = r.hotkey
     WHERE r.statement IS NULL AND (r.runId != :runId OR r.step < :before)`,
    { runId, before: newest - LOOSE_STEPS },
  );
  for (const { address } of gone) addUp(store, ss58Address.parse(address), clock);
  prune(store, runId, Math.max(keptFrom(), newest - MOST_KEPT_STEPS));
}

/** What a hotkey has earned and not claimed: in its account, or not added up yet. */
export function accruedRao(store: Store, hotkey: Ss58Address): bigint {
  const loose = store.get(
    `SELECT sum(r.amountRao) AS rao FROM receipts r JOIN hotkeys h ON h.number = r.hotkey
     WHERE h.address = :hotkey AND r.statement IS NULL`,
    { hotkey },
  );
  return balance(store, accruedAccount(hotkey)) + (orNull(loose?.rao, bigintOf) ?? 0n);
}

function bytesOrNull(hex: string | null): Buffer | null {
  return hex === null ? null : bytes(hex);
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

/** The hotkey's number in the store, made on first sight; inside `store.write` only. */
export function hotkeyNumber(store: Store, address: Ss58Address): bigint {
  const known = store.get("SELECT number FROM hotkeys WHERE address = :address", { address });
  if (known !== null) return bigintOf(known.number);
  return store.run("INSERT INTO hotkeys (address) VALUES (:address)", { address }).lastRow;
}

/** Credited receipts of a hotkey, newest first. */
export function receiptRows(store: Store, hotkey: Ss58Address, limit: number): ReceiptRow[] {
  return store
    .all(
      `SELECT r.*, s.claimId FROM receipts r JOIN hotkeys h ON h.number = r.hotkey
       LEFT JOIN statements s ON s.number = r.statement WHERE h.address = :hotkey ORDER BY r.number DESC LIMIT :limit`,
      { hotkey, limit },
    )
    .map((row) => ({
      id: hexOf(row.id),
      runId: textOf(row.runId),
      stage: numberOf(row.stage),
      step: numberOf(row.step),
      microBatches: numberOf(row.microBatches),
      tokens: numberOf(row.tokens),
      amountRao: String(bigintOf(row.amountRao)),
      creditedAt: numberOf(row.creditedAt),
      claimId: orNull(row.claimId, textOf),
    }));
}
