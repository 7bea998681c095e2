import { ss58Address } from "../../src-protocol/keys.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { ReceiptRow } from "../../src-protocol/state.ts";
import { formRefusal, priceRao, signatureRefusal, tenant } from "./receipts.ts";
import type { ReceiptRefusal, Tenure } from "./receipts.ts";
import { bigintOf, hexOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";

/** What all pay comes from: its balance is minus everything that was ever credited. */
export const EMISSION = "emission";

export function accruedAccount(hotkey: Ss58Address): string {
  return `accrued:${hotkey}`;
}

export function grantedAccount(coldkey: Ss58Address): string {
  return `granted:${coldkey}`;
}

export interface LedgerOptions {
  readonly network: string;
  readonly run: RunSpec;
  /** Counted for one micro-batch, by stage. */
  readonly flops: readonly number[];
  readonly raoPerTeraflop: bigint;
  /** Generations below this one are of earlier lives of the orchestrator. */
  readonly firstGeneration: number;
  readonly now: () => number;
  readonly block: () => number;
}

export interface CreditAnswer {
  /** Ids that are on disk and paid, the ones that were before included. */
  stored: string[];
  refused: { id: string; code: ReceiptRefusal }[];
}

/** Receipts of verified work, and the double-entry account of what they earned. */
export class Ledger {
  private readonly store: Store;
  private readonly options: LedgerOptions;
  /** Rao for one micro-batch, by stage. */
  private readonly prices: readonly bigint[];

  constructor(store: Store, options: LedgerOptions) {
    this.store = store;
    this.options = options;
    this.prices = options.flops.map((flops) => priceRao(flops, options.raoPerTeraflop));
  }

  /** Verifies, stores and pays; resolves when that is on disk. The same receipt again is answered again and paid once. */
  async credit(receipts: readonly SignedReceipt[]): Promise<CreditAnswer> {
    const refused: CreditAnswer["refused"] = [];
    const sound: { id: string; receipt: SignedReceipt }[] = [];
    const stored: string[] = [];
    // A quick node's receipts may be here before the grant that they rest on can be read.
    await this.store.settled();
    const tenures = this.tenuresOnce();
    let verified = 0;
    for (const receipt of receipts) {
      const id = sha256(receiptText(receipt.body));
      // SECURITY: what can be refused for little is refused before the two signatures are looked at.
      const { network, run } = this.options;
      const known = formRefusal(receipt, network, run) ?? this.standing(id, receipt, tenures);
      if (known === "stored") {
        stored.push(id);
        continue;
      }
      // Two signatures take a third of a millisecond: heartbeats go between.
      if (known === null && verified++ % 32 === 31) await new Promise(setImmediate);
      const refusal = known ?? signatureRefusal(receipt);
      if (refusal === null) sound.push({ id, receipt });
      else refused.push({ id, code: refusal });
    }
    if (sound.length === 0) return { stored, refused };
    return await this.store.write(() => {
      const answer: CreditAnswer = { stored, refused };
      const earned = new Map<Ss58Address, bigint>();
      for (const { id, receipt } of sound) {
        const code = this.book(id, receipt, earned);
        if (code === null) answer.stored.push(id);
        else answer.refused.push({ id, code });
      }
      this.pay(earned, sound[0]?.id ?? "");
      return answer;
    }, sound.length);
  }

  private book(
    id: string,
    { body, workerSignature, consumerSignature }: SignedReceipt,
    earned: Map<Ss58Address, bigint>,
  ): ReceiptRefusal | null {
    const { runId, stage, step, microBatch, tokens, finishedAt } = body;
    const key = { runId, stage, step, microBatch };
    const booked = this.booked(id, key);
    if (booked !== null) return booked === "stored" ? null : booked;
    const found = tenant(body, (session) => this.tenures(session));
    if ("refusal" in found) return found.refusal;
    const amountRao = this.prices[stage] ?? 0n;
    this.store.run(
      `INSERT INTO receipts VALUES (NULL, :id, :runId, :stage, :step, :microBatch, :tokens, :worker, :consumer, :inputSha256,
        :outputSha256, :finishedAt, :workerSignature, :consumerSignature, :hotkey, :amountRao, :block, :creditedAt, NULL)`,
      {
        ...key,
        id: bytes(id),
        tokens,
        worker: bytes(body.worker),
        consumer: bytes(body.consumer),
        inputSha256: body.inputSha256 === null ? null : bytes(body.inputSha256),
        outputSha256: bytes(body.outputSha256),
        finishedAt,
        workerSignature: bytes(workerSignature),
        consumerSignature: bytes(consumerSignature),
        hotkey: hotkeyNumber(this.store, found.hotkey),
        amountRao,
        block: this.options.block(),
        creditedAt: this.options.now(),
      },
    );
    this.store.run("UPDATE hotkeys SET receipts = receipts + 1 WHERE address = :hotkey", {
      hotkey: found.hotkey,
    });
    earned.set(found.hotkey, (earned.get(found.hotkey) ?? 0n) + amountRao);
    return null;
  }

  private pay(earned: ReadonlyMap<Ss58Address, bigint>, firstId: string): void {
    const entries = [...earned]
      .filter(([, rao]) => rao > 0n)
      .map(([hotkey, rao]) => [accruedAccount(hotkey), rao] as const);
    if (entries.length === 0) return;
    const total = entries.reduce((sum, [, rao]) => sum + rao, 0n);
    transfer(this.store, "receipts", firstId, [[EMISSION, -total], ...entries], this.options.now());
  }

  /** What is known of a receipt without its signatures: stored before, refused for good, or (null) still to be looked at. */
  private standing(
    id: string,
    { body }: SignedReceipt,
    tenures: (key: SessionKey) => readonly Tenure[],
  ): "stored" | ReceiptRefusal | null {
    const { runId, stage, step, microBatch } = body;
    const booked = this.booked(id, { runId, stage, step, microBatch });
    if (booked !== null) return booked;
    const found = tenant(body, tenures);
    return "refusal" in found ? found.refusal : null;
  }

  private booked(
    id: string,
    key: { runId: string; stage: number; step: number; microBatch: number },
  ): "stored" | "already-paid" | null {
    if (this.store.get("SELECT 1 FROM receipts WHERE id = :id", { id: bytes(id) }) !== null) return "stored";
    const paid = this.store.get(
      "SELECT 1 FROM receipts WHERE runId = :runId AND stage = :stage AND step = :step AND microBatch = :microBatch",
      key,
    );
    return paid === null ? null : "already-paid";
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
    return this.store
      .all(
        `SELECT a.generation, a.stage, a.hotkey, g.resumeStep, g.grantedStep,
           coalesce(h.payoutColdkey, a.hotkey) AS owner FROM assignments a
         JOIN generations g USING (runId, generation) LEFT JOIN hotkeys h ON h.address = a.hotkey WHERE a.sessionKey = :session AND a.runId = :runId`,
        { session, runId: this.options.run.runId },
      )
      .map((row) => ({
        generation: numberOf(row.generation),
        stage: numberOf(row.stage),
        hotkey: ss58Address.parse(textOf(row.hotkey)),
        owner: ss58Address.parse(textOf(row.owner)),
        resumeStep: numberOf(row.resumeStep),
        grantedStep: numberOf(row.grantedStep),
        ofEarlierLife: numberOf(row.generation) < this.options.firstGeneration,
      }));
  }
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

/**
 * Moves money inside `store.write`: all entries or none.
 *
 * @throws Error when the entries do not sum to zero: a defect, never a user's mistake
 */
export function transfer(
  store: Store,
  kind: "receipts" | "claim",
  reference: string,
  entries: readonly (readonly [account: string, rao: bigint])[],
  at: number,
): void {
  const sum = entries.reduce((total, [, rao]) => total + rao, 0n);
  if (sum !== 0n) throw new Error(`a transfer must sum to zero, not ${sum}`);
  const { lastRow } = store.run("INSERT INTO transfers VALUES (NULL, :kind, :reference, :at)", {
    kind,
    reference,
    at,
  });
  for (const [account, rao] of entries) {
    store.run("INSERT INTO entries VALUES (:transfer, :account, :rao)", { transfer: lastRow, account, rao });
    store.run(
      "INSERT INTO balances VALUES (:account, :rao) ON CONFLICT DO UPDATE SET rao = rao + excluded.rao",
      {
        account,
        rao,
      },
    );
  }
}

export function balance(store: Store, account: string): bigint {
  return (
    orNull(store.get("SELECT rao FROM balances WHERE account = :account", { account })?.rao, bigintOf) ?? 0n
  );
}

/** True when every transfer sums to zero and every balance is the sum of its entries. */
export function isBalanced(store: Store): boolean {
  const lopsided = store.get("SELECT 1 FROM entries GROUP BY transfer HAVING sum(amountRao) != 0");
  const wrong = store.get(
    `SELECT 1 FROM (SELECT account, sum(amountRao) AS rao FROM entries GROUP BY account) e
     FULL JOIN balances b USING (account) WHERE e.rao IS NOT b.rao`,
  );
  return lopsided === null && wrong === null;
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
      `SELECT r.* FROM receipts r JOIN hotkeys h ON h.number = r.hotkey WHERE h.address = :hotkey
       ORDER BY r.number DESC LIMIT :limit`,
      { hotkey, limit },
    )
    .map((row) => ({
      id: hexOf(row.id),
      runId: textOf(row.runId),
      stage: numberOf(row.stage),
      step: numberOf(row.step),
      microBatch: numberOf(row.microBatch),
      tokens: numberOf(row.tokens),
      amountRao: String(bigintOf(row.amountRao)),
      creditedAt: numberOf(row.creditedAt),
      claimId: orNull(row.claimId, textOf),
    }));
}
