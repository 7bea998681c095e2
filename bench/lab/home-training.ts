import { loadavg } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../../src-protocol/failure.ts";
import type { Progress } from "../bench.ts";
import type { HomeLine, LabNet } from "./lab-net.ts";
import { PUBLIC_HOST } from "./lab-net.ts";
import { LabTraining } from "./lab-training.ts";

const HOMES = 3;
/** Sessions and links are warm after so many steps. */
const WARM_STEPS = 3;
const WINDOW_MS = 25_000;

export interface HomeTraining {
  readonly lossPercent: number;
  readonly kinds: readonly string[];
  readonly tokensPerSecond: number;
  /** The same processes on the same cores at the same time, without lines between them, before and after. */
  readonly computeTokensPerSecond: number;
  /** The line of the home and direction that would be full first. */
  readonly linkTokensPerSecond: number;
  /** Through that line, with all that the transport adds. */
  readonly bytesPerToken: number;
  /** Which of the two is the less, so what a better line would not change. */
  readonly limitedBy: "compute" | "link";
  /** tokensPerSecond ÷ min(compute, link) */
  readonly ratio: number;
  /** Of this computer over the last minute, when it was over: beyond its number of cores nobody here had one alone. */
  readonly load: number;
}

interface Measured {
  readonly tokensPerSecond: number;
  readonly tokens: number;
  readonly kinds: readonly string[];
}

/** Three homes with slow lines train the default model, each with its own daemon, by an operator's invitation. */
export async function trainAtHomes(
  net: LabNet,
  line: Omit<HomeLine, "lossPercent">,
  losses: readonly number[],
  progress: Progress,
): Promise<HomeTraining[]> {
  const computes = [await together(net, "before", progress)];
  const measured: (Measured & {
    lossPercent: number;
    bytesPerToken: number;
    linkTokensPerSecond: number;
    load: number;
  })[] = [];
  for (const lossPercent of losses) {
    const homes: string[] = [];
    const edges: string[] = [];
    for (let i = 0; i < HOMES; i++) {
      const home = await net.home({ nat: "port-restricted", line: { ...line, lossPercent } });
      homes.push(home.space);
      edges.push(home.edge);
    }
    const training = await LabTraining.start(net, `loss${lossPercent}`, {
      orchestrator: { space: net.publicSpace, host: PUBLIC_HOST },
      homes,
      model: "default",
    });
    try {
      await training.reach(WARM_STEPS);
      const before = edges.map((edge) => net.traffic(edge));
      const seen = await window(training, homes);
      const after = edges.map((edge) => net.traffic(edge));
      const full = after.flatMap((now, i) => [
        { bytes: now.sent - (before[i]?.sent ?? 0), mbit: line.upMbit },
        { bytes: now.received - (before[i]?.received ?? 0), mbit: line.downMbit },
      ]);
      const worst = full.reduce((a, b) => (b.bytes / b.mbit > a.bytes / a.mbit ? b : a));
      const bytesPerToken = worst.bytes / seen.tokens;
      const linkTokensPerSecond = (worst.mbit * 125_000) / bytesPerToken;
      const load = Number((loadavg()[0] ?? 0).toFixed(1));
      measured.push({ ...seen, lossPercent, bytesPerToken, linkTokensPerSecond, load });
      progress(JSON.stringify(measured.at(-1)));
    } finally {
      training.close();
    }
  }
  computes.push(await together(net, "after", progress));
  const compute = computes.reduce((sum, each) => sum + each, 0) / computes.length;
  return measured.map(
    ({ lossPercent, kinds, tokensPerSecond, linkTokensPerSecond, bytesPerToken, load }) => ({
      lossPercent,
      kinds,
      tokensPerSecond: Math.round(tokensPerSecond),
      computeTokensPerSecond: Math.round(compute),
      linkTokensPerSecond: Math.round(linkTokensPerSecond),
      bytesPerToken: Math.round(bytesPerToken),
      limitedBy: compute < linkTokensPerSecond ? "compute" : "link",
      ratio: Number((tokensPerSecond / Math.min(compute, linkTokensPerSecond)).toFixed(3)),
      load,
    }),
  );
}

async function together(net: LabNet, when: string, progress: Progress): Promise<number> {
  const spaces = [net.space(`together-${when}`)];
  const [space = ""] = spaces;
  const training = await LabTraining.start(net, `together-${when}`, {
    orchestrator: { space, host: "127.0.0.1" },
    homes: Array.from({ length: HOMES }, () => space),
    model: "default",
  });
  try {
    await training.reach(WARM_STEPS);
    const { tokensPerSecond } = await window(training, [space]);
    progress(`without lines, ${when}: ${Math.round(tokensPerSecond)} tokens/s`);
    return tokensPerSecond;
  } finally {
    training.close();
  }
}

/** Between the first and the last step that were finished in it. */
async function window(training: LabTraining, homes: readonly string[]): Promise<Measured> {
  const from = training.step;
  const begun = Date.now();
  await wait(WINDOW_MS);
  const steps = [...training.finished].filter(([step, at]) => step >= from && at >= begun - 10_000);
  const [first, last] = [steps.at(0), steps.at(-1)];
  if (first === undefined || last === undefined || last[0] <= first[0])
    throw new Failure("lab-training", "No two steps were finished in the window.");
  const tokens = (last[0] - first[0]) * training.tokensPerStep;
  const kinds = homes.flatMap((home) =>
    (training.state(home)?.links ?? []).flatMap(({ side, kind, transport }) =>
      side === "next" ? [`${kind} ${transport}`] : [],
    ),
  );
  return { tokensPerSecond: (tokens * 1000) / (last[1] - first[1]), tokens, kinds };
}
