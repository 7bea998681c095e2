/** Languages that are spoken to people, by their own names. */
export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;
export const LANGUAGE_CHOICES = ["system", "en", "de"] as const;

/** What `Intl` is given. */
export const LOCALES: Readonly<Record<Language, string>> = { en: "en-US", de: "de-DE" };

/** The first of a reader's languages that there is; English when there is none. */
export function ofSystem(wanted: readonly string[]): Language {
  const known = Object.keys(LANGUAGES) as Language[];
  for (const tag of wanted) {
    const found = known.find((language) => tag.toLowerCase().split("-")[0] === language);
    if (found !== undefined) return found;
  }
  return "en";
}
