import { i18n, type Messages } from "@lingui/core";
import { compileMessage } from "@lingui/message-utils/compileMessage";
import { useSyncExternalStore } from "react";
import { type Language, LOCALES, ofSystem } from "../../src-protocol/languages.ts";
import { hearing } from "../../src-protocol/hear.ts";
import { type SayValues, speakAs } from "../../src-protocol/say.ts";
import { pseudoMessage } from "./pseudo.ts";

/** `pseudo` is for tests: English with other letters, and longer, so that what is not translated is seen. */
type Spoken = Language | "pseudo";
export type LanguageChoice = Spoken | "system";

/** What `Intl` and the page's `lang` are given. */
const TAGS: Record<Spoken, string> = { ...LOCALES, pseudo: "en-XA" };
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
  const { said, heard } = await catalogsOf(spoken);
  compiled.clear();
  i18n.setMessagesCompiler((message) => {
    // SECURITY: a message becomes a list of its parts, never code: the page's policy forbids `eval`.
    const parts =
      compiled.get(message) ?? compileMessage(message, spoken === "pseudo" ? pseudoMessage : undefined);
    compiled.set(message, parts);
    return parts;
  });
  const locale = TAGS[spoken];
  const messages = { ...heard, ...said };
  i18n.loadAndActivate({ locale, messages });
  const say = (message: string, values: SayValues) => i18n._(message, values);
  speakAs({
    locale,
    say,
    hear: spoken === "en" ? (text) => text : hearing({ messages: Object.keys(messages), say, locale }),
  });
  document.documentElement.lang = locale.slice(0, 2);
  for (const listener of listeners) listener();
}

/** English stands in the code itself. `heard`: of what other programs say. */
async function catalogsOf(language: Spoken): Promise<{ said: Messages; heard: Messages }> {
  if (language !== "de") return { said: {}, heard: {} };
  const [said, heard] = await Promise.all([
    import("../../src-protocol/locales/de.json"),
    import("../../src-protocol/locales/de.heard.json"),
  ]);
  return { said: said.default, heard: heard.default };
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
