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
}

const ENGLISH: Speaker = { locale: "en-US", say: english };
let speaker = ENGLISH;

export function say(message: string, values: SayValues = {}): string {
  return speaker.say(message, values);
}

/** Marks a message of a table: it is said later, when the reader's language is known. */
export function phrase<Text extends string>(message: Text): Text {
  return message;
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
  let said = "";
  for (let at = 0; at < message.length;) {
    const open = message.indexOf("{", at);
    if (open < 0) return said + message.slice(at);
    const close = closing(message, open);
    said += message.slice(at, open) + place(message.slice(open + 1, close), values);
    at = close + 1;
  }
  return said;
}

/** `name`, or `name, plural, one {…} other {…}`. */
function place(inside: string, values: SayValues): string {
  const [, name = inside, cases] = /^(\w+), plural, (.*)$/s.exec(inside) ?? [];
  const value = values[name] ?? "";
  if (cases === undefined) return String(value);
  const wanted = value === 1 ? "one" : "other";
  const open = cases.indexOf("{", cases.indexOf(wanted));
  const chosen = english(cases.slice(open + 1, closing(cases, open)), values);
  return chosen.replaceAll("#", Number(value).toLocaleString(ENGLISH.locale));
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === "{") depth += 1;
    else if (text[at] === "}" && (depth -= 1) === 0) return at;
  }
  throw new RangeError(`unmatched brace: ${text}`);
}
