import { parseClaimText } from "../../src-protocol/claim.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import type { AuditFinding, AuditReport } from "../../src-protocol/ledger-audit.ts";
import { overlapsAny } from "../../src-protocol/micro-batch-set.ts";
import { receiptText, vouchedMicroBatches } from "../../src-protocol/receipt.ts";
import { receiptsRoot, sha256, statementId } from "../../src-protocol/signing.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import { formatTao } from "../../src-protocol/units.ts";
import { bigintOf, hexOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store, StoredRow } from "../stores/store.ts";
import { entryOf, hashOf } from "./book.ts";
import type { BookKind, Posting } from "./book.ts";
import { priceRao, signatureRefusal } from "./receipts.ts";
import { receiptOf, sealOf, sealedOf } from "./seals.ts";

const MOST_FINDINGS = 100;
const MOST_ACCOUNTS = 10_000;

/** Not true money, and made again from it. */
const DERIVED: ReadonlySet<AuditFinding["code"]> = new Set(["balance-wrong", "count-wrong"]);

export function isDerived({ code }: AuditFinding): boolean {
  return DERIVED.has(code);
}

/**
 * Recomputes every balance from receipts, statements, claims and payments, and looks whether each row is
 * what its chain says. Reads only. `signatures`: every receipt's and claim's signatures, too, which takes
 * half a millisecond a receipt.
 */
export function auditLedger(store: Store, { signatures = false } = {}): AuditReport {
  const audit = new Audit(store, signatures);
  return audit.report();
}

class Audit {
  readonly #store: Store;
  readonly #signatures: boolean;
  readonly #network: string;
  readonly #findings: AuditFinding[] = [];
  readonly #balances = new Map<string, bigint>();
  readonly #counts = { statement: 0, claim: 0, payment: 0, binding: 0 };
  /** Micro-batches of receipts, by run, stage and step. */
  readonly #shared = new Map<string, string[]>();
  #found = 0;
  #verified = 0;

  constructor(store: Store, signatures: boolean) {
    this.#store = store;
    this.#signatures = signatures;
    const row = store.get("SELECT value FROM meta WHERE key = 'network'");
    this.#network = orNull(row?.value, textOf) ?? "";
  }

  report(): AuditReport {
    const book = this.#book();
    const receipts = this.#receipts();
    this.#statements();
    this.#claims();
    this.#bindings();
    this.#derived();
    return {
      isClean: this.#found === 0,
      network: this.#network,
      book,
      receipts,
      statements: this.#counts.statement,
      claims: this.#counts.claim,
      payments: this.#counts.payment,
      signatures: this.#verified,
      accounts: [...this.#balances]
        .filter(([, rao]) => rao !== 0n)
        .slice(0, MOST_ACCOUNTS)
        .map(([account, rao]) => ({ account, rao: String(rao) })),
      findings: this.#findings,
      found: this.#found,
    };
  }

  #find(code: AuditFinding["code"], where: string, message: string): void {
    this.#found += 1;
    if (this.#findings.length < MOST_FINDINGS) this.#findings.push({ code, where, message });
  }

  /** What is damaged so that it cannot even be read is one finding, and the audit goes on. */
  #look(where: string, look: () => void): void {
    try {
      look();
    } catch (error) {
      const reason = error instanceof Failure ? error.message : String(error);
      this.#find("book-row-changed", where, `${where} cannot be read: ${reason}`);
    }
  }

  #book(): AuditReport["book"] {
    let [number, hash] = [0n, ""];
    const posted = this.#postings();
    for (const row of this.#store.all("SELECT * FROM book ORDER BY number")) {
      const at = bigintOf(row.number);
      const where = `row ${at} of the book`;
      if (at !== number + 1n)
        this.#find("book-row-missing", where, `Before ${where}, ${at - number - 1n} rows are missing.`);
      number = at;
      this.#look(where, () => {
        const kind = textOf(row.kind) as BookKind;
        const reference = textOf(row.reference);
        const stored = hexOf(row.hash);
        const entry = entryOf(this.#store, kind, reference);
        if (entry === null) {
          this.#find("book-row-without-cause", where, `The ${kind} ${reference} of ${where} is not there.`);
        } else {
          this.#counts[kind] += 1;
          if (hashOf(hash, { number: at, kind, reference, at: numberOf(row.at), ...entry }) !== stored)
            this.#find(
              "book-row-changed",
              where,
              `The ${kind} ${reference} of ${where} is not what was booked, or the chain before it is another one.`,
            );
          for (const [account, rao] of entry.postings)
            this.#balances.set(account, (this.#balances.get(account) ?? 0n) + rao);
          if (!areSame(entry.postings, posted.get(at) ?? []))
            this.#find("postings-wrong", where, `The postings of ${where} are not those of its ${kind}.`);
        }
        hash = stored;
      });
      posted.delete(at);
    }
    for (const at of posted.keys())
      this.#find("postings-wrong", `row ${at}`, `There are postings of row ${at}, which is not in the book.`);
    this.#allBooked("statement", "SELECT lower(hex(id)) AS reference FROM statements");
    this.#allBooked("claim", "SELECT claimId AS reference FROM claims");
    this.#allBooked("payment", "SELECT claimId AS reference FROM payments");
    this.#allBooked(
      "binding",
      "SELECT h.address || '/' || b.generation AS reference FROM bindings b JOIN hotkeys h ON h.number = b.hotkey",
    );
    return { rows: Number(number), hash: hash === "" ? null : hash };
  }

  #postings(): Map<bigint, Posting[]> {
    const posted = new Map<bigint, Posting[]>();
    for (const row of this.#store.all("SELECT * FROM postings")) {
      const at = bigintOf(row.book);
      const list = posted.get(at) ?? [];
      list.push([textOf(row.account), bigintOf(row.amountRao)]);
      posted.set(at, list);
    }
    return posted;
  }

  #allBooked(kind: BookKind, causes: string): void {
    const unbooked = this.#store.all(
      `SELECT reference FROM (${causes}) WHERE reference NOT IN (SELECT reference FROM book WHERE kind = :kind)`,
      { kind },
    );
    for (const row of unbooked) {
      const reference = textOf(row.reference);
      this.#find(
        "cause-not-booked",
        `${kind} ${reference}`,
        `The ${kind} ${reference} is in no row of the book.`,
      );
    }
  }

  /** Each receipt that is kept, and the chain over them and over those that are not. */
  #receipts(): AuditReport["receipts"] {
    const gone = this.#store.all("SELECT * FROM pruned ORDER BY fromNumber");
    let next = 0;
    let [number, seal] = [0n, ""];
    let [kept, loose, pruned] = [0, 0, 0];
    const skip = (to: bigint): void => {
      for (
        let range = gone[next];
        range !== undefined && bigintOf(range.fromNumber) < to;
        range = gone[++next]
      ) {
        const [from, last] = [bigintOf(range.fromNumber), bigintOf(range.toNumber)];
        this.#missing(number, from);
        if (orNull(range.before, hexOf) !== seal)
          this.#find(
            "receipt-changed",
            `receipts ${from} to ${last}`,
            `The chain does not lead to the receipts ${from} to ${last}, which were added up and deleted.`,
          );
        pruned += Number(last - from + 1n);
        [number, seal] = [last, hexOf(range.after)];
      }
    };
    const rows = this.#store.all(
      "SELECT r.*, h.address FROM receipts r LEFT JOIN hotkeys h ON h.number = r.hotkey ORDER BY r.number",
    );
    for (const row of rows) {
      const at = bigintOf(row.number);
      skip(at);
      this.#missing(number, at);
      this.#look(`receipt ${at}`, () => {
        this.#receipt(row, seal);
        seal = hexOf(row.seal);
      });
      number = at;
      kept += 1;
      if (row.statement === null) loose += 1;
    }
    skip(number + 2n ** 62n);
    return { kept, pruned, loose, seal: seal === "" ? null : seal };
  }

  #missing(last: bigint, at: bigint): void {
    if (at > last + 1n)
      this.#find(
        "receipt-missing",
        `receipt ${last + 1n}`,
        `${at - last - 1n} receipts from number ${last + 1n} on are missing.`,
      );
  }

  #receipt(row: StoredRow, before: string): void {
    const receipt = receiptOf(row, this.#network);
    const where = `receipt ${hexOf(row.id)}`;
    if (sha256(receiptText(receipt.body)) !== hexOf(row.id))
      this.#find("receipt-changed", where, `What ${where} says is not what was signed.`);
    const sealed = sealedOf(row);
    if (sealOf(before, sealed) !== hexOf(row.seal))
      this.#find(
        "receipt-changed",
        where,
        `The pay, block or signatures of ${where} are not those that were credited, or the chain before it is another one.`,
      );
    const { flops, runId, stage, step, share } = receipt.body;
    if (share !== undefined) {
      const work = `${runId}/${stage}/${step}`;
      const others = this.#shared.get(work) ?? [];
      if (overlapsAny(share.microBatches, others))
        this.#find("work-paid-twice", where, `Some micro-batch of ${where} is paid to another one, too.`);
      this.#shared.set(work, [...others, share.microBatches]);
    }
    if (
      sealed.raoPerTeraflop !== null &&
      priceRao(flops, vouchedMicroBatches(receipt), sealed.raoPerTeraflop) !== sealed.amountRao
    )
      this.#find(
        "receipt-price-wrong",
        where,
        `The pay of ${where}, ${formatTao(sealed.amountRao)}, is not what its work is worth.`,
      );
    if (!this.#signatures) return;
    this.#verified += 1;
    if (signatureRefusal(receipt) !== null)
      this.#find("receipt-forged", where, `A signature of ${where} is not that of its key.`);
  }

  /** A statement is the sum of its receipts, as far as those are kept. */
  #statements(): void {
    const rows = this.#store.all(
      `SELECT s.number AS statement, s.id AS digest, s.receipts, s.amountRao AS total, s.fromStep, s.toStep, s.fromBlock, s.toBlock,
         s.hotkey AS payee, r.* FROM statements s JOIN receipts r ON r.statement = s.number ORDER BY s.number, r.step, r.number`,
    );
    let group: StoredRow[] = [];
    const look = (): void => {
      const [first] = group;
      if (first !== undefined)
        this.#look(`statement ${String(first.statement)}`, () => this.#statement(first, group));
    };
    for (const row of rows) {
      if (group[0] !== undefined && group[0].statement !== row.statement) {
        look();
        group = [];
      }
      group.push(row);
    }
    look();
    const astray = this.#store.get(
      "SELECT count(*) AS n FROM receipts WHERE statement IS NOT NULL AND statement NOT IN (SELECT number FROM statements)",
    );
    if (numberOf(astray?.n) > 0)
      this.#find(
        "statement-wrong",
        "receipts",
        `${numberOf(astray?.n)} receipts name a statement that is not there.`,
      );
  }

  #statement(head: StoredRow, receipts: readonly StoredRow[]): void {
    const id = hexOf(head.digest);
    const wrong = (what: string): void =>
      this.#find("statement-wrong", `statement ${id}`, `The statement ${id} ${what}.`);
    const stray = receipts.some(
      (row) =>
        row.hotkey !== head.payee ||
        numberOf(row.step) < numberOf(head.fromStep) ||
        numberOf(row.step) > numberOf(head.toStep) ||
        numberOf(row.block) < numberOf(head.fromBlock) ||
        numberOf(row.block) > numberOf(head.toBlock),
    );
    if (stray) wrong("has receipts of other steps, blocks or owners than its own");
    const sum = receipts.reduce((total, row) => total + bigintOf(row.amountRao), 0n);
    if (sum > bigintOf(head.total)) wrong(`pays ${formatTao(bigintOf(head.total))}, less than its receipts`);
    // Some are deleted already: the digest and the chained row stand for them.
    if (receipts.length < numberOf(head.receipts)) return;
    if (receipts.length > numberOf(head.receipts)) wrong("has more receipts than it counts");
    else if (sum !== bigintOf(head.total))
      wrong(`pays ${formatTao(bigintOf(head.total))}, and its receipts are worth ${formatTao(sum)}`);
    else if (statementId(receipts.map((row) => hexOf(row.id))) !== id)
      wrong("is not the chain of its receipts");
  }

  /** A claim says in its owner's words what was granted. */
  #claims(): void {
    const before = this.#store.get("SELECT value FROM meta WHERE key = 'book'");
    const old = Number(orNull(before?.value, textOf) ?? 0);
    for (const row of this.#store.all(
      `SELECT c.*, h.address, (SELECT number FROM book WHERE kind = 'claim' AND reference = c.claimId) AS row, (SELECT sum(amountRao) FROM statements s WHERE s.claimId = c.claimId) AS worth
       FROM claims c LEFT JOIN hotkeys h ON h.number = c.hotkey`,
    )) {
      const where = `claim ${String(row.claimId)}`;
      this.#look(where, () => {
        const isWorth = orNull(row.worth, bigintOf) === bigintOf(row.amountRao);
        // Claims from before the book name receipts that are no more; their sums are what is left of them.
        const isOld = (orNull(row.row, numberOf) ?? 0) <= old;
        const text = textOf(row.text);
        const body = parseClaimText(text);
        const statements = this.#store.all("SELECT id FROM statements WHERE claimId = :claimId", {
          claimId: textOf(row.claimId),
        });
        const root = receiptsRoot(statements.map(({ id }) => hexOf(id)));
        const isRight =
          body !== null &&
          body.hotkey === row.address &&
          body.payoutColdkey === row.payoutColdkey &&
          BigInt(body.amountRao) === bigintOf(row.amountRao) &&
          body.receiptsRoot === root;
        if (!isWorth || !(isRight || isOld))
          this.#find(
            "claim-wrong",
            where,
            `What was granted for ${where} is not what its owner signed, or not what its statements are worth.`,
          );
        if (!this.#signatures || (isOld && body === null)) return;
        this.#verified += 1;
        if (!verifySr25519(ss58Address.parse(row.address), text, textOf(row.signature)))
          this.#find("claim-forged", where, `The signature of ${where} is not that of its hotkey.`);
      });
    }
  }

  #bindings(): void {
    if (!this.#signatures) return;
    for (const row of this.#store.all("SELECT * FROM bindings WHERE text IS NOT NULL")) {
      const where = `binding to ${String(row.payoutColdkey)}`;
      this.#look(where, () => {
        this.#verified += 1;
        if (!verifySr25519(ss58Address.parse(row.payoutColdkey), textOf(row.text), textOf(row.signature)))
          this.#find("binding-forged", where, `The consent of the ${where} is not signed by that address.`);
      });
    }
  }

  /** Balances and counts are kept for speed alone. */
  #derived(): void {
    const stored = new Map(
      this.#store.all("SELECT * FROM balances").map((row) => [String(row.account), row.rao as bigint]),
    );
    for (const account of new Set([...stored.keys(), ...this.#balances.keys()])) {
      const [right, said] = [this.#balances.get(account) ?? 0n, stored.get(account) ?? 0n];
      if (right !== said)
        this.#find(
          "balance-wrong",
          account,
          `The balance of ${account} is ${formatTao(said)}, and its rows sum to ${formatTao(right)}.`,
        );
    }
    for (const row of this.#store.all(`${HOTKEY_COUNTS} WHERE h.receipts != counted.n`)) {
      this.#find(
        "count-wrong",
        textOf(row.address),
        `${textOf(row.address)} is said to have ${String(row.receipts)} receipts, and has ${String(row.n)}.`,
      );
    }
  }
}

const HOTKEY_COUNTS = `SELECT h.address, h.receipts, counted.n FROM hotkeys h JOIN (
  SELECT h.number, (SELECT coalesce(sum(s.receipts), 0) FROM statements s WHERE s.hotkey = h.number)
    + (SELECT count(*) FROM receipts r WHERE r.hotkey = h.number AND r.statement IS NULL) AS n FROM hotkeys h
) counted USING (number)`;

/** Makes balances and counts anew from the rows that they sum up; inside `store.write` only. */
export function restoreDerived(store: Store): void {
  store.run("DELETE FROM balances");
  store.run("INSERT INTO balances SELECT account, sum(amountRao) FROM postings GROUP BY account");
  store.run(
    `UPDATE hotkeys SET receipts = (SELECT coalesce(sum(s.receipts), 0) FROM statements s WHERE s.hotkey = hotkeys.number)
       + (SELECT count(*) FROM receipts r WHERE r.hotkey = hotkeys.number AND r.statement IS NULL)`,
  );
}

function areSame(expected: readonly Posting[], found: readonly Posting[]): boolean {
  const right = new Map(expected);
  return found.length === right.size && found.every(([account, rao]) => right.get(account) === rao);
}
