import { expect, test } from "vitest";
import german from "../../src-protocol/locales/de.heard.json" with { type: "json" };
import said from "../../src-protocol/locales/de.json" with { type: "json" };
import { hearing } from "../../src-protocol/hear.ts";
import { NO_KEYCHAIN } from "../../src-protocol/keychain.ts";
import { ofSystem } from "../../src-protocol/languages.ts";
import { filled } from "../../src-protocol/say.ts";
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

test("what the daemon says of a new key is heard as a whole, each sentence by itself", () => {
  const catalog: Readonly<Record<string, string>> = german;
  const hear = hearing({
    messages: Object.keys(catalog),
    say: (message, values) => filled(catalog[message] ?? message, values, "de-DE"),
    locale: "de-DE",
  });
  const text =
    `It lies open in /home/a b/hotkeys/default: only the file's mode (0600, this account alone) keeps it from others, and nothing from other programs of this account. ` +
    `No keychain protects it: ${NO_KEYCHAIN["no-app"]}. \`tah wallet create\` with --hotkey and --password-file makes one under a password.`;
  expect(hear(text)).toMatch(/^Er liegt offen.*gestartet, die allein.*macht einen unter einem Passwort\.$/);
  expect(hear(text)).not.toMatch(/ the | its | with /);
});

test("a pause is heard with its end", () => {
  const known: Readonly<Record<string, string>> = { ...german, ...said };
  const hear = hearing({
    messages: Object.keys(known),
    say: (message, values) => filled(known[message] ?? message, values, "de-DE"),
    locale: "de-DE",
  });
  expect(hear("Paused: until 07:36. Then it goes on.")).toBe("Pause: bis 07:36. Dann geht es weiter.");
  expect(hear("Paused: until you resume it.")).toBe("Pause: bis Sie fortsetzen.");
  expect(hear("Waiting for 1 more computer: 2 of the 3 that it needs are here.")).toBe(
    "Wartet auf einen weiteren Computer: 2 von 3, die es braucht, sind da.",
  );
});

test("a run that fails again and again says in German too how often, why, and when it is tried next", () => {
  const known: Readonly<Record<string, string>> = german;
  const hear = hearing({
    messages: Object.keys(known),
    say: (message, values) => filled(known[message] ?? message, values, "de-DE"),
    locale: "de-DE",
  });
  expect(
    hear(
      "8 tries in a row have finished no step: the next one is at 15:00:21 UTC, or when a computer comes or goes. Slice 1 had trouble: link-closed. (8 times in a row)",
    ),
  ).toBe(
    "8 Versuche hintereinander haben keinen Schritt beendet: der nächste ist um 15:00:21 UTC, oder wenn ein Computer kommt oder geht. Scheibe 1 hatte Schwierigkeiten: link-closed. (8-mal hintereinander)",
  );
  expect(hear("The computers are about to form a pipeline. Slice 2 had trouble: link-closed.")).toBe(
    "Die Computer finden sich gleich zusammen. Scheibe 2 hatte Schwierigkeiten: link-closed.",
  );
});
