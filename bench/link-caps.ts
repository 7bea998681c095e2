import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { HEARTBEAT_MS } from "../src-protocol/control.ts";
import { NO_LIMITS } from "../src-protocol/line-limits.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";
import { OrchestratorRoute } from "../src-worker/control/orchestrator-route.ts";
import { Throttle } from "../src-worker/limits/throttle.ts";
import { memoryLinks } from "../src-worker/links/index.ts";
import { Blobs } from "../src-worker/loading/blobs.ts";
import type { Progress } from "./bench.ts";
import type { LabProcess } from "./lab/lab-process.ts";
import { MESSAGE, tensorOf } from "./lab/lab-message.ts";

/** What an owner's limit is worth: as much as possible is sent for ten seconds. */

const ASKED_MBIT = 20;
const SECONDS = 10;
const SIDES = ["upload", "download"] as const;
type Side = (typeof SIDES)[number];

export interface CapRow {
  /** `loading`: files from and to the orchestrator. */
  link: "memory" | "tls" | "hyperdht" | "relay" | "loading";
  /** Whose limit: the sender's upload or the receiver's download. */
  side: Side;
  askedMbit: number;
  /** Mean of the ten seconds from the first byte on. */
  gotMbit: number;
  ratio: number;
  /** The longest of the limited side's heartbeats in that time; null where there are none. */
  roundTripMs: number | null;
}

/** Two fresh processes with a link of one kind between them. */
export type OpenPair = (kind: "tls" | "hyperdht" | "relay") => Promise<{ a: LabProcess; b: LabProcess }>;

export async function benchCaps(open: OpenPair, progress: Progress): Promise<CapRow[]> {
  const rows: CapRow[] = [];
  for (const side of SIDES) {
    progress(`${side} limited to ${ASKED_MBIT} Mbit/s on every kind of link, ${SECONDS} s`);
    // One after another: the relay is told of one pair at a time, the last one it was told of.
    const pairs = [];
    for (const kind of ["tls", "hyperdht", "relay"] as const) pairs.push({ kind, ...(await open(kind)) });
    const measured = pairs.map(({ kind, a, b }) => between(kind, side, a, b));
    rows.push(...(await Promise.all([inMemory(side), ...measured, loading(side)])));
  }
  return rows;
}

function limitsOf(side: Side): typeof NO_LIMITS {
  return { ...NO_LIMITS, [side === "upload" ? "uploadMbit" : "downloadMbit"]: ASKED_MBIT };
}

async function between(
  kind: "tls" | "hyperdht" | "relay",
  side: Side,
  a: LabProcess,
  b: LabProcess,
): Promise<CapRow> {
  try {
    const limited = side === "upload" ? a : b;
    await limited.call({ do: "limit", limits: limitsOf(side) });
    const before = await b.frames();
    const begun = performance.now();
    const sending = a.call({ do: "saturate", forMs: SECONDS * 1000 });
    let roundTripMs: number | null = null;
    while (performance.now() - begun < SECONDS * 1000) {
      await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS / 2));
      roundTripMs = Math.max(roundTripMs ?? 0, (await limited.frames()).roundTripMs ?? 0);
    }
    const after = await b.frames();
    const seconds = (performance.now() - begun) / 1000;
    z.object({ closed: z.null() }).parse(await sending);
    return row(kind, side, after.bytes - before.bytes, seconds, roundTripMs);
  } finally {
    a.close();
    b.close();
  }
}

async function inMemory(side: Side): Promise<CapRow> {
  const [keyA, keyB] = [createSessionSigner().publicKey, createSessionSigner().publicKey];
  const { a, b } = memoryLinks({ a: keyA, b: keyB });
  b.onMessage(() => undefined);
  const throttle = new Throttle();
  throttle.limit(limitsOf(side));
  const limited = side === "upload" ? a : b;
  limited.limitBy(throttle);
  const begun = performance.now();
  const sending = (async () => {
    while (performance.now() - begun < SECONDS * 1000) await a.send(tensorOf(MESSAGE, "forward"), MESSAGE);
  })().catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  const { roundTripMs } = limited.stats;
  const made = row("memory", side, b.stats.bytesReceived, (performance.now() - begun) / 1000, roundTripMs);
  a.close("done");
  await sending;
  return made;
}

/** One file, as a worker fetches a checkpoint or stores one. */
async function loading(side: Side): Promise<CapRow> {
  const bytes = ASKED_MBIT * 125_000 * SECONDS * 3;
  let moved = 0;
  let begun: number | null = null;
  const abort = new AbortController();
  const came = (taken: number): void => {
    if (begun === null) {
      begun = performance.now();
      setTimeout(() => abort.abort(), SECONDS * 1000);
    }
    moved += taken;
  };
  const server = createServer((request, response) => {
    if (request.method === "PUT") take(request, response, came);
    else response.writeHead(206).end(Buffer.alloc(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const throttle = new Throttle();
  throttle.limit(limitsOf(side));
  const route = new OrchestratorRoute(`http://127.0.0.1:${port}`, null, null);
  const blobs = new Blobs(route, createSessionSigner(), { throttle });
  const folder = await mkdtemp(join(tmpdir(), "tah-caps-"));
  try {
    try {
      if (side === "upload") {
        const path = join(folder, "file");
        await writeFile(path, Buffer.alloc(bytes));
        await blobs.put("0".repeat(64), path, bytes, abort.signal);
      } else
        for await (const piece of blobs.range("0".repeat(64), 0, bytes, abort.signal)) came(piece.byteLength);
    } catch {
      // The time is over.
    }
    return row("loading", side, moved, (performance.now() - (begun ?? Infinity)) / 1000, null);
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  }
}

function take(request: IncomingMessage, response: ServerResponse, count: (bytes: number) => void): void {
  request.on("data", (piece: Buffer) => count(piece.byteLength));
  request.on("end", () => response.end("{}"));
  request.on("error", () => undefined);
}

function row(
  link: CapRow["link"],
  side: Side,
  bytes: number,
  seconds: number,
  roundTripMs: number | null,
): CapRow {
  const gotMbit = (bytes * 8) / 1e6 / seconds;
  return {
    link,
    side,
    askedMbit: ASKED_MBIT,
    gotMbit: Number(gotMbit.toFixed(2)),
    ratio: Number((gotMbit / ASKED_MBIT).toFixed(3)),
    roundTripMs: roundTripMs === null ? null : Number(roundTripMs.toPrecision(3)),
  };
}
