import { isIPv6 } from "node:net";
import { homedir, hostname, userInfo } from "node:os";

/** What a report that leaves the computer must not carry. */
export interface Personal {
  readonly home: string;
  readonly user: string;
  readonly host: string;
}

export function personal(): Personal {
  let user = "";
  try {
    user = userInfo().username;
  } catch {
    // An account without a name.
  }
  return { home: homedir(), user, host: hostname() };
}

/** SECURITY: secrets first, so that nothing later can cut one into a form that is not recognised. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/tah1[0-9a-z]{16,}/gi, "[invitation]"],
  [/\b(?:0x)?[0-9a-f]{64,}\b/gi, "[64 hex digits]"],
  [/\beyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]+)?/g, "[token]"],
  // Twelve or more small words in a row may be a recovery phrase.
  [/\b(?:[a-z]{3,8} ){11,23}[a-z]{3,8}\b/g, "[words]"],
  [/\b[1-9A-HJ-NP-Za-km-z]{46,48}\b/g, "[address]"],
  [/\b[\w.+-]+@[\w-]+\.[\w.-]+\b/g, "[mail address]"],
  [/\b(?!127\.|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}\b/g, "[IPv4 address]"],
  [/\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/gi, "[network card]"],
];

/** `text` without secrets, addresses and what names a person or their computer. */
export function redacted(text: string, { home, user, host }: Personal): string {
  let clean = text;
  for (const [pattern, instead] of PATTERNS) clean = clean.replaceAll(pattern, instead);
  clean = clean.replaceAll(/[0-9a-f:]{4,}/gi, (found) =>
    isIPv6(found) && found !== "::1" ? "[IPv6 address]" : found,
  );
  if (home.length > 1) clean = clean.replaceAll(home, "~");
  // Short names would be found within other words.
  if (user.length > 3) clean = clean.replaceAll(new RegExp(`\\b${escaped(user)}\\b`, "g"), "[user]");
  if (host.length > 3) clean = clean.replaceAll(new RegExp(`\\b${escaped(host)}\\b`, "g"), "[computer]");
  return clean;
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
