import { expect, it } from "vitest";
import { PayerTrouble } from "./payer-trouble.ts";

const MINUTE = 60_000;

it("says why claims wait once, also when every other round fails", () => {
  const trouble = new PayerTrouble();
  const told = Array.from({ length: 60 }, (_, i) => trouble.isNews("The chain does not answer.", i * MINUTE));
  expect(told.filter(Boolean)).toHaveLength(1);
  expect(trouble.isNews("The coldkey has too little.", 60 * MINUTE), "another reason").toBe(true);
});

it("is told again after it was well for long", () => {
  const trouble = new PayerTrouble();
  expect(trouble.isNews("The chain does not answer.", 0)).toBe(true);
  expect(trouble.isNews("The chain does not answer.", 30 * MINUTE)).toBe(true);
});
