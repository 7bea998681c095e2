import { Failure } from "../../src-protocol/failure.ts";

/**
 * How long each case of a comparison is measured: `BENCH_SECONDS`, else `usual`. Short ones are for
 * trying the benchmark out.
 *
 * @throws Failure `bad-bench-seconds`
 */
export function secondsPerCase(usual: number, env: NodeJS.ProcessEnv = process.env): number {
  const given = env["BENCH_SECONDS"];
  if (given === undefined || given === "") return usual;
  const seconds = Number(given);
  if (seconds > 0 && seconds <= 3600) return seconds;
  throw new Failure(
    "bad-bench-seconds",
    `BENCH_SECONDS is "${given}", which is no time to measure for. Give seconds from above 0 to 3600, or leave it out for ${usual}.`,
  );
}
