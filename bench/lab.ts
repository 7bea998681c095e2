import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../src-protocol/failure.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { trainAtHomes } from "./lab/home-training.ts";
import type { HomeTraining } from "./lab/home-training.ts";
import { LabMeeting } from "./lab/lab-meeting.ts";
import type { Met } from "./lab/lab-meeting.ts";
import { labTools } from "./lab/lab-tools.ts";
import { CHANGES, liveChanges } from "./lab/live-changes.ts";
import type { LiveChange } from "./lab/live-changes.ts";
import { median } from "./median.ts";

/** `changes` is all of CHANGES; each of them may be asked for by its own name, `--runs` times. */
const PARTS = ["pairs", "line", "training", "changes"];
const HOMES: Readonly<Record<string, Parameters<LabMeeting["add"]>[1]>> = {
  "port-restricted A": { nat: "port-restricted" },
  "port-restricted B": { nat: "port-restricted" },
  "symmetric A": { nat: "symmetric" },
  "symmetric B": { nat: "symmetric" },
  "no NAT": { nat: "none" },
  "UDP blocked": { nat: "port-restricted", blocksUdp: true },
  "double NAT A": { nat: "port-restricted", behind: "port-restricted" },
  "double NAT B": { nat: "port-restricted", behind: "symmetric" },
  "1:1 NAT": { nat: "one-to-one" },
  "in A's home": { besides: "port-restricted A", isolated: false },
  "in A's home, isolated": { besides: "port-restricted A", isolated: true },
};
/** Who dials whom. */
const PAIRS: readonly (readonly [string, string])[] = [
  ["port-restricted A", "port-restricted B"],
  ["port-restricted A", "symmetric A"],
  ["symmetric A", "symmetric B"],
  ["port-restricted A", "no NAT"],
  ["no NAT", "port-restricted B"],
  ["UDP blocked", "port-restricted A"],
  ["port-restricted B", "UDP blocked"],
  ["double NAT A", "port-restricted B"],
  ["double NAT A", "symmetric B"],
  ["double NAT A", "double NAT B"],
  ["port-restricted A", "1:1 NAT"],
  ["symmetric A", "1:1 NAT"],
  ["port-restricted A", "in A's home"],
  ["port-restricted A", "in A's home, isolated"],
];
const UP_MBIT = 20;
const LINE = { upMbit: UP_MBIT, downMbit: 100, roundTripMs: 30 };
const LOSSES = [0, 1] as const;
const FAR_END = "home without a line";
const WARM_UP_MS = 3_000;
const WINDOW_MS = 10_000;
/** As many runs as make one lucky or unlucky moment harmless. */
const ROUNDS = 2;

export interface LinkUse {
  readonly lossPercent: number;
  readonly kind: string;
  readonly transport: string;
  /** Of tensors, as they arrive. */
  readonly mbitPerSecond: number;
  /** Of the line's rate. */
  readonly linkUse: number;
  /** Why the link ended meanwhile, at the end that sends; null: it did not. */
  readonly trouble: string | null;
}

export interface LabResult {
  /** Why there was no lab; null: there was one. */
  skipped: string | null;
  pairs: (Met | { from: string; to: string; failed: string })[];
  /** The worst of `uses`; null where lines cannot be slowed down. */
  linkUse: number | null;
  uses: LinkUse[];
  /** What happens to a home while it trains. */
  changes: LiveChange[];
  /** Three homes behind such lines train the default model. */
  trainings: HomeTraining[];
  /** Why lines could not be slowed down. */
  lineTrouble: string | null;
}

/**
 * Homes with all kinds of routers on this computer, in network namespaces of their own: which kind of
 * link each pair gets and how fast, and how much of a home's line a link uses. Needs root; says so
 * where it may not, and leaves nothing behind.
 */
export async function benchLab(
  progress: Progress,
  { only, runs = 1 }: Pick<BenchOptions, "only" | "runs">,
): Promise<LabResult> {
  const parts = [...PARTS, ...CHANGES];
  const unknown = only.find((part) => !parts.includes(part));
  if (unknown !== undefined)
    throw new Failure(
      "unknown-part",
      `There is no part called "${unknown}". There are: ${parts.join(", ")}.`,
    );
  const isWanted = (part: string): boolean => only.length === 0 || only.includes(part);
  const result: LabResult = {
    skipped: null,
    pairs: [],
    linkUse: null,
    uses: [],
    changes: [],
    trainings: [],
    lineTrouble: null,
  };
  const filter = labTools();
  if (typeof filter !== "string") return { ...result, skipped: filter.missing };
  const meeting = await LabMeeting.open(filter);
  const end = (): void => void meeting.close().then(() => process.exit(130));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end);
  try {
    if (isWanted("pairs")) result.pairs = await meetInPairs(meeting, progress);
    const changes = isWanted("changes") ? CHANGES : CHANGES.filter(isWanted);
    if (changes.length > 0)
      result.changes = await liveChanges(meeting.net, progress, { only: changes, runs });
    result.lineTrouble = meeting.net.lineTrouble;
    if (result.lineTrouble !== null) return result;
    if (isWanted("line")) {
      result.uses = await useOfLines(meeting, progress);
      result.linkUse = Math.min(...result.uses.map(({ linkUse }) => linkUse));
    }
    if (isWanted("training")) result.trainings = await trainAtHomes(meeting.net, LINE, LOSSES, progress);
    return result;
  } finally {
    await meeting.close();
  }
}

async function meetInPairs(meeting: LabMeeting, progress: Progress): Promise<LabResult["pairs"]> {
  for (const [name, plan] of Object.entries(HOMES)) {
    await meeting.add(name, plan);
    progress(`home: ${name}`);
  }
  const pairs: LabResult["pairs"] = [];
  for (const [from, to] of PAIRS) {
    const met = await meeting.meet(from, to).catch((error: Error) => ({ from, to, failed: error.message }));
    progress(JSON.stringify(met));
    pairs.push(met);
    for (const name of [from, to]) await meeting.node(name).call({ do: "hang up" });
  }
  return pairs;
}

async function useOfLines(meeting: LabMeeting, progress: Progress): Promise<LinkUse[]> {
  await meeting.add(FAR_END, { nat: "port-restricted" });
  const uses: LinkUse[] = [];
  for (const lossPercent of LOSSES) {
    const name = `home with ${lossPercent} % loss`;
    await meeting.add(name, { nat: "port-restricted", line: { ...LINE, lossPercent } });
    const found = await use(meeting, name, lossPercent);
    progress(JSON.stringify(found));
    uses.push(found);
  }
  return uses;
}

/** Uploads from a home by its line, as fast as the link takes it. */
async function use(meeting: LabMeeting, from: string, lossPercent: number): Promise<LinkUse> {
  const to = FAR_END;
  const { kind, transport } = await meeting.meet(from, to);
  const bytes = Math.ceil(((WARM_UP_MS + ROUNDS * WINDOW_MS + 2_000) / 8_000) * UP_MBIT) * 1e6;
  const sending = meeting.node(from).send(bytes);
  sending.catch(() => undefined);
  await wait(WARM_UP_MS);
  const rates: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = await meeting.node(to).received();
    await wait(WINDOW_MS);
    const after = await meeting.node(to).received();
    rates.push(((after.bytes - before.bytes) * 8) / (after.at - before.at) / 1000);
  }
  const trouble = await meeting.node(from).ended();
  await meeting.node(from).call({ do: "hang up" });
  const mbitPerSecond = Number(median(rates).toFixed(2));
  return {
    lossPercent,
    kind,
    transport,
    mbitPerSecond,
    linkUse: Number((mbitPerSecond / UP_MBIT).toFixed(3)),
    trouble,
  };
}
