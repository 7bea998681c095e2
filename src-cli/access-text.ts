import type { AuditEntry, MethodResult } from "../src-protocol/methods.ts";

/** `tah tokens`. */
export function tokensText(tokens: MethodResult<"session.tokens">["tokens"]): string {
  if (tokens.length === 0) return "There are no tokens.";
  return tokens
    .map(
      ({ id, name, scopes, endsAt }) =>
        `${id}  ${name.padEnd(20)} ${scopes.join(", ")}, until ${new Date(endsAt).toISOString().slice(0, 10)}`,
    )
    .join("\n");
}

/** `tah audit`. */
export function auditText(entries: readonly AuditEntry[]): string {
  if (entries.length === 0) return "Nobody has done anything yet.";
  return entries
    .map(
      ({ at, who, method, code }) =>
        `${new Date(at).toISOString().slice(0, 19)}Z  ${who.padEnd(32)} ${method}${code === null ? "" : `  (refused: ${code})`}`,
    )
    .join("\n");
}
