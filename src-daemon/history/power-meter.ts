import type { Watts } from "../evidence/watts.ts";
import type { Drawn } from "./history-store.ts";

/** As often as it is worth a program of a driver's to be started. */
export const MEASURE_EVERY_MS = 60_000;

export interface PowerMeterPorts {
  /** What is drawn now. */
  read(): Promise<Watts>;
  isWorking(): boolean;
  /** A clock that nobody sets, milliseconds. */
  steady(): number;
  drew(drawn: Drawn): void;
}

/** What the computer draws while it works, as far as it tells: each reading stands for the time since the one before. */
export class PowerMeter {
  readonly #ports: PowerMeterPorts;
  /** Of the look before, when it worked then. */
  #at: number | null = null;
  #looking = false;

  constructor(ports: PowerMeterPorts) {
    this.#ports = ports;
  }

  async look(): Promise<void> {
    const { read, isWorking, steady, drew } = this.#ports;
    if (this.#looking) return;
    const before = this.#at;
    this.#at = isWorking() ? steady() : null;
    if (this.#at === null || before === null) return;
    // The computer slept in between, or hung: nobody knows what it drew.
    const ms = this.#at - before;
    if (ms > 2 * MEASURE_EVERY_MS) return;
    this.#looking = true;
    try {
      const seen = await read();
      if ("watts" in seen) drew({ joules: (seen.watts * ms) / 1000, ms, measured: seen.of });
    } catch {
      // A sensor that fails tells nothing.
    } finally {
      this.#looking = false;
    }
  }
}
