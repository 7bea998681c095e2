import { compileMessageOrThrow } from "@lingui/message-utils/compileMessage";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where sentences for people stand that the dashboard says. */
const FOLDERS = ["src-renderer", "src-protocol"];
const CATALOGS = join("src-renderer", "locales");

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

/** Every message of the dashboard, each once. */
export function messagesOf(root: string): string[] {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.tsx?$/.test(file) && !/\.(test|test-support)\.tsx?$/.test(file))
      .sort()
      .map((file) => join(root, folder, file)),
  );
  return [...new Set(files.flatMap((file) => messagesIn(readFileSync(file, "utf8"))))];
}

/** One sentence for each fault of each catalog. */
export function catalogProblems(root: string): string[] {
  const messages = messagesOf(root);
  return catalogs(root).flatMap(({ file, catalog }) =>
    problemsOf(messages, catalog).map((problem) => `${join(CATALOGS, file)}: ${problem}`),
  );
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
