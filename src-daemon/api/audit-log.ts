import { appendFileSync, chmodSync, readFileSync, renameSync, statSync } from "node:fs";
import { SCOPE_OF } from "../../src-protocol/api-scopes.ts";
import { auditEntry } from "../../src-protocol/methods.ts";
import type { AuditEntry, MethodName } from "../../src-protocol/methods.ts";

const LIMIT_BYTES = 1024 * 1024;
/** Said every few seconds by the shell: no decision of anybody. */
const LEFT_OUT: ReadonlySet<MethodName> = new Set<MethodName>([
  "evidence.report",
  "session.audit",
  "session.tokens",
]);

/** Who did what over the local API: a line of JSON for each call that could change something. */
export class AuditLog {
  readonly #path: string;
  readonly #now: () => number;

  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  /** `code`: of the refusal; null when it was done. */
  note(who: string, method: MethodName, code: string | null): void {
    const isRead = SCOPE_OF[method] === "read" && code === null;
    if (isRead || LEFT_OUT.has(method)) return;
    try {
      const entry: AuditEntry = { at: this.#now(), who, method, code };
      appendFileSync(this.#path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
      if (statSync(this.#path).size < LIMIT_BYTES) return;
      renameSync(this.#path, `${this.#path}.1`);
      chmodSync(`${this.#path}.1`, 0o600);
    } catch {
      // A full disk keeps nobody from pausing.
    }
  }

  /** Newest first. */
  newest(limit: number): AuditEntry[] {
    const lines = [`${this.#path}.1`, this.#path].flatMap((path) => {
      try {
        return readFileSync(path, "utf8").split("\n");
      } catch {
        return [];
      }
    });
    const entries = lines.slice(-limit - 1).flatMap((line) => {
      try {
        return [auditEntry.parse(JSON.parse(line))];
      } catch {
        return [];
      }
    });
    return entries.reverse().slice(0, limit);
  }
}
