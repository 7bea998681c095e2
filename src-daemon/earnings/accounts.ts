import { setTimeout as wait } from "node:timers/promises";
import { accountAnswer, claimsAnswer, historyAnswer, receiptsAnswer } from "../../src-protocol/api.ts";
import type { AccountAnswer } from "../../src-protocol/api.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type {
  ClaimOutcome,
  ClaimRow,
  DaemonState,
  HistoryPoint,
  ReceiptRow,
} from "../../src-protocol/state.ts";
import { claimAll } from "./claim-all.ts";
import type { Reach } from "../networks/reach.ts";
import { signedJson } from "../wallet/signed-request.ts";
import type { Hotkey } from "../wallet/wallet.ts";

export interface AccountsOptions {
  readonly network: string;
  readonly netuid: number;
  readonly own: Hotkey;
  readonly neighbours: readonly Hotkey[];
  readonly payoutColdkey: Hotkey["address"];
  /** Keeps a claim that is under way. */
  readonly claimFolder: string;
  /** Where the orchestrator answers now; null while it does not. */
  url(): string | null;
  readonly reach: Pick<Reach, "fetch">;
}

/** How long a claim of test units is followed until it is paid. */
const PAID_LOOKS = 30;
const PAID_LOOK_MS = 100;
/** A long run has more steps than anybody looks at; what is shown is thinned out. */
const HISTORY_PAGES = 64;

/** What this computer's hotkeys have earned, asked from the orchestrator with signed requests. */
export class Accounts {
  readonly #options: AccountsOptions;

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  async earnings(): Promise<DaemonState["earnings"]> {
    const { own, neighbours } = this.#options;
    const [account, ...others] = await Promise.all(
      [own, ...neighbours].map((hotkey) => this.#account(hotkey)),
    );
    if (account === undefined) throw new Failure("internal", "There is no account.");
    const next = others.reduce(
      (sum, { accruedRao, claimedRao }) => sum + BigInt(accruedRao) + BigInt(claimedRao),
      0n,
    );
    const { hotkey, payoutColdkey, asset, accruedRao, claimedRao, paidRao, receipts } = account;
    return {
      hotkey,
      payoutColdkey,
      asset,
      accruedRao,
      claimedRao,
      paidRao,
      receipts,
      neighboursAccruedRao: next.toString(),
    };
  }

  async receipts(limit: number): Promise<ReceiptRow[]> {
    const url = this.#address(`account/receipts?limit=${limit}`);
    return (await signedJson(this.#options.own, url, receiptsAnswer, this.#ports())).receipts;
  }

  async claims(): Promise<ClaimRow[]> {
    const { own } = this.#options;
    return (await signedJson(own, this.#address("claims"), claimsAnswer, this.#ports())).claims;
  }

  /** Claims all that has accrued. More than one claim's worth is answered as the newest with the sum. */
  async claim(): Promise<ClaimOutcome> {
    const { own, network, netuid, payoutColdkey, claimFolder } = this.#options;
    const rows = await claimAll({
      hotkey: own,
      network,
      netuid,
      payoutColdkey,
      asset: (await this.#account(own)).asset,
      folder: claimFolder,
      orchestratorUrl: this.#network(),
      ...this.#ports(),
    });
    const newest = rows.at(-1);
    if (newest === undefined)
      throw new Failure(
        "nothing-to-claim",
        "There is nothing to claim yet: earnings appear a few seconds after a step of training.",
      );
    return outcomeOf(await this.#followed(rows));
  }

  /** Test units are paid within moments, and whoever claims wants to see that. */
  async #followed(rows: readonly ClaimRow[]): Promise<ClaimRow[]> {
    let now = [...rows];
    for (let look = 0; look < PAID_LOOKS && now.some(isUnderWay); look += 1) {
      await wait(PAID_LOOK_MS);
      const claims = await this.claims().catch(() => []);
      now = now.map((row) => claims.find(({ claimId }) => claimId === row.claimId) ?? row);
    }
    return now;
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

  #account(hotkey: Hotkey): Promise<AccountAnswer> {
    return signedJson(hotkey, this.#address("account"), accountAnswer, this.#ports());
  }

  #ports(): Pick<Reach, "fetch"> {
    return { fetch: this.#options.reach.fetch };
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

function isUnderWay({ asset, status }: ClaimRow): boolean {
  return asset === "test" && status === "accepted";
}

/** SECURITY: sums are of one address: what goes to another one stands apart. */
export function outcomeOf(rows: readonly ClaimRow[]): ClaimOutcome {
  const newest = rows.at(-1);
  if (newest === undefined) throw new Failure("internal", "There is no claim.");
  const isSame = ({ payoutColdkey, asset, status }: ClaimRow): boolean =>
    payoutColdkey === newest.payoutColdkey && asset === newest.asset && status === newest.status;
  const same = rows.filter(isSame);
  return {
    ...newest,
    amountRao: same.reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n).toString(),
    receipts: same.reduce((sum, { receipts }) => sum + receipts, 0),
    others: rows.filter((row) => !isSame(row)),
  };
}
