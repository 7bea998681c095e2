import { compileMessage } from "@lingui/message-utils/compileMessage";
import { setupI18n } from "@lingui/core";
import { join } from "node:path";
import { expect, test } from "vitest";
import { english } from "../src-protocol/say.ts";
import {
  catalogProblems,
  heardProblems,
  messagesIn,
  messagesOf,
  problemsOf,
  sentencesOf,
} from "./messages.ts";

const root = join(import.meta.dirname, "..");

test("messages are found where they are said, marked, and stand around elements", () => {
  const source = `
    say("One of {count}", { count });
    title: phrase('It is "here"'),
    <Trans
      id="Under <0>Wallet</0>."
      components={{ 0: <a href="#wallet" /> }}
    />
    essay("not this")`;
  expect(messagesIn(source)).toEqual(["One of {count}", 'It is "here"', "Under <0>Wallet</0>."]);
});

test("a catalog must have every message, none that nobody says, and the same places", () => {
  const said = ["{count} steps", "<0>Now</0>", "Stop"];
  expect(problemsOf(said, { "{count} steps": "{count} Schritte", "<0>Now</0>": "<0>Jetzt</0>" })).toEqual([
    "not translated: Stop",
  ]);
  expect(
    problemsOf(said, { "{count} steps": "{zahl} Schritte", "<0>Now</0>": "Jetzt", Stop: "Halt", Go: "Los" }),
  ).toEqual([
    "said nowhere: Go",
    "has the places {zahl} in place of {count}: {count} steps",
    "has the places none in place of </0> <0>: <0>Now</0>",
  ]);
  expect(problemsOf(["Stop"], { Stop: "{halt" })).toEqual([expect.stringMatching(/^cannot be read/)]);
});

test("what is heard of others must stand in some source, in pieces too, with no place of its own", () => {
  const others = sentencesOf(
    '`The disk is full: ${path} could not be written. ` +\n  "Free some \\"space\\"."',
  );
  const known = 'The disk is full: {path} could not be written. Free some "space".';
  expect(heardProblems(others, { [known]: "Die Platte ist voll ({path})." })).toEqual([]);
  expect(heardProblems(others, { [known]: "Voll: {file}" })).toEqual([
    `has the place {file}, which is none: ${known}`,
  ]);
  expect(heardProblems(others, { "The disk is nearly full.": "Fast voll." })).toEqual([
    "said nowhere, for “The disk is nearly full”: The disk is nearly full.",
  ]);
});

test("every catalog says all that the dashboard says", () => {
  expect(catalogProblems(root)).toEqual([]);
});

test("terminal and dashboard fill in a message alike", () => {
  const i18n = setupI18n({ locale: "en-US", messages: { "en-US": {} } }).setMessagesCompiler(compileMessage);
  for (const message of messagesOf(root)) {
    const names = [...message.matchAll(/\{(\w+)/g)].map(([, name]) => name ?? "");
    for (const value of [0, 1, 1234]) {
      const values = Object.fromEntries(names.map((name) => [name, value]));
      expect(english(message, values)).toBe(i18n._(message, values));
    }
  }
});
