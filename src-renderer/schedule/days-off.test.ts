import { expect, test } from "vitest";
import { exceptionText, withDayOff } from "./days-off.ts";
import { namesIn } from "./names-field.tsx";

test("a day off stands in its order, once, and in words", () => {
  const list = withDayOff(withDayOff([], "2026-12-31"), "2026-12-24");
  expect(withDayOff(list, "2026-12-24").map(exceptionText)).toEqual([
    "Thursday 24 December 2026",
    "Thursday 31 December 2026",
  ]);
  expect(exceptionText({ date: "2026-12-24", windows: [{ from: "10:00", to: "12:00" }] })).toContain(
    ": only 10:00–12:00",
  );
});

test("names are told apart by commas", () => {
  expect(namesIn(" blender, obs ,, obs")).toEqual(["blender", "obs"]);
});
