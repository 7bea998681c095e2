import german from "../src-protocol/locales/de.json" with { type: "json" };
import germanHeard from "../src-protocol/locales/de.heard.json" with { type: "json" };
import { hearing } from "../src-protocol/hear.ts";
import { type Language, LOCALES, ofSystem } from "../src-protocol/languages.ts";
import { ENGLISH, filled, type SayValues, speakAs } from "../src-protocol/say.ts";
import type { ShellSettings } from "../src-protocol/shell-settings.ts";

const CATALOGS: Readonly<Record<Language, Readonly<Record<string, string>> | null>> = {
  en: null,
  de: { ...germanHeard, ...german },
};

/** Tray, menus and notices speak this from now on. `system`: the first of these languages that there is. */
export function speak(choice: ShellSettings["language"], system: readonly string[]): void {
  const language = choice === "system" ? ofSystem(system) : choice;
  const catalog = CATALOGS[language];
  if (catalog === null) return speakAs(ENGLISH);
  const locale = LOCALES[language];
  const say = (message: string, values: SayValues) => filled(catalog[message] ?? message, values, locale);
  speakAs({ locale, say, hear: hearing({ messages: Object.keys(catalog), say, locale }) });
}
