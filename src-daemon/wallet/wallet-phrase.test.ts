import { mnemonicToEntropy, mnemonicToMiniSecret, mnemonicValidate } from "@polkadot/util-crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newPhrase, phraseOf, phraseToSeed } from "./wallet-phrase.ts";

const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";

describe("a secret phrase", () => {
  it("gives btwallet's seed", () => {
    expect(Buffer.from(phraseToSeed(PHRASE) ?? []).toString("hex")).toBe(
      "da3cf5b1e9144931a0f0db65664aab662673b099415a7f8121b7245fb0be4143",
    );
    expect(phraseToSeed(`  ${PHRASE.replaceAll(" ", "  ")}\n`)).toEqual(phraseToSeed(PHRASE));
  });

  it("of any length agrees with @polkadot/util-crypto", () => {
    const entropy = fc
      .constantFrom(16, 20, 24, 28, 32)
      .chain((bytes) => fc.uint8Array({ minLength: bytes, maxLength: bytes }));
    fc.assert(
      fc.property(entropy, (bytes) => {
        const phrase = phraseOf(bytes);
        expect(mnemonicToEntropy(phrase)).toEqual(bytes);
        expect(phraseToSeed(phrase)).toEqual(mnemonicToMiniSecret(phrase));
      }),
      { seed: 1, numRuns: 20 },
    );
  });

  it("is new and valid each time", () => {
    const phrases = new Set(Array.from({ length: 20 }, newPhrase));
    expect(phrases.size).toBe(20);
    for (const phrase of phrases) {
      expect(phrase.split(" ")).toHaveLength(12);
      expect(mnemonicValidate(phrase)).toBe(true);
    }
  });

  it.each([
    ["a wrong checksum", PHRASE.replace("review", "old")],
    ["an unknown word", PHRASE.replace("review", "bittensor")],
    ["a missing word", PHRASE.replace(" review", "")],
    ["upper case", PHRASE.toUpperCase()],
    ["nothing", ""],
  ])("with %s is refused", (_why, phrase) => {
    expect(phraseToSeed(phrase)).toBeNull();
  });
});
