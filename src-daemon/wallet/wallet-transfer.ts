import { join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { formatTao } from "../../src-protocol/units.ts";
import type { WalletAnswer, WalletRequest } from "../../src-protocol/wallet-ipc.ts";
import { transferTao } from "../chain/chain-transfer.ts";
import { SignatureLog } from "./signature-log.ts";
import { SpendLimits } from "./spend-limits.ts";
import type { TransferSigner } from "./wallet-hotkey.ts";

/** Sends TAO from a coldkey: within the day's limit, written down before it is signed, on the chain that is meant. */
export async function sendTao(
  { home, url, genesis, to, amountRao }: Extract<WalletRequest, { type: "transfer" }>,
  coldkey: TransferSigner,
): Promise<WalletAnswer> {
  const limits = new SpendLimits(home, Date.now);
  const log = new SignatureLog(join(home, "coldkey-signatures.jsonl"), Date.now);
  const rao = BigInt(amountRao);
  if (to === coldkey.address)
    throw new Failure("bad-address", "That is the sender's own address. Nothing was signed.");
  const arrived = await transferTao(
    { url, genesis, to, amountRao: rao },
    {
      address: coldkey.address,
      signTransfer(transfer, payload) {
        limits.spend(transfer.amountRao);
        const about = `${formatTao(transfer.amountRao)} TAO to ${transfer.to} on the chain ${transfer.genesis}`;
        log.add(coldkey.address, "transfer", about, sha256(payload));
        return coldkey.signTransfer(transfer, payload);
      },
    },
  );
  return {
    type: "transferred",
    from: coldkey.address,
    to,
    ...arrived,
    creditedRao: String(arrived.creditedRao),
  };
}
