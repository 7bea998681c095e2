import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../src-protocol/failure.ts";
import { stateOf, withDescendants } from "./inner-process.ts";

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
const HALTED_WITHIN_MS = 1_000;

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
  await halt(contestant);
  return contestant;
}

export async function alone(contestant: Contestant, windowMs: number): Promise<Window> {
  resume(contestant);
  const from = Date.now();
  await wait(windowMs);
  const to = Date.now();
  await halt(contestant);
  return { from, to };
}

/** @throws Failure `bench-failed`: something of it does not stand still, and would take from the others' windows */
export async function halt({ pids }: Contestant): Promise<void> {
  const until = performance.now() + HALTED_WITHIN_MS;
  for (;;) {
    const all = pids.flatMap(withDescendants);
    for (const pid of all) process.kill(pid, "SIGSTOP");
    // Z: it has ended.
    if (all.every((pid) => ["T", "Z", null].includes(stateOf(pid)))) return;
    if (performance.now() > until)
      throw new Failure("bench-failed", "A training did not stand still while another one was to run.");
    await wait(1);
  }
}

export function resume({ pids }: Contestant): void {
  for (const pid of pids.flatMap(withDescendants)) process.kill(pid, "SIGCONT");
}

/**
 * Tokens per second in each of a training's windows, in their order; null: none of its steps can be told there.
 *
 * Its windows are put end to end, for between them it stands still: a step that two windows share counts in
 * both by the time that it had in each. So a step may take longer than a window, and none is left out.
 */
export function speedsIn(
  windows: readonly Window[],
  finished: readonly number[],
  tokensPerStep: number,
): (number | null)[] {
  let before = 0;
  const spans = windows.map((window) => {
    const from = before;
    before += window.to - window.from;
    return { window, from, to: before };
  });
  const end = windows.at(-1)?.to ?? 0;
  const ends = finished
    .filter((at) => at <= end)
    .flatMap((at) => {
      const span = spans.findLast(({ window }) => window.from <= at);
      // Heard of when it stood still already.
      return span === undefined ? [] : [Math.min(span.to, span.from + at - span.window.from)];
    })
    .toSorted((a, b) => a - b);
  const [first, last] = [ends[0], ends.at(-1)];
  if (first === undefined || last === undefined || last === first)
    throw new Failure(
      "bench-too-slow",
      `Fewer than two steps were finished in ${windows.length} windows: this computer is too slow or too busy for this benchmark.`,
    );
  const stepsBy = (at: number): number => {
    const after = ends.findIndex((end) => end > at);
    if (after <= 0) return after === 0 ? 0 : ends.length - 1;
    const [from = 0, to = 0] = [ends[after - 1], ends[after]];
    return after - 1 + (at - from) / (to - from);
  };
  return spans.map(({ from, to }) => {
    const [begin, stop] = [Math.max(from, first), Math.min(to, last)];
    return stop > begin ? ((stepsBy(stop) - stepsBy(begin)) * tokensPerStep * 1000) / (stop - begin) : null;
  });
}
