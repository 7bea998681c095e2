/** A stopwatch in ms; only differences count. */
export type Clock = () => number;

/**
 * CPU time of this process: waiting while others have the computer is not in it. Of the process,
 * because Linux tells a thread's only to a few milliseconds: for tasks of one thread.
 */
export const cpuClock: Clock = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

export interface InterleaveOptions {
  /** Rounds that are not kept. */
  warmUp: number;
  /** It ends after so many rounds, or after so many seconds once there are three. */
  rounds: number;
  seconds: number;
  clock: Clock;
}

/**
 * Runs several tasks in turn, again and again, so that a slow moment of a busy computer meets all of
 * them. Gives the times in ms of each task, by round.
 */
export async function interleave<K extends string>(
  tasks: Readonly<Record<K, () => unknown>>,
  { warmUp, rounds, seconds, clock }: InterleaveOptions,
): Promise<Record<K, number[]>> {
  const names = Object.keys(tasks) as K[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  const begun = performance.now();
  for (let round = -warmUp; round < rounds; round++) {
    if (round >= 3 && performance.now() - begun > seconds * 1000) break;
    for (const name of names) {
      const start = clock();
      await tasks[name]();
      if (round >= 0) times[name].push(clock() - start);
    }
  }
  return times;
}
