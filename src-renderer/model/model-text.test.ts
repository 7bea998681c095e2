import { expect, test } from "vitest";
import { DEFAULT_MODEL } from "../../src-protocol/model.ts";
import { choicesText, shapeText } from "./model-text.ts";

test("a loss of ln 256 is a guess among 256", () => {
  expect(choicesText(Math.log(256))).toContain("between 256 equally likely ones");
  expect(choicesText(Math.log(4.2))).toContain("between 4.2 ");
});

test("a model's shape is told in words", () => {
  expect(shapeText(DEFAULT_MODEL)).toMatch(/^\d+ blocks of width \d+, \d+ heads$/);
});
