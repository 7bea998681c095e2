import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../src-protocol/failure.ts";

/** A training that goes on by itself, and stands still while another one's window is open. */
export interface Contestant {
  readonly pids: readonly number[];
  /** How many it has finished. */
  steps(): number;
  /** Unix milliseconds at which each of its steps was finished. */
  finished(): Promise<readonly number[]>;
  end(): Promise<void>;
}

export interface Window {
  readonly from: number;
  readonly to: number;
}

/** Links, sessions and caches are warm after so many steps. */
const WARM_UP_STEPS = 4;
const WARM_WITHIN_MS = 600_000;
const LOOK_EVERY_MS = 200;

/** Lets it begin alone, until it is warm; then it stands still. */
export async function warmedUp<C extends Contestant>(contestant: C, name: string): Promise<C> {
  const deadline = performance.now() + WARM_WITHIN_MS;
  while (contestant.steps() < WARM_UP_STEPS) {
    if (performance.now() > deadline) {
      await contestant.end();
      throw new Failure("bench-failed", `${name} finished no ${WARM_UP_STEPS} steps in ten minutes.`);
    }
    await wait(LOOK_EVERY_MS);
  }
  halt(contestant);
  return contestant;
}

export async function alone(contestant: Contestant, windowMs: number): Promise<Window> {
  resume(contestant);
  const from = Date.now();
  await wait(windowMs);
  halt(contestant);
  return { from, to: Date.now() };
}

export function halt({ pids }: Contestant): void {
  for (const pid of pids) process.kill(pid, "SIGSTOP");
}

export function resume({ pids }: Contestant): void {
  for (const pid of pids) process.kill(pid, "SIGCONT");
}

/** Tokens per second between the first and the last step that were finished inside the window. */
export function speedIn({ from, to }: Window, finished: readonly number[], tokensPerStep: number): number {
  const inside = finished.filter((at) => at >= from && at <= to);
  const [first, last] = [inside[0], inside.at(-1)];
  if (first === undefined || last === undefined || last === first) {
    throw new Failure(
      "bench-too-slow",
      `Fewer than two steps were finished within ${(to - from) / 1000} s: this computer is too slow or too busy for this benchmark.`,
    );
  }
  return ((inside.length - 1) * tokensPerStep * 1000) / (last - first);
}
