import type { ApiPromise } from "@polkadot/api";
import { parseClaimText } from "../../src-protocol/claim.ts";
import { singlePayment } from "../../src-protocol/chain-action.ts";
import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { PayerPlan } from "../../src-protocol/payer-ipc.ts";
import { payText } from "../../src-protocol/payouts.ts";
import type { DuePayout, HeldReport, NetworkPay } from "../../src-protocol/payouts.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import { formatTao } from "../../src-protocol/units.ts";
import { withChain } from "../chain/chain-api.ts";
import { paysMany } from "../chain/chain-calls.ts";
import { FailedInBlock, findSigned, sendSigned, signAction } from "../chain/chain-sending.ts";
import type { ActionKey, ArrivedAction, ItemOutcome, SignedAction } from "../chain/chain-sending.ts";
import type { PayoutDesk } from "./payout-desk.ts";
import type { OpenPayout, PayoutJournal, PayoutShare } from "./payout-journal.ts";

export interface PayerPorts {
  /** Within the day's limits, and logged. */
  readonly key: ActionKey;
  readonly desk: PayoutDesk;
  readonly journal: Pick<PayoutJournal, "openFor" | "begin" | "end">;
  readonly now: () => number;
  /** For the operator. */
  readonly note: (text: string) => void;
}

/** The first pause of a claim that waits; each further one is twice as long. */
const FIRST_PAUSE_MS = 5 * 60_000;
const LONGEST_PAUSE_MS = 6 * 3_600_000;
/** Nothing gets better by itself, and nothing is signed any more. */
export const FATAL: ReadonlySet<string> = new Set(["payouts-not-noted", "payouts-damaged", "other-pay"]);
/** Time helps: locked stake, a day's limit, a transaction that is still on its way. Of all else the operator is told. */
const PASSING: ReadonlySet<string> = new Set(["chain-held", "chain-unsure", "chain-timeout", "spend-limit"]);

type Plan = Pick<PayerPlan, "url" | "genesis" | "pays" | "hotkey" | "leastRao">;

/** So many payments are in one transaction at most. */
const MOST_AT_ONCE = 50;

/**
 * Pays what is due, each claim once and those of an address together: what is signed is in the journal before it is
 * sent, and after a crash the chain is looked through for it before anything else is signed. A claim that cannot be
 * paid now is held with the reason, and tried again; nothing is ever dropped.
 */
export class Payer {
  readonly #plan: Plan;
  readonly #ports: PayerPorts;
  /** When each claim that waits is tried again, and after which pause. */
  readonly #again = new Map<string, { readonly at: number; readonly pauseMs: number }>();

  constructor(plan: Plan, ports: PayerPorts) {
    this.#plan = plan;
    this.#ports = ports;
  }

  /**
   * One look at what is due. Resolves with how many claims were paid.
   *
   * @throws Failure `network-away`, `other-pay`, and of the chain's connection: the next round may find it better
   */
  async round(): Promise<number> {
    const { desk, journal, now } = this.#ports;
    const { due, pays } = await desk.due();
    if (!isSame(pays, this.#plan.pays))
      throw new Failure("other-pay", "The network pays something else than this process was started for.");
    const ready = await this.#sound(
      due.filter(({ claimId }) => (this.#again.get(claimId)?.at ?? 0) <= now()),
    );
    const sent = ready.filter(({ claimId }) => journal.openFor(claimId) !== null);
    const { enough, small } = paymentsOf(
      ready.filter((claim) => !sent.includes(claim)),
      BigInt(this.#plan.leastRao),
    );
    for (const claim of small) await this.#tell(claim, this.#smallText(), null);
    if (sent.length === 0 && enough.length === 0) return 0;
    try {
      return await withChain(this.#plan, async (api) => {
        let paid = await this.#finish(api, sent);
        const most = paysMany(api) ? MOST_AT_ONCE : 1;
        for (let i = 0; i < enough.length; i += most) paid += await this.#pay(api, enough.slice(i, i + most));
        return paid;
      });
    } catch (error) {
      const { message } = failureBody(error);
      const waiting = [...sent, ...enough.flatMap(({ claims }) => claims)];
      for (const claim of waiting) await this.#tell(claim, message, null).catch(() => undefined);
      throw error;
    }
  }

  /** Those that are what their hotkeys have signed. */
  async #sound(claims: readonly DuePayout[]): Promise<DuePayout[]> {
    const sound: DuePayout[] = [];
    for (const claim of claims) {
      const problem = claimProblem(claim, this.#plan.pays);
      if (problem === null) {
        sound.push(claim);
        continue;
      }
      this.#ports.note(problem);
      await this.#hold([claim], problem, null);
    }
    return sound;
  }

  /** What was signed before, and whose end is not known. */
  async #finish(api: ApiPromise, claims: readonly DuePayout[]): Promise<number> {
    const { journal } = this.#ports;
    const open = new Map<string, OpenPayout>();
    for (const { claimId } of claims) {
      const before = journal.openFor(claimId);
      if (before !== null) open.set(before.signed.hash, before);
    }
    let paid = 0;
    for (const before of open.values()) {
      const own = claims.filter(
        ({ claimId }) => journal.openFor(claimId)?.signed.hash === before.signed.hash,
      );
      paid += await this.#trying(own, before.signed.hash, () => this.#end(api, before, own));
    }
    return paid;
  }

  async #end(api: ApiPromise, before: OpenPayout, claims: readonly DuePayout[]): Promise<number> {
    const found = await findSigned(api, before.signed);
    switch (found.state) {
      case "arrived":
        return await this.#settle(before, claims, found.arrived);
      case "unknown":
        throw new Failure(
          "chain-unsure",
          `Block ${found.block} has this payment, and the node does not keep what came of it any more. Serve the network with --chain of a node that keeps all blocks (an archive).`,
        );
      case "open":
        return await this.#settle(before, claims, await sendSigned(api, before.signed));
      case "failed":
      case "gone": {
        // SECURITY: only what can never arrive makes room for another signature.
        this.#overFor(before, before.shares, found.state);
        if (found.state === "failed") await this.#tellFailed(before, claims, found.failure);
        const { enough } = paymentsOf(claims, 0n);
        let paid = 0;
        // Each alone: one of them may be what the chain refused.
        for (const payment of enough) paid += await this.#pay(api, [payment]);
        return paid;
      }
    }
  }

  /** In one transaction; where the day's limit has no room for all, in several. */
  async #pay(api: ApiPromise, payments: readonly Payment[]): Promise<number> {
    const claims = payments.flatMap((payment) => payment.claims);
    let isTooMuch = false;
    let hash: string | null = null;
    const paid = await this.#trying(
      claims,
      () => hash,
      async () => {
        let signed: SignedAction;
        try {
          signed = await signAction(api, this.#actionFor(payments), this.#ports.key);
        } catch (error) {
          isTooMuch = payments.length > 1 && failureBody(error).code === "spend-limit";
          if (isTooMuch) return 0;
          throw error;
        }
        hash = signed.hash;
        const shares = claims.map(({ claimId, payoutColdkey, amountRao }) => ({
          claimId,
          to: payoutColdkey,
          amountRao,
        }));
        this.#ports.journal.begin(shares, signed);
        return await this.#settle({ shares, signed }, claims, await sendSigned(api, signed));
      },
    );
    if (!isTooMuch) return paid;
    const half = Math.ceil(payments.length / 2);
    return (await this.#pay(api, payments.slice(0, half))) + (await this.#pay(api, payments.slice(half)));
  }

  /** Holds these claims when it fails for a reason of theirs; else all wait for the next round. */
  async #trying(
    claims: readonly DuePayout[],
    extrinsic: string | (() => string | null),
    work: () => Promise<number>,
  ): Promise<number> {
    try {
      return await work();
    } catch (error) {
      const { code, message } = failureBody(error);
      // The chain or the network went away.
      if (code === "chain-unreachable" || code === "network-away") throw error;
      if (FATAL.has(code)) throw error;
      const hash = typeof extrinsic === "string" ? extrinsic : extrinsic();
      await this.#hold(claims, message, hash, error instanceof FailedInBlock ? error.feeRao : null);
      const rao = claims.reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n);
      const what = claims.length === 1 ? "A claim of" : `${claims.length} claims of`;
      if (!PASSING.has(code))
        this.#ports.note(`${what} ${formatTao(rao)} ${claims.length === 1 ? "waits" : "wait"}: ${message}`);
      return 0;
    }
  }

  /** Books what each claim has got. Those whose part of it failed are held, and lose nothing. */
  async #settle(open: OpenPayout, claims: readonly DuePayout[], arrived: ArrivedAction): Promise<number> {
    const { desk, journal } = this.#ports;
    const { block, blockHash, extrinsic, feeRao } = arrived;
    const got = creditOf(open, arrived);
    const fees = partsOf(feeRao, open.shares.length);
    let paid = 0;
    for (const [i, share] of open.shares.entries()) {
      const claim = claims.find(({ claimId }) => claimId === share.claimId);
      const outcome = got[i];
      if (claim === undefined || outcome === undefined) continue;
      if ("failure" in outcome) {
        this.#overFor(open, [share], "failed");
        await this.#hold([claim], outcome.failure.message, extrinsic, fees[i] ?? null);
        continue;
      }
      const { claimId } = claim;
      const [creditedRao, fee] = [String(outcome.creditedRao), fees[i] ?? null];
      await desk.paid({ claimId, block, blockHash, extrinsic, creditedRao, feeRao: fee?.toString() ?? null });
      journal.end(claimId, open.signed.hash, "paid");
      this.#again.delete(claimId);
      paid += 1;
    }
    return paid;
  }

  /** It did not move what it was signed for, and never will: the day's limit has room for it again. */
  #overFor({ signed }: OpenPayout, shares: readonly PayoutShare[], end: "failed" | "gone"): void {
    const { journal, key } = this.#ports;
    for (const { claimId, amountRao } of shares) {
      key.movedLess?.(signed, { rao: BigInt(amountRao), of: claimId });
      journal.end(claimId, signed.hash, end);
    }
  }

  /** After a crash nobody has noted yet what the chain took for it. */
  async #tellFailed(
    { signed, shares }: OpenPayout,
    claims: readonly DuePayout[],
    failure: Failure,
  ): Promise<void> {
    const fees = partsOf(failure instanceof FailedInBlock ? failure.feeRao : null, shares.length);
    for (const [i, { claimId }] of shares.entries()) {
      const claim = claims.find((each) => each.claimId === claimId);
      const feeRao = fees[i]?.toString() ?? null;
      if (claim !== undefined) await this.#tell(claim, failure.message, { extrinsic: signed.hash, feeRao });
    }
  }

  /** `feeRao`: taken for all of them together. */
  async #hold(
    claims: readonly DuePayout[],
    message: string,
    extrinsic: string | null,
    feeRao: bigint | null = null,
  ): Promise<void> {
    const fees = partsOf(feeRao, claims.length);
    for (const [i, claim] of claims.entries()) {
      const last = this.#again.get(claim.claimId)?.pauseMs;
      const pauseMs = last === undefined ? FIRST_PAUSE_MS : Math.min(last * 2, LONGEST_PAUSE_MS);
      this.#again.set(claim.claimId, { at: this.#ports.now() + pauseMs, pauseMs });
      await this.#tell(claim, message, { extrinsic, feeRao: fees[i]?.toString() ?? null });
    }
  }

  async #tell({ claimId, held }: DuePayout, message: string, attempt: HeldReport["attempt"]): Promise<void> {
    const reason = message.slice(0, 500);
    if (attempt !== null || reason !== held) await this.#ports.desk.held({ claimId, reason, attempt });
  }

  #smallText(): string {
    const { leastRao, pays } = this.#plan;
    return `Less than ${formatTao(BigInt(leastRao))} ${payText(pays)} is not paid at once, since the chain's fee would be much of it. It is paid together with your next claims when they come to that.`;
  }

  #actionFor(payments: readonly Payment[]): ChainAction {
    const { pays, hotkey } = this.#plan;
    const staked = pays.asset === "tao" ? null : { hotkey, netuid: pays.netuid };
    if (staked?.hotkey === null)
      throw new Failure("bad-option", "Alpha is paid from a hotkey that has to be named.");
    const many = {
      kind: "pay-many" as const,
      staked:
        staked === null || staked.hotkey === null ? null : { hotkey: staked.hotkey, netuid: staked.netuid },
      payments: payments.map(({ to, amountRao }) => ({ to, amountRao: String(amountRao) })),
    };
    const [only] = many.payments;
    return only !== undefined && payments.length === 1 ? singlePayment(many, only) : many;
  }
}

/** What is due to one address. */
interface Payment {
  readonly to: Ss58Address;
  readonly amountRao: bigint;
  readonly claims: readonly DuePayout[];
}

/** By address, in the order of their first claims; what is less than `leastRao` in all is not paid yet. */
function paymentsOf(
  claims: readonly DuePayout[],
  leastRao: bigint,
): { readonly enough: readonly Payment[]; readonly small: readonly DuePayout[] } {
  const payments = [...Map.groupBy(claims, ({ payoutColdkey }) => payoutColdkey)].map(([to, own]) => ({
    to,
    amountRao: own.reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n),
    claims: own,
  }));
  return {
    enough: payments.filter(({ amountRao }) => amountRao >= leastRao),
    small: payments.flatMap((payment) => (payment.amountRao < leastRao ? payment.claims : [])),
  };
}

/** What each share has got of what arrived at its address. */
function creditOf({ shares, signed }: OpenPayout, arrived: ArrivedAction): readonly ItemOutcome[] {
  const { action } = signed;
  const outcomeFor = (to: Ss58Address): ItemOutcome => {
    if (action.kind !== "pay-many") return { creditedRao: arrived.creditedRao ?? 0n };
    const item = arrived.items[action.payments.findIndex((payment) => payment.to === to)];
    if (item === undefined) throw new Error("a payment has no outcome");
    return item;
  };
  const got = new Map<string, ItemOutcome>();
  for (const [to, own] of Map.groupBy(shares, (share) => share.to)) {
    const outcome = outcomeFor(to);
    const parts =
      "failure" in outcome
        ? []
        : split(
            outcome.creditedRao,
            own.map(({ amountRao }) => BigInt(amountRao)),
          );
    own.forEach(({ claimId }, i) =>
      got.set(claimId, "failure" in outcome ? outcome : { creditedRao: parts[i] ?? 0n }),
    );
  }
  return shares.map(({ claimId }) => got.get(claimId) ?? { creditedRao: 0n });
}

/** A fee, among all that it was for; of one that is not known nobody has a part. */
function partsOf(feeRao: bigint | null, count: number): readonly bigint[] {
  return feeRao === null
    ? []
    : split(
        feeRao,
        Array.from({ length: count }, () => 1n),
      );
}

/** In proportion, to the last rao; of no more than the weights together, no part is more than its weight. */
function split(whole: bigint, weights: readonly bigint[]): readonly bigint[] {
  const sum = weights.reduce((total, weight) => total + weight, 0n);
  const ends = weights.map((_, i) => {
    const before = weights.slice(0, i + 1).reduce((total, weight) => total + weight, 0n);
    return sum === 0n ? 0n : (whole * before) / sum;
  });
  return ends.map((end, i) => end - (ends[i - 1] ?? 0n));
}

/**
 * SECURITY: the book says what is due, and only what a hotkey has signed for is paid: this amount of this asset to
 * this address. Null: it is so.
 */
export function claimProblem(claim: DuePayout, pays: NetworkPay): string | null {
  const { claimId, hotkey, payoutColdkey, amountRao, text, signature } = claim;
  const body = parseClaimText(text);
  const isSigned =
    body !== null &&
    body.claimId === claimId &&
    body.hotkey === hotkey &&
    body.payoutColdkey === payoutColdkey &&
    body.amountRao === amountRao &&
    body.asset === pays.asset &&
    body.netuid === pays.netuid &&
    verifySr25519(hotkey, text, signature);
  return isSigned
    ? null
    : `The claim ${claimId} in the book is not what its hotkey has signed, so it is not paid. Look at \`tah ledger audit --served\`.`;
}

function isSame(one: NetworkPay | null, other: NetworkPay): boolean {
  return one?.asset === other.asset && one.netuid === other.netuid;
}
