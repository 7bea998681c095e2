/**
 * Every sentence for people is said through `say`, in English: the message is its own key in the
 * catalogs of other languages. Terminals and agents hear English; the dashboard sets its reader's language.
 *
 * Messages are ICU's, as far as they need it: `{name}` and `{count, plural, one {# step} other {# steps}}`.
 */
export type SayValues = Readonly<Record<string, string | number>>;

export interface Speaker {
  /** For `Intl`: numbers, dates, lists. */
  readonly locale: string;
  say(message: string, values: SayValues): string;
  /** The same sentences in this language, of English ones that another program wrote; null: they are not known. */
  hear(text: string): string | null;
}

export const ENGLISH: Speaker = { locale: "en-US", say: english, hear: (text) => text };
let speaker = ENGLISH;

export function say(message: string, values: SayValues = {}): string {
  return speaker.say(message, values);
}

/** Marks a message of a table: it is said later, when the reader's language is known. */
export function phrase<Text extends string>(message: Text): Text {
  return message;
}

/** What the daemon, a worker or a network said: in the reader's language where it is known, else as it was said. */
export function heard(text: string): string {
  return speaker.hear(text) ?? text;
}

/** Whether `heard` says it in the reader's language. */
export function isKnown(text: string): boolean {
  return speaker.hear(text) !== null;
}

/** The language of what is said from now on. */
export function speakAs(other: Speaker): void {
  speaker = other;
}

export function spokenLocale(): string {
  return speaker.locale;
}

/** The message itself, its places filled in. Throws RangeError for a message whose braces do not match. */
export function english(message: string, values: SayValues): string {
  return filled(message, values, ENGLISH.locale);
}

/** A message of any language that has its plurals as English has them. */
export function filled(message: string, values: SayValues, locale: string): string {
  return partsOf(message)
    .map((part) => {
      if (typeof part === "string") return part;
      const value = values[part.name] ?? "";
      if (part.cases === null) return String(value);
      const chosen = filled(value === 1 ? part.cases.one : part.cases.other, values, locale);
      return chosen.replaceAll("#", Number(value).toLocaleString(locale));
    })
    .join("");
}

/** `{name}`, or `{name, plural, one {…} other {…}}`. */
export interface Place {
  readonly name: string;
  readonly cases: { readonly one: string; readonly other: string } | null;
}

/** A message's words and places, in order. Throws RangeError for braces that do not match. */
export function partsOf(message: string): (string | Place)[] {
  const parts: (string | Place)[] = [];
  for (let at = 0; at < message.length;) {
    const open = message.indexOf("{", at);
    if (open !== at) parts.push(message.slice(at, open < 0 ? message.length : open));
    if (open < 0) break;
    const close = closing(message, open);
    parts.push(placeOf(message.slice(open + 1, close)));
    at = close + 1;
  }
  return parts;
}

function placeOf(inside: string): Place {
  const [, name = inside, cases] = /^(\w+), plural, (.*)$/s.exec(inside) ?? [];
  if (cases === undefined) return { name, cases: null };
  const of = (wanted: string): string => {
    const open = cases.indexOf("{", cases.indexOf(wanted));
    return cases.slice(open + 1, closing(cases, open));
  };
  return { name, cases: { one: of("one"), other: of("other") } };
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === "{") depth += 1;
    else if (text[at] === "}" && (depth -= 1) === 0) return at;
  }
  throw new RangeError(`unmatched brace: ${text}`);
}
