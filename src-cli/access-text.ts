import type { AgentBudget } from "../src-protocol/agent-budget.ts";
import { type ApiScope, SCOPE_TEXT } from "../src-protocol/api-scopes.ts";
import type { AuditEntry, MethodResult } from "../src-protocol/methods.ts";

/** `tah token`: what was made, what it allows, and how an agent is given it. */
export function tokenText(
  name: string,
  token: string,
  scopes: readonly ApiScope[],
  days: string,
  { callsPerHour, minutesPerDay }: AgentBudget,
  script: string,
): string {
  const may = scopes.map((scope) => SCOPE_TEXT[scope]).join("; ");
  const server = { command: process.execPath, args: [script, "mcp"], env: { TAH_TOKEN: token } };
  return [
    token,
    "",
    `Shown once. With it ${name} may, for ${days} days: ${may}.`,
    `It may change ${callsPerHour} things an hour and start ${minutesPerDay} minutes of work a day; what it starts ends when it is gone.`,
    "For an agent that speaks the Model Context Protocol:",
    JSON.stringify({ mcpServers: { "train-at-home": server } }, null, 2),
  ].join("\n");
}

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
