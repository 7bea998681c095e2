import { expect, test } from "vitest";
import { explained, found, GLOSSARY } from "./glossary.ts";

const all = explained("en-US");

test("each word is explained in a sentence or two that end, by the alphabet", () => {
  expect(all.map(({ word }) => word)).toEqual(
    all.map(({ word }) => word).toSorted((one, other) => one.localeCompare(other, "en-US")),
  );
  for (const { says } of Object.values(GLOSSARY)) expect(says).toMatch(/^[A-Z].{20,190}[.)]$/);
  expect(new Set(all.map(({ word }) => word)).size).toBe(all.length);
});

test("a word is found in any capitals and as a plural; letters within others find all of them", () => {
  const words = (asked: string) => found(all, asked).map(({ word }) => word);
  expect(words("LOSS")).toEqual(["Loss"]);
  expect(words("receipts")).toEqual(["Receipt"]);
  expect(words("claim")).toEqual(["Claims"]);
  expect(words("key")).toEqual(["Coldkey", "Hotkey"]);
  expect(words("gradient")).toEqual([]);
});
