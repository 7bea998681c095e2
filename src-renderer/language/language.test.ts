import { expect, test } from "vitest";
import { ofSystem } from "../../src-protocol/languages.ts";
import { pseudoMessage } from "./pseudo.ts";

test("the first of a reader's languages that there is, whatever the country; else English", () => {
  expect(ofSystem(["fr-FR", "de-AT", "en-GB"])).toBe("de");
  expect(ofSystem(["EN-gb", "de"])).toBe("en");
  expect(ofSystem(["den-CA", "pt"])).toBe("en");
  expect(ofSystem([])).toBe("en");
});

test("no word of the pseudo-language is one of English, and elements stay", () => {
  expect(pseudoMessage("Save it under <0>Wallet</0>: 5 GB.")).toBe("Šáávéé ít úñdéér <0>Wáállét</0>: 5 GBó.");
});
