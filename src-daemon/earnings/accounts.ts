import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { z } from "zod";
import { accountAnswer, claimsAnswer, historyAnswer, receiptsAnswer } from "../../src-protocol/api.ts";
import type { AccountAnswer } from "../../src-protocol/api.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { FailureBody } from "../../src-protocol/failure.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type {
  ClaimOutcome,
  ClaimRow,
  DaemonState,
  HistoryPoint,
  ReceiptRow,
} from "../../src-protocol/state.ts";
import { bindAnswer, challengeAnswer } from "../../src-protocol/payout-consent.ts";
import type { BindAnswer, bindRequest } from "../../src-protocol/payout-consent.ts";
import { evidencePage } from "../../src-protocol/receipt-export.ts";
import type { EvidencePage } from "../../src-protocol/receipt-export.ts";
import { ownComputersAnswer } from "../../src-protocol/own-computers.ts";
import type { ComputersOfKey, OtherComputers } from "../../src-protocol/own-computers.ts";
import { settledAnswer, windowStarts } from "../../src-protocol/settled-pay.ts";
import type { SettledPay } from "../../src-protocol/settled-pay.ts";
import { agreedPayout, keepAgreedPayout } from "./agreed-payout.ts";
import { claimAll } from "./claim-all.ts";
import { openClaimOutbox } from "./claim-outbox.ts";
import { outcomeOf } from "./claim-outcome.ts";
import { refusedClaims, ownClaimRow } from "./refused-claims.ts";
import { NetworkTime } from "./network-time.ts";
import { settledByDevice } from "./settled-by-device.ts";
import type { FormerKeys, KeptAccount } from "./former-keys.ts";
import type { Reach } from "../networks/reach.ts";
import { signedJson } from "./signed-request.ts";
import type { Hotkey } from "../wallet/wallet.ts";

export interface AccountsOptions {
  readonly network: string;
  readonly own: Hotkey;
  readonly neighbours: readonly Hotkey[];
  readonly payoutColdkey: Ss58Address;
  /** Keeps a claim that is under way. */
  readonly claimFolder: string;
  /** Where the orchestrator answers now; null while it does not. */
  url(): string | null;
  readonly reach: Pick<Reach, "fetch">;
  /** Hotkeys that this computer worked with before; left out: none is known. */
  readonly former?: {
    readonly keys: Pick<FormerKeys, "besides" | "note">;
    /** Of the network, as the keys know it. */
    readonly id: string;
    /** Of the own hotkey's file. */
    readonly path: string;
    /** The hotkey in a file of before; null: it is not there, or it does not open by itself. */
    open(path: string, address: Ss58Address): Promise<Hotkey | null>;
  };
  readonly now?: () => number;
}

/** How long a claim of test units is followed until it is paid. */
const PAID_LOOKS = 30;
const PAID_LOOK_MS = 100;
/** A long run has more steps than anybody looks at; what is shown is thinned out. */
const HISTORY_PAGES = 64;

/** Without this computer; of its own key only what others of it do. */
function besides(
  keys: readonly ComputersOfKey[],
  hotkey: Ss58Address,
  own: SessionKey | null,
): OtherComputers["keys"] {
  return keys.flatMap((key) => {
    const isShared = key.hotkey === hotkey;
    const computers = key.computers.filter(({ sessionKey }) => sessionKey !== own);
    return isShared && computers.length === 0 ? [] : [{ ...key, computers, isShared }];
  });
}

/** What this computer's hotkeys have earned, asked from the orchestrator with signed requests. */
export class Accounts {
  readonly #options: AccountsOptions;
  readonly #time: NetworkTime;
  #heard: AccountAnswer | null = null;

  constructor(options: AccountsOptions) {
    this.#options = options;
    this.#time = new NetworkTime(options.now);
  }

  /** Of the own hotkey, as the network said last; null: it has not yet. */
  get heard(): AccountAnswer | null {
    return this.#heard;
  }

  /** This computer's clock is off, and what is done about it; null: it is right. */
  get clockProblem(): FailureBody | null {
    return this.#time.problem;
  }

  /** By the network's clock, as far as it has said: see `NetworkTime.heardNow`. */
  get networkNow(): () => number {
    return this.#time.heardNow;
  }

  async earnings(): Promise<DaemonState["earnings"]> {
    const { own, neighbours, former } = this.#options;
    const [account, ...others] = await Promise.all(
      [own, ...neighbours].map((hotkey) => this.#account(hotkey)),
    );
    if (account === undefined) throw new Failure("internal", "There is no account.");
    this.#heard = account;
    const next = others.reduce(
      (sum, { accruedRao, claimedRao }) => sum + BigInt(accruedRao) + BigInt(claimedRao),
      0n,
    );
    const { hotkey, payoutColdkey, asset, accruedRao, claimedRao, paidRao, receipts, later } = account;
    former?.keys.note({ network: former.id, hotkey, path: former.path, asset, accruedRao });
    return {
      hotkey,
      payoutColdkey,
      asset,
      accruedRao,
      claimedRao,
      paidRao,
      receipts,
      neighboursAccruedRao: next.toString(),
      asOf: Math.max(0, Math.floor((this.#options.now ?? Date.now)())),
      nextClaimAt: null,
      later,
      former: await this.#former(),
    };
  }

  async receipts(limit: number): Promise<ReceiptRow[]> {
    const answer = await this.#ask(this.#options.own, `account/receipts?limit=${limit}`, receiptsAnswer);
    return answer.receipts;
  }

  /** What has arrived: of this computer, of its keys of before, and of other computers of the same payout address. */
  async settled(zone: string): Promise<SettledPay> {
    const { own, former } = this.#options;
    const asOf = Math.max(0, Math.floor((this.#options.now ?? Date.now)()));
    const starts = windowStarts(zone, asOf);
    const path = `account/settled?since=${starts.map(({ from }) => from).join(",")}`;
    const keys = [own, ...(await this.#openFormer()).map(({ hotkey }) => hotkey)];
    const [{ asset }, ...answers] = await Promise.all([
      this.#account(own),
      ...keys.map((key) => this.#ask(key, path, settledAnswer)),
    ]);
    const before = former?.keys.besides(former.id, own.address).map(({ hotkey }) => hotkey) ?? [];
    const devices = settledByDevice({ own: own.address, before, starts, answers });
    return { asset, asOf, ...devices };
  }

  /** The owner's computers beside this one, by key. @param own by which the network knows this computer */
  async otherComputers(own: SessionKey | null): Promise<OtherComputers> {
    const { own: hotkey } = this.#options;
    const [{ asset }, { keys }] = await Promise.all([
      this.#account(hotkey),
      this.#ask(hotkey, "account/computers", ownComputersAnswer),
    ]);
    return { asset, keys: besides(keys, hotkey.address, own) };
  }

  evidence({ afterReceipt, afterStatement }: NonNullable<EvidencePage["next"]>): Promise<EvidencePage> {
    const path = `account/evidence?afterReceipt=${afterReceipt}&afterStatement=${afterStatement}`;
    return this.#ask(this.#options.own, path, evidencePage);
  }

  payoutChallenge(payoutColdkey: Ss58Address): Promise<z.infer<typeof challengeAnswer>> {
    return this.#ask(this.#options.own, "payout/challenge", challengeAnswer, { payoutColdkey });
  }

  /** What was claimed before goes where it was claimed to. */
  async bindPayout(signed: z.infer<typeof bindRequest>): Promise<BindAnswer> {
    const answer = await this.#ask(this.#options.own, "payout", bindAnswer, signed);
    keepAgreedPayout(this.#options.claimFolder, answer.payoutColdkey);
    return answer;
  }

  /** Newest first: the network's, one that it has not answered yet, and those that it has refused. */
  async claims(): Promise<ClaimRow[]> {
    const { own, claimFolder, network } = this.#options;
    const { claims } = await this.#ask(own, "claims", claimsAnswer);
    const known = new Set(claims.map(({ claimId }) => claimId));
    const pending = openClaimOutbox(claimFolder).read()?.body;
    const isOurs = pending?.hotkey === own.address && pending.network === network;
    const waiting = isOurs ? [ownClaimRow(pending, "pending", UNANSWERED)] : [];
    const mine = [...waiting, ...refusedClaims(claimFolder)].filter(({ claimId }) => !known.has(claimId));
    return [...claims, ...mine].toSorted((a, b) => b.at - a.at);
  }

  /**
   * Claims all that has accrued, also of hotkeys of before whose files are still here. What goes to another
   * address than that of today stands apart in the answer.
   */
  async claim(): Promise<ClaimOutcome> {
    const { own, claimFolder } = this.#options;
    const rows = await this.#claimOf(own, claimFolder);
    for (const { hotkey } of await this.#openFormer())
      rows.unshift(...(await this.#claimOf(hotkey, join(claimFolder, hotkey.address))));
    if (rows.length === 0)
      throw new Failure(
        "nothing-to-claim",
        "There is nothing to claim yet: earnings appear a few seconds after a step of training.",
      );
    return outcomeOf(rows);
  }

  /** Finished steps from `sinceStep` on, oldest first: public, so not signed. */
  async history(sinceStep: number): Promise<HistoryPoint[]> {
    const points: HistoryPoint[] = [];
    try {
      for (
        let cursor: number | null = sinceStep, pages = 0;
        cursor !== null && pages < HISTORY_PAGES;
        pages++
      ) {
        const url = this.#address(`run/history?sinceStep=${cursor}`);
        const response = await this.#options.reach.fetch(url, { signal: AbortSignal.timeout(10_000) });
        const answer = historyAnswer.parse(await response.json());
        points.push(...answer.points);
        // SECURITY: a cursor that does not go on would be asked for ever.
        cursor = answer.next !== null && answer.next > cursor ? answer.next : null;
      }
      return points;
    } catch (error) {
      throw new Failure(
        "history-unavailable",
        "The run's history cannot be read just now. It comes back with the network; try again in a moment.",
        { cause: error },
      );
    }
  }

  async #claimOf(hotkey: Hotkey, folder: string): Promise<ClaimRow[]> {
    const { network, reach } = this.#options;
    const account = await this.#account(hotkey);
    const payoutColdkey = this.#payoutOf(account);
    const rows = await this.#time.dated(() =>
      claimAll({
        hotkey,
        network,
        netuid: account.netuid,
        payoutColdkey,
        asset: account.asset,
        folder,
        orchestratorUrl: this.#network(),
        fetch: reach.fetch,
        now: this.#time.now,
      }),
    );
    return this.#followed(hotkey, rows);
  }

  /** SECURITY: the network says where a hotkey is bound to; only an address of the owner's is signed for. */
  #payoutOf({ hotkey, payoutColdkey, bindingGeneration }: AccountAnswer): Ss58Address {
    const wanted = this.#options.payoutColdkey;
    const own = [wanted, hotkey, agreedPayout(this.#options.claimFolder)];
    if (own.includes(payoutColdkey)) return payoutColdkey;
    throw new Failure(
      "payout-not-yours",
      `The network pays this hotkey to ${payoutColdkey} (binding ${bindingGeneration}), which is not the payout address of this computer, ${wanted}. Nothing was claimed: bind the right one with \`tah payout ${wanted}\`, or set this one with \`tah wallet payout ${payoutColdkey} --replace\` if it is yours.`,
    );
  }

  /** Test units are paid within moments, and whoever claims wants to see that. */
  async #followed(hotkey: Hotkey, rows: readonly ClaimRow[]): Promise<ClaimRow[]> {
    let now = [...rows];
    for (let look = 0; look < PAID_LOOKS && now.some(isUnderWay); look += 1) {
      await wait(PAID_LOOK_MS);
      const { claims } = await this.#ask(hotkey, "claims", claimsAnswer).catch(() => ({ claims: [] }));
      now = now.map((row) => claims.find(({ claimId }) => claimId === row.claimId) ?? row);
    }
    return now;
  }

  /** What keys of before have left: fresh where the key is here, else as it was last seen. */
  async #former(): Promise<DaemonState["earnings"]["former"]> {
    const { former, own } = this.#options;
    const kept = former?.keys.besides(former.id, own.address) ?? [];
    if (former === undefined || kept.length === 0) return [];
    const open = new Map((await this.#openFormer()).map(({ hotkey, kept: { path } }) => [path, hotkey]));
    const rows = await Promise.all(
      kept.map(async (known) => {
        const { hotkey, asset, accruedRao, at, path } = known;
        const key = open.get(path);
        if (key === undefined) return { hotkey, asset, accruedRao, isHere: false, asOf: at };
        const account = await this.#account(key);
        former.keys.note({ ...withoutTime(known), accruedRao: account.accruedRao });
        const asOf = Math.max(0, Math.floor((this.#options.now ?? Date.now)()));
        return { hotkey, asset, accruedRao: account.accruedRao, isHere: true, asOf };
      }),
    );
    return rows.filter(({ accruedRao }) => accruedRao !== "0");
  }

  async #openFormer(): Promise<{ readonly hotkey: Hotkey; readonly kept: KeptAccount }[]> {
    const { former, own } = this.#options;
    if (former === undefined) return [];
    const opened = await Promise.all(
      former.keys
        .besides(former.id, own.address)
        .map(async (kept) => ({ kept, hotkey: await former.open(kept.path, kept.hotkey) })),
    );
    return opened.flatMap(({ kept, hotkey }) => (hotkey === null ? [] : [{ kept, hotkey }]));
  }

  #account(hotkey: Hotkey): Promise<AccountAnswer> {
    return this.#ask(hotkey, "account", accountAnswer);
  }

  #ask<Schema extends z.ZodType>(
    hotkey: Hotkey,
    path: string,
    schema: Schema,
    body?: unknown,
  ): Promise<z.infer<Schema>> {
    const { fetch } = this.#options.reach;
    const sent = body === undefined ? {} : { method: "POST" as const, body };
    return this.#time.dated(() =>
      signedJson(hotkey, this.#address(path), schema, { fetch, now: this.#time.now, ...sent }),
    );
  }

  #address(path: string): URL {
    return new URL(`/v1/${path}`, this.#network());
  }

  #network(): string {
    const url = this.#options.url();
    if (url !== null) return url;
    throw new Failure(
      "network-away",
      "The network does not answer just now. It comes back by itself, nothing is lost; try again a little later.",
    );
  }
}

const UNANSWERED = "The network has not answered yet. It is sent again, the same, with the next claim.";

function isUnderWay({ asset, status }: ClaimRow): boolean {
  return asset === "test" && status === "accepted";
}

function withoutTime({ network, hotkey, path, asset, accruedRao }: KeptAccount): Omit<KeptAccount, "at"> {
  return { network, hotkey, path, asset, accruedRao };
}
