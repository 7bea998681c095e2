import { i18n, type Messages } from "@lingui/core";
import { compileMessage } from "@lingui/message-utils/compileMessage";
import { useSyncExternalStore } from "react";
import { speakAs } from "../../src-protocol/say.ts";
import { pseudoMessage } from "./pseudo.ts";

/** By their own names. */
export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;
/** `pseudo` is for tests: English with other letters, and longer, so that what is not translated is seen. */
type Spoken = Language | "pseudo";
export type LanguageChoice = Spoken | "system";

/** What `Intl` and the page's `lang` are given. */
const LOCALES: Record<Spoken, string> = { en: "en-US", de: "de-DE", pseudo: "en-XA" };
const KEY = "train-at-home.language";
const listeners = new Set<() => void>();
/** A window may forbid storage; the choice then lasts as long as the page. */
let choice: LanguageChoice = stored();

type Compiled = ReturnType<typeof compileMessage>;
const compiled = new Map<string, Compiled>();

/** The chosen language, or as the system has it. */
export function useLanguageChoice(): LanguageChoice {
  return useSyncExternalStore(subscribe, () => choice);
}

/** The language that is seen. */
export function useLanguage(): string {
  return useSyncExternalStore(subscribe, () => i18n.locale);
}

export async function chooseLanguage(wanted: LanguageChoice): Promise<void> {
  choice = wanted;
  try {
    localStorage.setItem(KEY, wanted);
  } catch {
    // See above.
  }
  await speakChosen();
}

/** To be waited for before anything is shown: no text is drawn twice. */
export async function speakChosen(): Promise<void> {
  const spoken = choice === "system" ? ofSystem(navigator.languages) : choice;
  const messages = await catalogOf(spoken);
  compiled.clear();
  i18n.setMessagesCompiler((message) => {
    // SECURITY: a message becomes a list of its parts, never code: the page's policy forbids `eval`.
    const parts =
      compiled.get(message) ?? compileMessage(message, spoken === "pseudo" ? pseudoMessage : undefined);
    compiled.set(message, parts);
    return parts;
  });
  i18n.loadAndActivate({ locale: LOCALES[spoken], messages });
  speakAs({ locale: LOCALES[spoken], say: (message, values) => i18n._(message, values) });
  document.documentElement.lang = LOCALES[spoken].slice(0, 2);
  for (const listener of listeners) listener();
}

/** The first of a reader's languages that there is; English when there is none. */
export function ofSystem(wanted: readonly string[]): Language {
  const known = Object.keys(LANGUAGES) as Language[];
  for (const tag of wanted) {
    const found = known.find((language) => tag.toLowerCase().split("-")[0] === language);
    if (found !== undefined) return found;
  }
  return "en";
}

/** English stands in the code itself. */
async function catalogOf(language: Spoken): Promise<Messages> {
  return language === "de" ? (await import("../locales/de.json")).default : {};
}

function stored(): LanguageChoice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "pseudo" || value === "en" || value === "de" ? value : "system";
  } catch {
    return "system";
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
