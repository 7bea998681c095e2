import { fork } from "node:child_process";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";
import { walletMessage } from "../src-protocol/wallet-ipc.ts";
import type { WalletAnswer, WalletRequest } from "../src-protocol/wallet-ipc.ts";

const WALLET_SCRIPT = join(import.meta.dirname, "..", "src-daemon", "wallet", "wallet-main.ts");

/** Asks the process that may hold keys. @throws Failure, its own */
export async function askWallet(
  request: WalletRequest,
  onWorking: (seconds: number) => void = () => undefined,
): Promise<WalletAnswer> {
  const child = fork(WALLET_SCRIPT, [], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const { promise, resolve, reject } = Promise.withResolvers<WalletAnswer>();
  child.on("message", (value) => {
    const message = walletMessage.parse(value);
    if (message.type === "working") onWorking(message.seconds);
    else if (message.type === "done") resolve(message.answer);
    else reject(new Failure(message.code, message.message));
  });
  child.once("error", reject);
  child.once("close", () =>
    reject(new Failure("wallet-ended", "The process that holds the keys ended before it had answered.")),
  );
  child.send(request);
  return promise;
}
