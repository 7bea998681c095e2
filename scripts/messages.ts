import { compileMessageOrThrow } from "@lingui/message-utils/compileMessage";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where sentences for people stand that the dashboard and the app around it say. */
const FOLDERS = ["src-renderer", "src-protocol", "src-main"];
/** Whose sentences are heard there. */
const OTHERS = [...FOLDERS, "src-daemon", "src-data", "src-orchestrator", "src-worker"];
const CATALOGS = join("src-protocol", "locales");
/** Of a catalog of what others say. */
const HEARD = ".heard.json";
const LEAST_WORDS = 3;

/** A message is the key of its translation. */
export type Catalog = Readonly<Record<string, string>>;

/** `say("…")`, `phrase("…")` and `<Trans id="…">`. */
const SAID = /\b(?:say|phrase)\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|<Trans\s+id="([^"]*)"/g;

/** Every message of a source text, in order. */
export function messagesIn(source: string): string[] {
  return [...source.matchAll(SAID)].map(([, literal, id]) =>
    literal === undefined ? (id ?? "") : unquoted(literal),
  );
}

/** Every message of the dashboard and the app around it, each once. */
export function messagesOf(root: string): string[] {
  return [...new Set(sourcesOf(root, FOLDERS).flatMap(messagesIn))];
}

function sourcesOf(root: string, folders: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.tsx?$/.test(file) && !/\.(test|test-support)\.tsx?$/.test(file))
      .sort()
      .map((file) => readFileSync(join(root, folder, file), "utf8")),
  );
}

/** One sentence for each fault of each catalog. */
export function catalogProblems(root: string): string[] {
  const messages = messagesOf(root);
  const others = sentencesOf(sourcesOf(root, OTHERS).join("\n"));
  return catalogs(root).flatMap(({ file, catalog }) =>
    (file.endsWith(HEARD) ? heardProblems(others, catalog) : problemsOf(messages, catalog)).map(
      (problem) => `${join(CATALOGS, file)}: ${problem}`,
    ),
  );
}

/** A source's texts, one that is written in pieces as one. */
export function sentencesOf(source: string): string {
  return source.replaceAll(/["`]\s*\+\s*["`]/g, "").replaceAll(/\\(["`])/g, "$1");
}

/** What a catalog knows that nobody says any more, or says with places that the sentence has not. */
export function heardProblems(others: string, catalog: Catalog): string[] {
  return Object.entries(catalog).flatMap(([message, translation]) => {
    const lost = wordsOf(message).find((words) => !others.includes(words));
    if (lost !== undefined) return [`said nowhere, for “${lost}”: ${message}`];
    const places = placesOf(message).split(" ");
    const invented = placesOf(translation)
      .split(" ")
      .find((place) => place !== "" && !places.includes(place));
    return invented === undefined ? [] : [`has the place ${invented}, which is none: ${message}`];
  });
}

/** What stands between a message's places and marks, where it is so long that finding it proves something. */
function wordsOf(message: string): string[] {
  return message
    .split(/\{\w+\}|[.,:;()]/)
    .map((words) => words.trim())
    .filter((words) => words.split(" ").length >= LEAST_WORDS);
}

export function catalogs(root: string): { file: string; catalog: Catalog }[] {
  return readdirSync(join(root, CATALOGS)).map((file) => ({
    file,
    catalog: JSON.parse(readFileSync(join(root, CATALOGS, file), "utf8")) as Catalog,
  }));
}

/** What a catalog lacks, has too much of, or says with other places than the message has. */
export function problemsOf(messages: readonly string[], catalog: Catalog): string[] {
  const missing = messages.filter((message) => (catalog[message] ?? "") === "");
  const unused = Object.keys(catalog).filter((message) => !messages.includes(message));
  return [
    ...missing.map((message) => `not translated: ${message}`),
    ...unused.map((message) => `said nowhere: ${message}`),
    ...Object.entries(catalog).flatMap(([message, translation]) => unlike(message, translation)),
  ];
}

function unlike(message: string, translation: string): string[] {
  if (translation === "") return [];
  try {
    const [wanted, found] = [placesOf(message), placesOf(translation)];
    return wanted === found
      ? []
      : [`has the places ${found || "none"} in place of ${wanted || "none"}: ${message}`];
  } catch (error) {
    return [`cannot be read (${error instanceof Error ? error.message : String(error)}): ${message}`];
  }
}

/** Names of values and numbers of elements, sorted. */
function placesOf(message: string): string {
  const names = new Set<string>();
  const visit = (tokens: unknown): void => {
    if (!Array.isArray(tokens)) return;
    for (const token of tokens as unknown[]) {
      if (!Array.isArray(token)) continue;
      const [name, , cases] = token as [string, string?, object?];
      names.add(`{${name}}`);
      for (const inner of Object.values(cases ?? {})) visit(inner);
    }
  };
  visit(compileMessageOrThrow(message));
  for (const [tag] of message.matchAll(/<\/?\d+\/?>/g)) names.add(tag);
  return [...names].sort().join(" ");
}

function unquoted(literal: string): string {
  const inside = literal.slice(1, -1);
  return inside.replaceAll(/\\(.)/g, (_, sign: string) => (sign === "n" ? "\n" : sign));
}
