import { join } from "node:path";
import { actionText, spendOf } from "../../src-protocol/chain-action.ts";
import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { WalletAnswer, WalletRequest } from "../../src-protocol/wallet-ipc.ts";
import { act } from "../chain/chain-acting.ts";
import type { ActionKey } from "../chain/chain-sending.ts";
import { SignatureLog } from "./signature-log.ts";
import { SpendLimits } from "./spend-limits.ts";

/** Where a key's signatures for chains are counted and written down. */
export interface SigningBooks {
  readonly limits: Pick<SpendLimits, "spend" | "giveBack">;
  readonly log: Pick<SignatureLog, "add">;
  readonly genesis: string;
}

/** The same key, within the day's limits, and each signature is in the log before it is made. */
export function boundedKey(key: ActionKey, { limits, log, genesis }: SigningBooks): ActionKey {
  return {
    address: key.address,
    signAction(action: ChainAction, payload: Uint8Array): Uint8Array {
      const spent = spendOf(action);
      const digest = sha256(payload);
      if (spent !== null) limits.spend(spent.asset, spent.rao, digest);
      log.add(
        key.address,
        action.kind,
        `${actionText(action)} on the chain ${genesis}`.slice(0, 500),
        digest,
      );
      return key.signAction(action, payload);
    },
    movedLess({ payload }, { rao, of }) {
      if (payload !== undefined) limits.giveBack(payload, { rao, part: of });
    },
  };
}

/** Does one thing on a chain: within the day's limit, written down before it is signed, on the chain that is meant. */
export async function actOnChain(
  { home, url, genesis, action }: Extract<WalletRequest, { type: "act" }>,
  key: ActionKey,
): Promise<WalletAnswer> {
  if ((action.kind === "transfer" || action.kind === "transfer-stake") && action.to === key.address)
    throw new Failure("bad-address", "That is the sender's own address. Nothing was signed.");
  const limits = new SpendLimits(home, Date.now);
  const log = new SignatureLog(join(home, "coldkey-signatures.jsonl"), Date.now);
  const arrived = await act({ url, genesis }, action, boundedKey(key, { limits, log, genesis }));
  const { block, blockHash, extrinsic, creditedRao, feeRao } = arrived;
  return {
    type: "acted",
    kind: action.kind,
    from: key.address,
    block,
    blockHash,
    extrinsic,
    creditedRao: creditedRao === null ? null : String(creditedRao),
    feeRao: feeRao === null ? null : String(feeRao),
  };
}
