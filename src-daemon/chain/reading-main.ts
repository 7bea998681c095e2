import { chainQuestion } from "../../src-protocol/chain-reads.ts";
import type { ChainAnswer, ChainMessage, ChainQuestion } from "../../src-protocol/chain-reads.ts";
import { failureBody } from "../../src-protocol/failure.ts";
import { withChain } from "./chain-api.ts";
import { accountOf, neuronOf, subnetOf } from "./chain-reading.ts";

/** A child of `tah chain …`: it asks one node one thing, and holds no key. */
function answer(question: ChainQuestion): Promise<ChainAnswer> {
  const { url, genesis } = question;
  return withChain({ url, genesis }, async (api): Promise<ChainAnswer> => {
    switch (question.type) {
      case "subnet":
        return { type: "subnet", subnet: await subnetOf(api, question.netuid) };
      case "neuron":
        return { type: "neuron", neuron: await neuronOf(api, question.netuid, question.hotkey) };
      case "account":
        return { type: "account", account: await accountOf(api, question.address) };
    }
  });
}

function tell(message: ChainMessage): void {
  const leave = (): void => process.exit(0);
  if (process.connected) process.send?.(message, undefined, undefined, leave);
  else leave();
}

if (process.send === undefined) {
  process.stderr.write("This is started by `tah chain` and not by hand.\n");
  process.exit(1);
}
process.on("disconnect", () => process.exit(1));
process.once("message", (words) => {
  Promise.resolve(words)
    .then((given) => answer(chainQuestion.parse(given)))
    .then(
      (told) => tell({ type: "done", answer: told }),
      (error: unknown) => tell({ type: "failed", ...failureBody(error) }),
    );
});
