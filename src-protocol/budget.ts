export interface BudgetLimits {
  readonly perSecond: number;
  /** So much may be spent at once by who has spent nothing for a while. */
  readonly burst: number;
}

/** More accounts than are kept at a time; who has spent nothing for long is forgotten first. */
const ACCOUNTS = 10_000;

interface Account {
  left: number;
  at: number;
}

/**
 * Work that somebody (a key, an address) may ask for in a time: a token bucket for each. SECURITY:
 * keys cost nothing, so a budget by key stands beside one for all strangers together.
 */
export class Budget {
  readonly #limits: BudgetLimits;
  readonly #now: () => number;
  /** Least recently used first. */
  readonly #accounts = new Map<string, Account>();

  /** `now`: milliseconds of a clock that nobody sets. */
  constructor(limits: BudgetLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** False, and nothing is spent, when so much is not left. */
  take(who: string, cost = 1): boolean {
    const account = this.#account(who);
    if (account.left < cost) return false;
    account.left -= cost;
    return true;
  }

  /** Spends it in any case, and says how many milliseconds it takes until that is paid off. */
  owe(who: string, cost = 1): number {
    const account = this.#account(who);
    account.left -= cost;
    return account.left >= 0 ? 0 : (-account.left / this.#limits.perSecond) * 1000;
  }

  #account(who: string): Account {
    const now = this.#now();
    const known = this.#accounts.get(who);
    const { perSecond, burst } = this.#limits;
    const account = known ?? { left: burst, at: now };
    account.left = Math.min(burst, account.left + ((now - account.at) / 1000) * perSecond);
    account.at = now;
    this.#accounts.delete(who);
    this.#accounts.set(who, account);
    const [oldest] = this.#accounts.keys();
    if (this.#accounts.size > ACCOUNTS && oldest !== undefined) this.#accounts.delete(oldest);
    return account;
  }
}
