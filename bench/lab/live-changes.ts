import { setTimeout as wait } from "node:timers/promises";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { Progress } from "../bench.ts";
import type { LabNet } from "./lab-net.ts";
import { PUBLIC_HOST } from "./lab-net.ts";
import { LabTraining } from "./lab-training.ts";

const WARM_STEPS = 5;
const SETTLED_MS = 1_500;
const BACK_WITHIN_MS = 30_000;
/** A router's silence is noticed after seconds. */
const SHOWS_WITHIN_MS = 9_000;
/** News of steps may be so old. */
const NEWS_MS = 1_000;
const AWAY_MS = 2_500;

export interface LiveChange {
  readonly change: string;
  /** The links of the home it happens to, before and after. */
  readonly before: string;
  readonly after: string;
  /** The longest time without a finished step from the change on; null: none was finished in time. */
  readonly stallMs: number | null;
  /** The run re-formed its pipeline. */
  readonly reformed: boolean;
  readonly trouble: string | null;
}

interface Case {
  readonly change: string;
  readonly make: (net: LabNet, home: string, router: string) => void | Promise<void>;
}

const CASES: readonly Case[] = [
  {
    change: "the router gives another port to a live link",
    make: (net, _home, router) => net.newPorts(router),
  },
  {
    change: "the address is away for 2.5 s and comes back",
    async make(net, home) {
      net.interfaceOf(home, "down");
      await wait(AWAY_MS);
      net.interfaceOf(home, "up");
    },
  },
  { change: "the computer gets another address", make: (net, home) => net.anotherAddress(home) },
];

/** Two homes train while something happens to one of them: how long until the next step, and whether the pipeline was formed anew. */
export async function liveChanges(net: LabNet, progress: Progress): Promise<LiveChange[]> {
  const one = await net.home({ nat: "port-restricted" });
  const other = await net.home({ nat: "port-restricted" });
  const training = await LabTraining.start(net, "changes", {
    orchestrator: { space: net.publicSpace, host: PUBLIC_HOST },
    homes: [one.space, other.space],
    model: "tiny",
  });
  const changes: LiveChange[] = [];
  try {
    await training.reach(WARM_STEPS);
    for (const { change, make } of CASES) {
      await wait(SETTLED_MS);
      const before = training.recoveries;
      const links = linksOf(training, one.space);
      let stallMs: number | null = null;
      let trouble: string | null = null;
      try {
        const begun = Date.now();
        await make(net, one.space, one.edge);
        stallMs = await longestPause(training, begun);
      } catch (error) {
        trouble = failureBody(error).message;
      }
      await wait(SETTLED_MS);
      const after = linksOf(training, one.space);
      changes.push({
        change,
        before: links,
        after,
        stallMs,
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

/** Between two steps, in the time after `begun` (Unix milliseconds) in which a change shows. */
async function longestPause(training: LabTraining, begun: number): Promise<number> {
  await wait(SHOWS_WITHIN_MS);
  for (;;) {
    const times = [...training.finished.values()].filter((at) => at >= begun - NEWS_MS).sort((a, b) => a - b);
    const last = times.at(-1) ?? 0;
    if (Date.now() - last < NEWS_MS)
      return Math.max(...times.map((at, index) => at - (times[index - 1] ?? at)));
    if (Date.now() - begun > BACK_WITHIN_MS)
      throw new Failure("lab-training", `No step was finished within ${BACK_WITHIN_MS / 1000} s.`);
    await wait(50);
  }
}
