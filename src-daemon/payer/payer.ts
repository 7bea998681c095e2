import type { ApiPromise } from "@polkadot/api";
import { parseClaimText } from "../../src-protocol/claim.ts";
import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { PayerPlan } from "../../src-protocol/payer-ipc.ts";
import type { DuePayout, NetworkPay } from "../../src-protocol/payouts.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import { formatTao } from "../../src-protocol/units.ts";
import { withChain } from "../chain/chain-api.ts";
import { findSigned, sendSigned, signAction } from "../chain/chain-sending.ts";
import type { ActionKey, ArrivedAction, SignedAction } from "../chain/chain-sending.ts";
import type { PayoutDesk } from "./payout-desk.ts";
import type { PayoutJournal } from "./payout-journal.ts";

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
/** Time helps: locked stake, a day's limit, a transaction that is still on its way. Of all else the operator is told. */
const PASSING: ReadonlySet<string> = new Set(["chain-held", "chain-unsure", "chain-timeout", "spend-limit"]);

/**
 * Pays what is due, one claim after the other, each once: what is signed is in the journal before it is sent, and
 * after a crash the chain is looked through for it before anything else is signed. A claim that cannot be paid now
 * is held with the reason, and tried again; nothing is ever dropped.
 */
export class Payer {
  readonly #plan: Pick<PayerPlan, "url" | "genesis" | "pays" | "hotkey">;
  readonly #ports: PayerPorts;
  /** When each claim that waits is tried again, and after which pause. */
  readonly #again = new Map<string, { readonly at: number; readonly pauseMs: number }>();

  constructor(plan: Pick<PayerPlan, "url" | "genesis" | "pays" | "hotkey">, ports: PayerPorts) {
    this.#plan = plan;
    this.#ports = ports;
  }

  /**
   * One look at what is due. Resolves with how many claims were paid.
   *
   * @throws Failure `network-away`, `other-pay`, and of the chain's connection: the next round may find it better
   */
  async round(): Promise<number> {
    const { desk, now } = this.#ports;
    const { due, pays } = await desk.due();
    if (!isSame(pays, this.#plan.pays))
      throw new Failure("other-pay", "The network pays something else than this process was started for.");
    const ready = due.filter(({ claimId }) => (this.#again.get(claimId)?.at ?? 0) <= now());
    if (ready.length === 0) return 0;
    try {
      return await withChain(this.#plan, async (api) => {
        let paid = 0;
        for (const claim of ready) paid += (await this.#pay(api, claim)) ? 1 : 0;
        return paid;
      });
    } catch (error) {
      const { message } = failureBody(error);
      for (const claim of ready) await this.#tellHeld(claim, message).catch(() => undefined);
      throw error;
    }
  }

  async #pay(api: ApiPromise, claim: DuePayout): Promise<boolean> {
    const { journal, key, note } = this.#ports;
    const { claimId } = claim;
    const problem = claimProblem(claim, this.#plan.pays);
    if (problem !== null) {
      note(problem);
      await this.#hold(claim, problem);
      return false;
    }
    try {
      const before = journal.openFor(claimId);
      const found = before === null ? null : await findSigned(api, before);
      if (before !== null && found?.state === "arrived")
        return await this.#settle(claim, before, found.arrived);
      if (found?.state === "unknown")
        throw new Failure(
          "chain-unsure",
          `Block ${found.block} has this payment, and the node does not keep what came of it any more. Serve the network with --chain of a node that keeps all blocks (an archive).`,
        );
      if (before !== null && (found?.state === "failed" || found?.state === "gone"))
        journal.end(claimId, before.hash, found.state);
      // SECURITY: only what can never arrive makes room for another signature.
      const signed =
        before !== null && found?.state === "open"
          ? before
          : await signAction(api, this.#actionFor(claim), key);
      if (signed !== before) journal.begin(claimId, signed);
      return await this.#settle(claim, signed, await sendSigned(api, signed));
    } catch (error) {
      const { code, message } = failureBody(error);
      // The chain or the network went away: all wait for the next round.
      if (code === "chain-unreachable" || code === "network-away") throw error;
      await this.#hold(claim, message);
      if (!PASSING.has(code)) note(`A claim of ${formatTao(BigInt(claim.amountRao))} waits: ${message}`);
      return false;
    }
  }

  async #settle(claim: DuePayout, signed: SignedAction, arrived: ArrivedAction): Promise<boolean> {
    const { desk, journal } = this.#ports;
    const { claimId } = claim;
    const { block, blockHash, extrinsic, creditedRao } = arrived;
    await desk.paid({ claimId, block, blockHash, extrinsic, creditedRao: String(creditedRao ?? 0n) });
    journal.end(claimId, signed.hash, "paid");
    this.#again.delete(claimId);
    return true;
  }

  async #hold(claim: DuePayout, message: string): Promise<void> {
    const last = this.#again.get(claim.claimId)?.pauseMs;
    const pauseMs = last === undefined ? FIRST_PAUSE_MS : Math.min(last * 2, LONGEST_PAUSE_MS);
    this.#again.set(claim.claimId, { at: this.#ports.now() + pauseMs, pauseMs });
    await this.#tellHeld(claim, message);
  }

  async #tellHeld({ claimId, held }: DuePayout, message: string): Promise<void> {
    const reason = message.slice(0, 500);
    if (reason !== held) await this.#ports.desk.held({ claimId, reason });
  }

  #actionFor({ payoutColdkey, amountRao }: DuePayout): ChainAction {
    const { pays, hotkey } = this.#plan;
    if (pays.asset === "tao") return { kind: "transfer", to: payoutColdkey, amountRao };
    if (hotkey === null) throw new Failure("bad-option", "Alpha is paid from a hotkey that has to be named.");
    return { kind: "transfer-stake", to: payoutColdkey, hotkey, netuid: pays.netuid, amountRao };
  }
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
