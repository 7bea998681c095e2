import { loadavg } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { Progress } from "../bench.ts";
import type { Home, LabNet } from "./lab-net.ts";
import { PUBLIC_HOST } from "./lab-net.ts";
import { LabTraining } from "./lab-training.ts";

const WARM_STEPS = 5;
const SETTLED_MS = 1_500;
const BACK_WITHIN_MS = 30_000;
/** A router's silence is noticed after seconds. */
const SHOWS_WITHIN_MS = 9_000;
/** News of steps may be so old. */
const NEWS_MS = 1_000;
/** A better path than a relay is looked for every ten seconds at first, then more seldom. */
const BETTER_WITHIN_MS = 45_000;
const AWAY_MS = 2_500;
/** Within a heartbeat's limit, and beyond it. */
const ASLEEP_MS = [3_000, 15_000];

export interface LiveChange {
  readonly change: string;
  /** Of `--runs`, from 1 on. */
  readonly round: number;
  /** The links of the home it happens to, before and after. */
  readonly before: string;
  readonly after: string;
  /** The longest time without a finished step from the change on; null: none was finished in time. */
  readonly stallMs: number | null;
  /** From the change until there was a link without a relay (0: always); null: there was none in time. */
  readonly betterMs: number | null;
  /** The run re-formed its pipeline. */
  readonly reformed: boolean;
  readonly trouble: string | null;
}

/** What a case that closes is followed by; where it is not asked for, it happens unmeasured. */
const OPENS = "udp again";

interface Case {
  /** For `--only`. */
  readonly name: string;
  readonly change: string;
  /** Gives the time from which the pause counts (Unix ms). */
  readonly make: (net: LabNet, home: Home, other: Home) => Promise<number>;
  /** Only a relay is left. */
  readonly closes?: boolean;
}

const CASES: readonly Case[] = [
  {
    name: "udp passes",
    change: "both routers, which have blocked UDP from the start, let it pass",
    make: (net, ...homes) =>
      at(() => {
        for (const { edge } of homes) net.letUdp(edge, "pass");
      }),
  },
  {
    name: "udp ports",
    change: "the router gives another port to live UDP links",
    make: (net, { edge }) => at(() => net.newPorts(edge, "udp")),
  },
  {
    name: "all ports",
    change: "the router has lost its table: UDP and TCP get other ports",
    async make(net, { edge }) {
      const begun = Date.now();
      for (const protocol of ["udp", "tcp"] as const) net.newPorts(edge, protocol);
      return begun;
    },
  },
  {
    name: "away",
    change: `the address is away for ${AWAY_MS / 1000} s and comes back`,
    make: (net, { space }) =>
      at(async () => {
        net.interfaceOf(space, "down");
        await wait(AWAY_MS);
        net.interfaceOf(space, "up");
      }),
  },
  {
    name: "address",
    change: "the computer gets another address",
    make: (net, { space }) => at(() => net.anotherAddress(space)),
  },
  {
    name: "udp blocked",
    change: "the router begins to block UDP",
    closes: true,
    make: (net, { edge }) => at(() => net.letUdp(edge, "drop")),
  },
  {
    name: OPENS,
    change: "it lets UDP pass again",
    make: (net, { edge }) => at(() => net.letUdp(edge, "pass")),
  },
  ...ASLEEP_MS.map((asleepMs) => ({
    name: `asleep ${asleepMs / 1000} s`,
    change: `the computer sleeps for ${asleepMs / 1000} s (from waking on)`,
    async make(net: LabNet, { space }: Home) {
      net.signalAll(space, "STOP");
      await wait(asleepMs);
      net.signalAll(space, "CONT");
      return Date.now();
    },
  })),
];

export const CHANGES: readonly string[] = CASES.map(({ name }) => name);

async function at(make: () => void | Promise<void>): Promise<number> {
  const begun = Date.now();
  await make();
  return begun;
}

/** Two homes train while something happens to one of them: how long until the next step, and whether the pipeline was formed anew. */
export async function liveChanges(
  net: LabNet,
  progress: Progress,
  { only, runs }: { readonly only: readonly string[]; readonly runs: number },
): Promise<LiveChange[]> {
  const cases = CASES.filter(({ name }) => only.includes(name));
  // The first change begins with it; for the others, alone, it would be another one.
  const blocksUdp = cases[0]?.name === CHANGES[0];
  const one = await net.home({ nat: "port-restricted", blocksUdp });
  const other = await net.home({ nat: "port-restricted", blocksUdp });
  const training = await LabTraining.start(net, "changes", {
    orchestrator: { space: net.publicSpace, host: PUBLIC_HOST },
    homes: [one.space, other.space],
    model: "tiny",
  });
  const changes: LiveChange[] = [];
  try {
    progress(`changes: two homes begin to train, load ${loadavg()[0]?.toFixed(0)}`);
    await training.reach(WARM_STEPS);
    const rounds = Array.from({ length: runs }, (_, index) => index + 1);
    for (const { change, name, make, closes = false, round } of rounds.flatMap((number) =>
      cases.map((each) => ({ ...each, round: number })),
    )) {
      if (round > 1 && name === CHANGES[0]) for (const { edge } of [one, other]) net.letUdp(edge, "drop");
      await wait(SETTLED_MS);
      const before = training.recoveries;
      const links = linksOf(training, one.space);
      let stallMs: number | null = null;
      let betterMs: number | null = null;
      let trouble: string | null = null;
      try {
        const begun = await make(net, one, other);
        const better = closes ? null : untilBetter(training, one.space, begun);
        [stallMs, betterMs] = await Promise.all([longestPause(training, begun), better]);
      } catch (error) {
        trouble = failureBody(error).message;
      }
      if (closes && !cases.some((each) => each.name === OPENS)) {
        net.letUdp(one.edge, "pass");
        await untilBetter(training, one.space, Date.now());
      }
      await wait(SETTLED_MS);
      const after = linksOf(training, one.space);
      changes.push({
        change,
        round,
        before: links,
        after,
        stallMs,
        betterMs,
        reformed: training.recoveries > before,
        trouble,
      });
      progress(JSON.stringify(changes.at(-1)));
      if (trouble !== null) break;
    }
    return changes;
  } finally {
    training.close();
  }
}

function linksOf(training: LabTraining, home: string): string {
  const links = training.state(home)?.links ?? [];
  return links.map(({ side, kind, transport }) => `${side} ${kind} ${transport}`).join(", ");
}

/** From `begun` (Unix ms) until there is a link without a relay, for good as far as is seen; null: not in time. */
async function untilBetter(training: LabTraining, home: string, begun: number): Promise<number | null> {
  let worseAt = begun;
  for (;;) {
    const links = training.state(home)?.links ?? [];
    const now = Date.now();
    if (links.length === 0 || links.some(({ kind }) => kind === "relayed")) worseAt = now;
    else if (now - begun > SHOWS_WITHIN_MS) return worseAt - begun;
    if (now - begun > BETTER_WITHIN_MS) return null;
    await wait(50);
  }
}

/** Between two steps, in the time after `begun` (Unix milliseconds) in which a change shows. */
async function longestPause(training: LabTraining, begun: number): Promise<number> {
  await wait(SHOWS_WITHIN_MS);
  for (;;) {
    const steps = [...training.finished.values()].filter((time) => time > begun);
    const times = [begun, ...steps].sort((a, b) => a - b);
    const last = times.at(-1) ?? 0;
    if (steps.length > 1 && Date.now() - last < NEWS_MS)
      return Math.max(...times.map((time, index) => time - (times[index - 1] ?? time)));
    if (Date.now() - begun > BACK_WITHIN_MS)
      throw new Failure("lab-training", `No step was finished within ${BACK_WITHIN_MS / 1000} s.`);
    await wait(50);
  }
}
