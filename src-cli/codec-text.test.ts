import { expect, it } from "vitest";
import { autoCodecs, codecsPart } from "../src-protocol/link-codecs.ts";
import { codecText } from "./codec-text.ts";

const as = (arithmetic: "exact" | "fast", isAlone: boolean) => ({
  arithmetic,
  ...codecsPart(arithmetic, autoCodecs(isAlone)),
});

it("an operator reads how values travel, and why", () => {
  expect(codecText(as("exact", true), "auto", "computer")).toBe(
    "as they are (f32): only this computer reaches the network, so there is no line to spare.",
  );
  expect(codecText(as("exact", false), "auto", "lan")).toBe(
    "in int8b64: fewer bytes are as fast or faster within a home too, most of all over Wi-Fi.",
  );
  expect(codecText(as("exact", false), "auto", "home")).toBe("in int8b64: lines between homes are narrow.");
  expect(codecText(as("fast", false), "auto", "home")).toBe(
    "in int8b64/int8b64/int8b64, and as they are within a computer or a home: lines between homes are narrow.",
  );
  expect(codecText(as("exact", false), "int8b64", "lan")).toBe("in int8b64, as --codec says.");
});

it("of a run that was begun otherwise, it is said what would suit it better", () => {
  expect(codecText(as("exact", false), "auto", "computer")).toMatch(
    /^in int8b64, as the run was begun\. f32 would suit it better: .* \(--codec f32, which begins the run anew\)\.$/,
  );
  expect(codecText(as("fast", true), "auto", "home")).toBe(
    "as they are (f32), as the run was begun. int8b64/int8b64/int8b64 would suit it better: lines between homes are narrow (--codec int8b64/int8b64/int8b64).",
  );
});
