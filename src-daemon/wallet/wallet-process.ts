import { fork } from "node:child_process";
import { join } from "node:path";
import { askWalletProcess } from "../../src-protocol/ask-wallet.ts";
import type { WalletAnswer, WalletRequest } from "../../src-protocol/wallet-ipc.ts";

const WALLET_SCRIPT = join(import.meta.dirname, "wallet-main.ts");

/** Asks the process that may hold keys, for the owner at the dashboard. @throws Failure, its own */
export function askWallet(request: WalletRequest): Promise<WalletAnswer> {
  const child = fork(WALLET_SCRIPT, [], { execArgv: [], stdio: ["ignore", "ignore", "ignore", "ipc"] });
  return askWalletProcess(child, request);
}
