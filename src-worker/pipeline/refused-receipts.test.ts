import { expect, it } from "vitest";
import { RefusedReceipts } from "./refused-receipts.ts";

it("K2: receipts that are refused for good are told to their owner with the reason, not once for each", () => {
  const said: string[] = [];
  const refused = new RefusedReceipts((sentence) => said.push(sentence));
  refused.add(Array.from({ length: 25 }, () => ({ code: "own-counter-signature" })));
  refused.add([{ code: "wrong-flops" }]);
  expect(said).toEqual([
    expect.stringMatching(
      /^1 receipt will not be paid: only computers of the same owner .*own-counter-signature/,
    ),
    expect.stringMatching(/^10 receipts will not be paid/),
    "1 receipt will not be paid: wrong-flops (wrong-flops).",
  ]);
});
