import type { ChatTemplate } from "./chat-template.ts";

/** Columns that hold a document, the first that is there. */
const USUAL_COLUMNS = [
  "text",
  "content",
  "messages",
  "conversations",
  "conversation",
  "document",
  "raw_content",
  "body",
];

export type Column = { readonly name: string; readonly isChat: boolean } | { readonly missing: string };

/** Which column holds the text, by the first records. `wanted`: as the user names it. */
export function columnOf(records: readonly unknown[], wanted: string | null): Column {
  const objects = records.filter(isRecord);
  if (objects.length === 0) {
    if (records.some((record) => typeof record === "string")) return { name: "", isChat: false };
    return { missing: "no records with a text" };
  }
  const names = [...new Set(objects.flatMap((record) => Object.keys(record)))];
  const listed = names.slice(0, 12).join(", ");
  if (wanted !== null)
    return names.includes(wanted) || objects.some((record) => fieldOf(record, wanted) !== undefined)
      ? asColumn(objects, wanted)
      : { missing: `no column "${wanted}"; it has ${listed}` };
  const usual = USUAL_COLUMNS.find((name) => objects.some((record) => isTextOrChat(record[name])));
  if (usual !== undefined) return asColumn(objects, usual);
  const texts = names.filter((name) => objects.every((record) => typeof record[name] === "string"));
  const [only] = texts;
  if (only !== undefined && texts.length === 1) return { name: only, isChat: false };
  return { missing: `no column "text"; name one of ${listed} with --column` };
}

/** The same for a file that names its columns. */
export function columnNamed(
  columns: readonly { name: string; isText: boolean }[],
  wanted: string | null,
): { name: string } | { missing: string } {
  const listed = columns
    .map(({ name }) => name)
    .slice(0, 12)
    .join(", ");
  const named = (name: string): boolean => columns.some((column) => column.name === name);
  if (wanted !== null)
    return named(wanted) ? { name: wanted } : { missing: `no column "${wanted}"; it has ${listed}` };
  const usual = USUAL_COLUMNS.find(named);
  if (usual !== undefined) return { name: usual };
  const texts = columns.filter(({ isText }) => isText);
  const [only] = texts;
  if (only !== undefined && texts.length === 1) return { name: only.name };
  return { missing: `no column "text"; name one of ${listed} with --column` };
}

function asColumn(objects: readonly Record<string, unknown>[], name: string): Column {
  return { name, isChat: objects.some((record) => messagesOf(fieldOf(record, name)) !== null) };
}

/** A column's text in a record; null: it has none. */
export function textOf(record: unknown, column: string, template: ChatTemplate): string | null {
  const value = column === "" ? record : isRecord(record) ? fieldOf(record, column) : undefined;
  if (typeof value === "string") return value;
  const messages = messagesOf(value);
  return messages === null ? null : template.render(messages);
}

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** `[{role, content}, …]`, and ShareGPT's `[{from, value}, …]`. */
function messagesOf(value: unknown): readonly Message[] | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  const messages = value.map((each: unknown) => {
    if (!isRecord(each)) return null;
    if (typeof each["from"] === "string" && typeof each["value"] === "string")
      return { role: SHARE_GPT[each["from"]] ?? each["from"], content: each["value"] };
    const { role, content } = each;
    if (typeof role !== "string") return null;
    return { ...each, role, content: typeof content === "string" ? content : "" };
  });
  return messages.every((message) => message !== null) ? messages : null;
}

const SHARE_GPT: Readonly<Record<string, string>> = { human: "user", gpt: "assistant", system: "system" };

function isTextOrChat(value: unknown): boolean {
  return typeof value === "string" || messagesOf(value) !== null;
}

/** `a.b` is the field b of a, where there is no field of that very name. */
function fieldOf(record: Record<string, unknown>, name: string): unknown {
  if (Object.hasOwn(record, name)) return record[name];
  let value: unknown = record;
  for (const part of name.split(".")) {
    if (!isRecord(value) || !Object.hasOwn(value, part)) return undefined;
    value = value[part];
  }
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
