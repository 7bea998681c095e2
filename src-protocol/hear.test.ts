import { describe, expect, test } from "vitest";
import { hearing } from "./hear.ts";
import { filled } from "./say.ts";

const GERMAN: Readonly<Record<string, string>> = {
  "Loading slice {slice} of {slices} at step {step}.":
    "Lädt Scheibe {slice} von {slices} bei Schritt {step}.",
  "A lost computer was replaced in {seconds} s.": "Ein verlorener Computer war nach {seconds} s ersetzt.",
  "Training is interrupted: {detail}": "Das Training ist unterbrochen: {detail}",
  "By {claims, plural, one {the one claim} other {the # last claims}}.":
    "Nach {claims, plural, one {dem einen Abruf} other {den # letzten Abrufen}}.",
  "slice {slice} is looking for a home.": "Scheibe {slice} sucht einen Haushalt.",
  "Working: {reasons}.": "Arbeitet: {reasons}.",
  "the computer is on power": "der Computer hängt am Strom",
  "Nothing was signed. Try again.": "Nichts wurde unterschrieben. Noch einmal versuchen.",
  "Until {moment}.": "Bis {moment}.",
  "{low} to {high}": "{low} bis {high}",
  "The key file {path} holds no secret, so it cannot sign.": "{path} hat kein Geheimnis.",
};

const hear = hearing({
  messages: Object.keys(GERMAN),
  say: (message, values) => filled(GERMAN[message] ?? message, values, "de-DE"),
  locale: "de-DE",
});

describe("a sentence of another program", () => {
  test("is said anew with its values", () => {
    expect(hear("Loading slice 2 of 3 at step 120.")).toBe("Lädt Scheibe 2 von 3 bei Schritt 120.");
    expect(hear("The key file /home/a/b.json holds no secret, so it cannot sign.")).toBe(
      "/home/a/b.json hat kein Geheimnis.",
    );
  });

  test("has its figures as the language writes them", () => {
    expect(hear("A lost computer was replaced in 2.3 s.")).toBe(
      "Ein verlorener Computer war nach 2,3 s ersetzt.",
    );
    expect(hear("Loading slice 1 of 12 at step 1,234.")).toContain("Schritt 1.234.");
    // An address is no figure.
    expect(hear("Until 10.0.0.2.")).toBe("Bis 10.0.0.2.");
  });

  test("has its plurals again", () => {
    expect(hear("By the one claim.")).toBe("Nach dem einen Abruf.");
    expect(hear("By the 1,200 last claims.")).toBe("Nach den 1.200 letzten Abrufen.");
  });

  test("may hold another one that is known, and one that is not stays as it is", () => {
    expect(hear("Training is interrupted: slice 2 is looking for a home.")).toBe(
      "Das Training ist unterbrochen: Scheibe 2 sucht einen Haushalt.",
    );
    expect(hear("Training is interrupted: ENOENT.")).toBe("Das Training ist unterbrochen: ENOENT.");
  });

  test("is followed by others, all of them known or none told", () => {
    expect(hear("Working: the computer is on power. Until 07:00.")).toBe(
      "Arbeitet: der Computer hängt am Strom. Bis 07:00.",
    );
    expect(hear("Nothing was signed. Try again. Until 07:00.")).toBe(
      "Nichts wurde unterschrieben. Noch einmal versuchen. Bis 07:00.",
    );
    expect(hear("Until 07:00. What is this?")).toBeNull();
  });

  test("is not guessed from a message that is nearly all places", () => {
    expect(hear("from here to there")).toBeNull();
  });
});
