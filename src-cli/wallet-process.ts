import { fork } from "node:child_process";
import { join } from "node:path";
import { askWalletProcess } from "../src-protocol/ask-wallet.ts";
import type { WalletAnswer, WalletRequest } from "../src-protocol/wallet-ipc.ts";

const WALLET_SCRIPT = join(import.meta.dirname, "..", "src-daemon", "wallet", "wallet-main.ts");

/** Asks the process that may hold keys. @throws Failure, its own */
export function askWallet(
  request: WalletRequest,
  onWorking?: (seconds: number) => void,
): Promise<WalletAnswer> {
  const child = fork(WALLET_SCRIPT, [], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  return askWalletProcess(child, request, onWorking);
}
