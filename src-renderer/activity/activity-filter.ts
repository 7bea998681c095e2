import { phrase } from "../../src-protocol/say.ts";
import type { ActivityKind } from "../../src-protocol/state.ts";

/** What of the activity is shown, by what it is about. */
export const FILTERS = {
  all: phrase("Everything"),
  work: phrase("Work"),
  hand: phrase("By hand"),
  network: phrase("Network"),
  money: phrase("Money and keys"),
  computer: phrase("This computer"),
} as const;
export type FilterKind = keyof typeof FILTERS;

const SHOWS: Readonly<Record<FilterKind, readonly ActivityKind[]>> = {
  all: ["work", "hand", "network", "money", "computer"],
  work: ["work", "hand"],
  hand: ["hand"],
  network: ["network"],
  money: ["money"],
  computer: ["computer"],
};

export interface ActivityFilter {
  readonly kind: FilterKind;
  /** What the shown words have in them; empty: anything. */
  readonly text: string;
}

/** As the address names it: `#activity/money/claimed`, each part as it may be left out. */
export function filterOf(hash: string): ActivityFilter {
  const [screen, kind, text = ""] = hash.split("/");
  if (screen !== "#activity") return { kind: "all", text: "" };
  return { kind: kind !== undefined && isFilter(kind) ? kind : "all", text: decoded(text) };
}

export function hashOf({ kind, text }: ActivityFilter): string {
  if (text !== "") return `#activity/${kind}/${encodeURIComponent(text)}`;
  return kind === "all" ? "#activity" : `#activity/${kind}`;
}

/** @param said in the reader's own language, as it is searched */
export function isShown({ kind, text }: ActivityFilter, of: ActivityKind, said: string): boolean {
  return SHOWS[kind].includes(of) && lower(said).includes(lower(text.trim()));
}

/** Whether entries of work can be among what is shown. */
export function showsWork({ kind }: ActivityFilter): boolean {
  return SHOWS[kind].includes("hand");
}

function isFilter(text: string): text is FilterKind {
  return Object.hasOwn(FILTERS, text);
}

function lower(text: string): string {
  return text.toLocaleLowerCase();
}

/** Somebody may have typed the address. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
