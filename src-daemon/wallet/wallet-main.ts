import { failureBody } from "../../src-protocol/failure.ts";
import { walletRequest } from "../../src-protocol/wallet-ipc.ts";
import type { WalletMessage } from "../../src-protocol/wallet-ipc.ts";
import { answerWallet } from "./wallet-book.ts";

/** A child of `tah wallet …`: the process that holds keys, for as long as one command takes. */
function tell(message: WalletMessage, then: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, undefined, undefined, then);
}

if (process.send === undefined) {
  process.stderr.write("This is started by `tah wallet` and not by hand.\n");
  process.exit(1);
}
process.on("disconnect", () => process.exit(1));
process.once("message", (words) => {
  const leave = (): void => process.exit(0);
  Promise.resolve(words)
    .then((given) =>
      answerWallet(walletRequest.parse(given), {
        onWorking: (seconds) => tell({ type: "working", seconds }),
      }),
    )
    .then(
      (answer) => tell({ type: "done", answer }, leave),
      (error: unknown) => tell({ type: "failed", ...failureBody(error) }, leave),
    );
});
