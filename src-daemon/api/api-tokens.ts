import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { agentBudget, DEFAULT_AGENT_BUDGET } from "../../src-protocol/agent-budget.ts";
import type { AgentBudget } from "../../src-protocol/agent-budget.ts";
import { API_SCOPES, SCOPE_OF, apiScope } from "../../src-protocol/api-scopes.ts";
import type { ApiScope } from "../../src-protocol/api-scopes.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { MethodName } from "../../src-protocol/methods.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

/** Who calls, and what they may. */
export interface ApiCaller {
  /** For the audit: `owner (browser)`, `token Agent`. */
  readonly who: string;
  readonly scopes: ReadonlySet<ApiScope> | "owner";
  /** Of the token that it was opened with; none: it is the owner's own. */
  readonly token?: { readonly id: string; readonly name: string };
}

/** Null: they may; else the reason why not. */
export function refusalOf({ scopes, token }: ApiCaller, method: MethodName): Failure | null {
  const needed = SCOPE_OF[method];
  const isAlone = needed === "owner" || needed === "person";
  if (scopes === "owner" || (needed === "person" && token === undefined)) return null;
  if (!isAlone && scopes.has(needed)) return null;
  const has = API_SCOPES.filter((scope) => scopes.has(scope)).join(", ");
  return new Failure(
    "scope-needed",
    isAlone
      ? `${method} is for the owner alone, and no token allows it.`
      : `${method} needs the scope "${needed}", and this token has: ${has}. The owner can make another one with \`tah token\`.`,
  );
}

const stored = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{8}$/),
  name: z.string().min(1).max(40),
  scopes: z.array(apiScope).min(1),
  /** SHA-256 of the token; the token itself is told once. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.int().nonnegative(),
  endsAt: z.int().nonnegative(),
  budget: agentBudget.default(DEFAULT_AGENT_BUDGET),
});
type Stored = z.infer<typeof stored>;
const MOST_TOKENS = 64;

/** Tokens for programs that may do a part of what the owner may; only their digests are on the disk. */
export class ApiTokens {
  readonly #path: string;
  readonly #now: () => number;
  #tokens: readonly Stored[];

  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
    this.#tokens = read(path);
  }

  /** Without digests; those that have ended are left out. */
  list(): Omit<Stored, "digest">[] {
    return this.#live().map(({ digest: _digest, ...shown }) => shown);
  }

  create(
    name: string,
    scopes: readonly ApiScope[],
    days: number,
    budget: AgentBudget = DEFAULT_AGENT_BUDGET,
  ): { id: string; token: string } {
    const live = this.#live();
    if (live.length >= MOST_TOKENS)
      throw new Failure("too-many-tokens", `There are ${MOST_TOKENS} tokens already. Revoke some first.`);
    const token = randomBytes(32).toString("hex");
    const id = randomBytes(4).toString("hex");
    const createdAt = this.#now();
    const endsAt = createdAt + days * 86_400_000;
    this.#save([
      ...live,
      { id, name, scopes: [...new Set(scopes)], digest: digest(token), createdAt, endsAt, budget },
    ]);
    return { id, token };
  }

  /** Null: there is no such token, or it has ended. */
  budget(id: string): AgentBudget | null {
    return this.#live().find((token) => token.id === id)?.budget ?? null;
  }

  revoke(id: string): void {
    const left = this.#tokens.filter((token) => token.id !== id);
    if (left.length === this.#tokens.length)
      throw new Failure("no-such-token", `There is no token ${id}. \`tah tokens\` lists them.`);
    this.#save(left);
  }

  /** Null: it is none of these, or has ended. Looked up by digest, so every guess takes the same time. */
  callerOf(header: string | undefined): (ApiCaller & { readonly id: string }) | null {
    const token = /^Bearer ([0-9a-f]{64})$/.exec(header ?? "")?.[1];
    if (token === undefined) return null;
    const name = digest(token);
    const found = this.#live().find((one) => one.digest === name);
    return found === undefined
      ? null
      : {
          id: found.id,
          who: `token ${found.name}`,
          scopes: new Set(found.scopes),
          token: { id: found.id, name: found.name },
        };
  }

  #live(): readonly Stored[] {
    return this.#tokens.filter(({ endsAt }) => this.#now() < endsAt);
  }

  #save(tokens: readonly Stored[]): void {
    writePrivateFile(this.#path, JSON.stringify({ tokens }));
    this.#tokens = tokens;
  }
}

function read(path: string): readonly Stored[] {
  try {
    return z.object({ tokens: z.array(stored) }).parse(JSON.parse(readFileSync(path, "utf8"))).tokens;
  } catch {
    return [];
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
