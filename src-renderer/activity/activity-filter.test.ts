import { expect, test } from "vitest";
import { filterOf, hashOf, isShown } from "./activity-filter.ts";

test("the address remembers what is shown, and any other address shows everything", () => {
  for (const filter of [
    { kind: "all", text: "" },
    { kind: "money", text: "" },
    { kind: "hand", text: "a/b? ü" },
  ] as const)
    expect(filterOf(hashOf(filter))).toEqual(filter);
  expect(hashOf({ kind: "all", text: "" })).toBe("#activity");
  for (const hash of ["", "#home", "#home/money", "#activity/nothing", "#activity/all/%"])
    expect(filterOf(hash)).toEqual({ kind: "all", text: "" });
});

test("work has what was done by hand too, and words are found in any capitals", () => {
  const shown = (kind: "all" | "work" | "hand" | "money", of: "work" | "hand", text = "") =>
    isShown({ kind, text }, of, "Paused until 07:00.");
  expect(shown("work", "hand")).toBe(true);
  expect(shown("hand", "work")).toBe(false);
  expect(shown("money", "work")).toBe(false);
  expect(shown("all", "work", " paused ")).toBe(true);
  expect(shown("all", "work", "claimed")).toBe(false);
});
