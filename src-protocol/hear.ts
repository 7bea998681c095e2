import { partsOf, type SayValues } from "./say.ts";

/**
 * The reverse of `say`. The daemon, workers and networks (of other versions too) write English sentences, for
 * terminals, logs and agents. Whoever reads another language is told those that are known: each is found again
 * as an instance of its message, its values are taken out, and it is said anew.
 */
export interface Hearing {
  /** English messages, as ICU has them. */
  readonly messages: readonly string[];
  /** Says one of them in the other language. */
  readonly say: (message: string, values: SayValues) => string;
  /** Figures as that language writes them. */
  readonly locale: string;
}

interface Known {
  readonly message: string;
  readonly pattern: RegExp;
  /** What the pattern's groups are, in order. */
  readonly groups: readonly Group[];
  /** What every instance begins with. */
  readonly begin: string;
  /** How many letters are the message's own: the more, the surer it is. */
  readonly letters: number;
}

interface Group {
  readonly name: string;
  /** `one`: an empty group, found where a plural is said without its number. */
  readonly kind: "text" | "number" | "one";
}

/** Of what is nearly all places, anything would be an instance. */
const LEAST_LETTERS = 3;
/** Places that may hold several sentences; all others end where a sentence does. */
const WHOLE = new Set(["detail", "message", "why"]);
const SENTENCE_END = String.raw`[.!?] [\p{Lu}“"\x60]`;
const BETWEEN_SENTENCES = /(?<=[.!?]) (?=[\p{Lu}“"`])/u;
const REMEMBERED = 2_000;

/** @returns a text's sentences in the other language; null: not all of them are known */
export function hearing({ messages, say, locale }: Hearing): (text: string) => string | null {
  const known = messages
    .map(knownOf)
    .filter(({ letters }) => letters >= LEAST_LETTERS)
    .sort((a, b) => b.letters - a.letters);
  const answers = new Map<string, string | null>();

  const one = (text: string): string | null => {
    for (const { message, pattern, groups, begin } of known) {
      const found = text.startsWith(begin) ? pattern.exec(text) : null;
      if (found !== null) return say(message, valuesOf(groups, found));
    }
    return null;
  };
  const valuesOf = (groups: readonly Group[], found: RegExpExecArray): SayValues => {
    const values: Record<string, string | number> = {};
    for (const [index, { name, kind }] of groups.entries()) {
      const text = found[index + 1];
      if (text === undefined) continue;
      if (kind === "text") values[name] = hear(text) ?? figure(text, locale);
      else values[name] = kind === "one" ? 1 : Number(text.replaceAll(",", ""));
    }
    return values;
  };
  const hear = (text: string): string | null => {
    const before = answers.get(text);
    if (before !== undefined) return before;
    if (answers.size >= REMEMBERED) answers.clear();
    const answer = inRuns(text.split(BETWEEN_SENTENCES), one);
    answers.set(text, answer);
    return answer;
  };
  return hear;
}

/** Each sentence by itself, or several that are one message. */
function inRuns(sentences: readonly string[], one: (text: string) => string | null): string | null {
  for (let taken = sentences.length; taken > 0; taken -= 1) {
    const first = one(sentences.slice(0, taken).join(" "));
    if (first === null) continue;
    if (taken === sentences.length) return first;
    const others = inRuns(sentences.slice(taken), one);
    if (others !== null) return `${first} ${others}`;
  }
  return null;
}

function knownOf(message: string): Known {
  const groups: Group[] = [];
  const begin = partsOf(message)[0];
  const { source, letters } = patternOf(message, groups);
  return {
    message,
    pattern: new RegExp(`^${source}$`, "su"),
    groups,
    begin: typeof begin === "string" ? begin : "",
    letters,
  };
}

function patternOf(message: string, groups: Group[]): { source: string; letters: number } {
  let source = "";
  let letters = 0;
  for (const part of partsOf(message)) {
    if (typeof part === "string") {
      source += escaped(part);
      letters += lettersIn(part);
    } else if (part.cases === null) {
      groups.push({ name: part.name, kind: "text" });
      source += WHOLE.has(part.name) ? "(.+?)" : `((?:(?!${SENTENCE_END}).)+?)`;
    } else {
      const { name, cases } = part;
      const [one, other] = [cases.one, cases.other].map((text) => {
        const hasNumber = text.includes("#");
        groups.push({ name, kind: hasNumber ? "number" : "one" });
        const words = text.split("#").map(escaped);
        return hasNumber ? words.join(String.raw`([\d,]+)`) : `()${words.join("")}`;
      });
      source += `(?:${one}|${other})`;
      letters += Math.min(lettersIn(cases.one), lettersIn(cases.other));
    }
  }
  return { source, letters };
}

function lettersIn(text: string): number {
  return text.replaceAll(/\P{L}/gu, "").length;
}

function escaped(text: string): string {
  return text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
}

/** `1,234.5` and `1.5 GB`, with the marks that the language has. */
function figure(text: string, locale: string): string {
  const [, whole = "", fraction = "", unit = ""] =
    /^(-?(?:\d{1,3}(?:,\d{3})+|\d+))(?:\.(\d+))?( [^\s\d]{1,8})?$/.exec(text) ?? [];
  if (whole === "") return text;
  const written = new Intl.NumberFormat(locale, {
    useGrouping: whole.includes(","),
    minimumFractionDigits: fraction.length,
  }).format(Number(`${whole.replaceAll(",", "")}.${fraction || "0"}`));
  return written + unit;
}
