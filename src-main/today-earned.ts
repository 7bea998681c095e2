import type { MethodName } from "../src-protocol/methods.ts";
import { METHODS } from "../src-protocol/methods.ts";
import type { ShellAnswer } from "../src-protocol/shell-bridge.ts";
import type { DaemonState } from "../src-protocol/state.ts";

export interface TodayPorts {
  readonly call: (method: MethodName, params: unknown) => Promise<ShellAnswer>;
  readonly now: () => number;
  readonly onChange: () => void;
}

type Asset = DaemonState["earnings"]["asset"];

/** The one number of the day, for the tray: what was credited since midnight on this computer's clock. */
export class TodayEarned {
  readonly #ports: TodayPorts;
  #known: { readonly asset: Asset; readonly day: number; readonly rao: bigint } | null = null;

  constructor(ports: TodayPorts) {
    this.#ports = ports;
  }

  /** Null: nothing was, or it is not known yet. */
  rao(asset: Asset): bigint | null {
    const known = this.#known;
    const isToday = known?.asset === asset && known.day === midnight(this.#ports.now());
    return isToday && known.rao > 0n ? known.rao : null;
  }

  async ask(asset: Asset): Promise<void> {
    const now = this.#ports.now();
    const day = midnight(now);
    const answer = await this.#ports.call("history.hours", { from: day, to: now + 1 });
    if ("error" in answer) return;
    const hours = METHODS["history.hours"].result.safeParse(answer.result);
    if (!hours.success) return;
    const rao = hours.data.hours
      .filter((hour) => hour.asset === asset)
      .reduce((sum, { earnedRao }) => sum + BigInt(earnedRao), 0n);
    this.#known = { asset, day, rao };
    this.#ports.onChange();
  }
}

function midnight(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
