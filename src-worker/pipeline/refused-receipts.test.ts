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
    "1 receipt will not be paid: the network has found a fault in what they say (wrong-flops).",
  ]);
});

it("F7: that work of just now is not paid, or only in part, is known until some is paid again", () => {
  const receipts = new RefusedReceipts(() => {});
  const own = [{ code: "own-counter-signature" }];
  expect(receipts.unpaid).toBeNull();
  receipts.answered({ stored: [], refused: own });
  expect(receipts.unpaid).toMatch(/^This work is not paid: only computers of the same owner/);
  receipts.answered({ stored: ["id"], refused: [], partly: own });
  expect(receipts.unpaid).toMatch(/^A part of this work is not paid/);
  receipts.answered({ stored: [], refused: [{ code: "already-paid" }] });
  expect(receipts.unpaid).toMatch(/^A part/);
  receipts.answered({ stored: ["id"], refused: [] });
  expect(receipts.unpaid).toBeNull();
});

it("that nobody can vouch for the work on a model in one slice is known from its beginning", () => {
  const receipts = new RefusedReceipts(() => {});
  receipts.assigned(1);
  receipts.answered({ stored: ["of the run before"], refused: [] });
  expect(receipts.unpaid).toMatch(/^This work is not paid: the whole model is one slice/);
  receipts.assigned(3);
  expect(receipts.unpaid).toBeNull();
});

it("what was refused since a receipt was paid stays known, with the newest reason, until one is paid again", () => {
  const receipts = new RefusedReceipts(() => {});
  const of = (...codes: string[]) => codes.map((code) => ({ code }));
  expect(receipts.refused).toBeNull();
  receipts.answered({ stored: [], refused: of("not-counted") });
  receipts.answered({ stored: ["id"], refused: of("not-finished", "wrong-flops") });
  expect(receipts.refused).toBe(
    "The network has refused 3 receipts since it paid one: the network has found a fault in what they say (wrong-flops).",
  );
  receipts.answered({ stored: [], refused: of("own-counter-signature") });
  expect(receipts.refused, "that stands in `unpaid`").toMatch(/^The network has refused 3 receipts/);
  receipts.answered({ stored: ["id"], refused: [] });
  expect(receipts.refused).toBeNull();
  receipts.answered({ stored: [], refused: of("not-finished") });
  expect(receipts.refused).toBe(
    "The network has refused 1 receipt since it paid one: their steps were not finished by all slices (not-finished).",
  );
  receipts.assigned(1);
  expect(receipts.refused, "no receipt of a model in one slice is paid").toBeNull();
});
