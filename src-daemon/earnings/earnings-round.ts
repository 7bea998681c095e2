import type { DaemonState } from "../../src-protocol/state.ts";

/** Earnings are asked for this often at most, and only when something has happened since. */
export const EARNINGS_EVERY_MS = 3_000;

export interface EarningsPorts {
  ask(): Promise<DaemonState["earnings"]>;
  tell(earnings: DaemonState["earnings"]): void;
  failed(error: unknown): void;
}

/** Keeps the earnings fresh without asking for what cannot have changed. */
export class EarningsRound {
  readonly #ports: EarningsPorts;
  #timer: NodeJS.Timeout | undefined;
  #asking = false;
  #again = false;
  #stopped = false;

  constructor(ports: EarningsPorts) {
    this.#ports = ports;
  }

  /** Something has happened that may have earned. */
  due(): void {
    if (this.#stopped || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#ask();
    }, EARNINGS_EVERY_MS);
  }

  now(): void {
    void this.#ask();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    try {
      const earnings = await this.#ports.ask();
      if (!this.#stopped) this.#ports.tell(earnings);
    } catch (error) {
      this.#ports.failed(error);
      this.due();
    } finally {
      this.#asking = false;
      if (this.#again) {
        this.#again = false;
        this.due();
      }
    }
  }
}
