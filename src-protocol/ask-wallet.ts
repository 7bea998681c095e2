import { Failure } from "./failure.ts";
import { walletMessage } from "./wallet-ipc.ts";
import type { WalletAnswer, WalletRequest } from "./wallet-ipc.ts";

/** A child process over whose channel `wallet-ipc` is spoken; Node's own, as far as it is needed. */
export interface WalletProcess {
  on(event: "message", listener: (message: unknown) => void): unknown;
  once(event: "error", listener: (error: Error) => void): unknown;
  once(event: "close", listener: () => void): unknown;
  send(request: WalletRequest): unknown;
}

/** Asks the process that may hold keys, which ends with its answer. @throws Failure, its own */
export async function askWalletProcess(
  child: WalletProcess,
  request: WalletRequest,
  onWorking: (seconds: number) => void = () => undefined,
): Promise<WalletAnswer> {
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
