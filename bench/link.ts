import { once } from "node:events";
import { linkServices } from "../src-protocol/link-services.ts";
import type { LinkServices } from "../src-protocol/link-services.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";
import { memoryLinks } from "../src-worker/links/index.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { LabProcess, spawnIn } from "./lab/lab-process.ts";
import { measureHere } from "./lab/measure-here.ts";
import { benchCaps } from "./link-caps.ts";
import type { CapRow } from "./link-caps.ts";
import { median } from "./median.ts";

const ROUNDS = 4;
const BYTES = 96 * 1024 * 1024;
const PINGS = 200;
const HOST = "127.0.0.1";
const DIAL_WITHIN_MS = 8_000;
const KINDS = ["tcp", "memory", "tls", "hyperdht", "relay"] as const;
type Kind = (typeof KINDS)[number];

interface Round {
  readonly mbPerSecond: number;
  /** Of both ends, for each GB; of `memory`, of the one process. */
  readonly cpuSecondsPerGb: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** To a link that may be used; null: nothing is dialled. */
  readonly dialMs: number | null;
}

export interface LinkRow {
  link: Kind;
  mbPerSecond: number;
  cpuSecondsPerGb: number;
  p50Ms: number;
  p99Ms: number;
  dialMs: number | null;
  /** Medians of each round's own ratio to raw TCP. */
  speedRatio: number;
  cpuRatio: number;
  p50Ratio: number;
  p99Ratio: number;
  dialRatio: number | null;
}

export interface LinkResult {
  links: LinkRow[];
  caps: CapRow[];
  rounds: number;
  megabytes: number;
}

/**
 * Every kind of link between two processes on this computer against raw TCP, in turn: so a slow moment
 * of the computer meets all. Messages of 1 MiB, 64 KiB there and back, and a fresh dial each round.
 * Then what an owner's limit is worth on each of them (`caps`).
 */
export async function benchLink(
  progress: Progress,
  { only }: Pick<BenchOptions, "only">,
): Promise<LinkResult> {
  const unknown = only.find((part) => part !== "rates" && part !== "caps");
  if (unknown !== undefined)
    throw new Failure("unknown-part", `There is no part called "${unknown}". There are: rates, caps.`);
  const isWanted = (part: "rates" | "caps"): boolean => only.length === 0 || only.includes(part);
  const relay = spawnIn(null, "lab-services.ts", [HOST]);
  const nodes: LabProcess[] = [];
  try {
    const [said] = await once(relay, "message");
    const services = linkServices.parse(said);
    const measured = new Map<Kind, Round[]>(KINDS.map((kind) => [kind, []]));
    for (let round = 1; round <= ROUNDS && isWanted("rates"); round++) {
      for (const kind of KINDS) {
        const one = kind === "memory" ? await inMemory() : await between(kind, services, relay, nodes);
        measured.get(kind)?.push(one);
        progress(`round ${round} of ${ROUNDS}, ${kind}: ${one.mbPerSecond.toFixed(0)} MB/s`);
      }
    }
    const links = isWanted("rates") ? KINDS.map((kind) => row(kind, measured)) : [];
    const caps = isWanted("caps")
      ? await benchCaps((kind) => opened(kind, services, relay, nodes), progress)
      : [];
    return { links, caps, rounds: ROUNDS, megabytes: BYTES / 2 ** 20 };
  } finally {
    for (const node of nodes) node.close();
    relay.kill("SIGTERM");
  }
}

/** Two fresh processes, which know of nothing but the road that is measured. */
async function between(
  kind: Exclude<Kind, "memory">,
  services: LinkServices,
  relay: ReturnType<typeof spawnIn>,
  nodes: LabProcess[],
): Promise<Round> {
  const raw = kind === "tcp";
  const { a, b, dialMs, rawPort } = await opened(kind, services, relay, nodes);
  try {
    const pings = await a.ping(PINGS, raw);
    if (raw) {
      // The listening side has decided to echo this connection: bytes go over a new one.
      await a.call({ do: "hang up" });
      await a.rawDial(HOST, rawPort);
    }
    const before = await b.received();
    const begun = performance.now();
    const sending = a.send(BYTES, raw);
    let after = before;
    while (after.bytes - before.bytes < BYTES) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      after = await b.received();
    }
    const seconds = (performance.now() - begun) / 1000;
    const cpuMs = (await sending) + after.cpuMs - before.cpuMs;
    return { ...figures(seconds, cpuMs, pings), dialMs };
  } finally {
    a.close();
    b.close();
  }
}

/** A link of one kind between two fresh processes. `nodes` gets them first, so that they end whatever happens. */
async function opened(
  kind: Exclude<Kind, "memory">,
  services: LinkServices,
  relay: ReturnType<typeof spawnIn>,
  nodes: LabProcess[],
): Promise<{ a: LabProcess; b: LabProcess; dialMs: number; rawPort: number }> {
  const [a, b] = await Promise.all([LabProcess.start(null, HOST), LabProcess.start(null, HOST)]);
  nodes.push(a, b);
  const [from, to] = await Promise.all([a.who(), b.who()]);
  const nowhere = { ...to, address: { host: HOST, port: 9 }, others: [] };
  let dialMs: number;
  switch (kind) {
    case "tcp":
      dialMs = await a.rawDial(HOST, to.rawPort);
      break;
    case "tls":
      ({ ms: dialMs } = await a.dial(to, DIAL_WITHIN_MS));
      break;
    case "hyperdht":
    case "relay": {
      relay.send([[from.key, to.key]]);
      await once(relay, "message");
      const offered: LinkServices =
        kind === "hyperdht"
          ? { ...services, byteRelay: null, datagramRelay: null }
          : { ...services, datagramRelay: null };
      for (const [node, other] of [
        [a, to.key],
        [b, from.key],
      ] as const) {
        await node.call({ do: "name", keys: [other] });
        await node.call({ do: "offer", services: offered });
      }
      // A relay alone: the nodes must not find each other over UDP.
      if (kind === "relay") {
        await b.call({ do: "name", keys: [] });
        await b.call({ do: "wait at relay", key: from.key, withinMs: DIAL_WITHIN_MS });
      } else {
        while ((await a.router()) === "unknown" || (await b.router()) === "unknown")
          await new Promise((resolve) => setTimeout(resolve, 50));
      }
      ({ ms: dialMs } = await a.dial(nowhere, DIAL_WITHIN_MS));
      break;
    }
  }
  return { a, b, dialMs, rawPort: to.rawPort };
}

async function inMemory(): Promise<Round> {
  const [a, b] = [createSessionSigner().publicKey, createSessionSigner().publicKey];
  const links = memoryLinks({ a, b });
  const { seconds, cpuMs, pings } = await measureHere(links.a, links.b, BYTES, PINGS);
  links.a.close("done");
  return { ...figures(seconds, cpuMs, pings), dialMs: null };
}

function figures(seconds: number, cpuMs: number, pings: readonly number[]): Omit<Round, "dialMs"> {
  const sorted = [...pings].sort((x, y) => x - y);
  return {
    mbPerSecond: BYTES / 1e6 / seconds,
    cpuSecondsPerGb: cpuMs / 1000 / (BYTES / 1e9),
    p50Ms: median(sorted),
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  };
}

function row(kind: Kind, measured: ReadonlyMap<Kind, readonly Round[]>): LinkRow {
  const rounds = measured.get(kind) ?? [];
  const tcp = measured.get("tcp") ?? [];
  const middle = (of: (round: Round) => number): number => round3(median(rounds.map(of)));
  const ratio = (of: (round: Round) => number): number =>
    round3(median(rounds.map((round, index) => of(round) / of(tcp[index] ?? round))));
  const dials = rounds.every(({ dialMs }) => dialMs !== null);
  const dialOf = ({ dialMs }: Round): number => dialMs ?? Number.NaN;
  return {
    link: kind,
    mbPerSecond: middle((one) => one.mbPerSecond),
    cpuSecondsPerGb: middle((one) => one.cpuSecondsPerGb),
    p50Ms: middle((one) => one.p50Ms),
    p99Ms: middle((one) => one.p99Ms),
    dialMs: dials ? middle(dialOf) : null,
    speedRatio: ratio((one) => one.mbPerSecond),
    cpuRatio: ratio((one) => one.cpuSecondsPerGb),
    p50Ratio: ratio((one) => one.p50Ms),
    p99Ratio: ratio((one) => one.p99Ms),
    dialRatio: dials ? ratio(dialOf) : null,
  };
}

function round3(value: number): number {
  return Number(value.toPrecision(3));
}
