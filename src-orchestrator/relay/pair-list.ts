import type { SessionKey } from "../../src-protocol/keys.ts";

/** Whom the orchestrator has named as neighbours in a run: only they are joined. */
export class PairList {
  readonly #pairs: ReadonlySet<string>;
  readonly #keys: ReadonlySet<string>;

  constructor(pairs: readonly (readonly [SessionKey, SessionKey])[] = []) {
    this.#pairs = new Set(pairs.map(([a, b]) => pairName(a, b)));
    this.#keys = new Set(pairs.flat());
  }

  names(key: string): boolean {
    return this.#keys.has(key);
  }

  joins(a: string, b: string): boolean {
    return this.#pairs.has(pairName(a, b));
  }
}

export function pairName(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
