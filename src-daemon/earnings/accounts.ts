import { accountAnswer, claimsAnswer, historyAnswer, receiptsAnswer } from "../../src-protocol/api.ts";
import type { AccountAnswer } from "../../src-protocol/api.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { ClaimRow, DaemonState, HistoryPoint, ReceiptRow } from "../../src-protocol/state.ts";
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
    return { ...account, neighboursAccruedRao: next.toString() };
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
  async claim(): Promise<ClaimRow> {
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
    const amount = rows.reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n);
    const receipts = rows.reduce((sum, row) => sum + row.receipts, 0);
    return { ...newest, amountRao: amount.toString(), receipts };
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
