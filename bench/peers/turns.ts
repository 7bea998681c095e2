import type { Clock } from "../interleave.ts";

/** A turn is as many runs as fit, so that a short one is not always the first after a long one. */
export const TURN_MS = 300;

export const wallClock: Clock = () => performance.now();

/** Gives the mean ms of one run. */
export type Turn = () => Promise<number>;

export function turnOf(run: () => Promise<unknown>, clock: Clock): Turn {
  return async () => {
    const start = { wall: performance.now(), clock: clock() };
    let runs = 0;
    do {
      await run();
      runs++;
    } while (performance.now() - start.wall < TURN_MS);
    return (clock() - start.clock) / runs;
  };
}

/**
 * Lets several tasks have their turns, again and again, so that a slow moment of a busy computer
 * meets all of them. Ends after `seconds`, but not before three rounds. Gives the mean ms of a run,
 * by round; the first round is not kept.
 */
export async function takeTurns<K extends string>(
  tasks: Readonly<Record<K, Turn>>,
  seconds: number,
): Promise<Record<K, number[]>> {
  const names = Object.keys(tasks) as K[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  const begun = performance.now();
  for (let round = -1; round < 3 || performance.now() - begun < seconds * 1000; round++) {
    for (const name of names) {
      const ms = await tasks[name]();
      if (round >= 0) times[name].push(ms);
    }
  }
  return times;
}
