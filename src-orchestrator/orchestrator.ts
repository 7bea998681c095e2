import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { Failure } from "../src-protocol/failure.ts";
import type { Ss58Address } from "../src-protocol/keys.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { bindPayout } from "./claims.ts";
import { ready } from "../src-protocol/sr25519.ts";
import { Blobs } from "./blobs.ts";
import { blockAt } from "./clock.ts";
import { isCheckpointOf } from "./checkpoint-content.ts";
import { CONTROL_TIMES } from "./control-socket.ts";
import type { ControlSocket, ControlTimes } from "./control-socket.ts";
import { Ledger } from "./ledger.ts";
import { RunHost } from "./run-host.ts";
import { continuedRun, firstGeneration, identify, keepRun, referencedBlobs, remember } from "./run-store.ts";
import { createServer } from "./server.ts";
import { BLOBS_FOLDER, Store } from "./store.ts";

export interface OrchestratorOptions {
  readonly network: string;
  /** Bittensor's number of the subnet; 0: none. */
  readonly netuid: number;
  readonly folder: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly run: RunSpec;
  /** Where the corpus is taken from when the store does not have it. */
  readonly corpusFile: string;
  readonly raoPerTeraflop: bigint;
  /** Where hotkeys are paid to; one that is not named keeps what is bound, by default itself. */
  readonly payouts?: readonly { readonly hotkey: Ss58Address; readonly coldkey: Ss58Address }[];
  readonly times?: ControlTimes;
  readonly now?: () => number;
  /** The disk gave up: nothing more can be stored. */
  readonly onBroken: (error: unknown) => void;
}

export interface Orchestrator {
  readonly url: string;
  readonly host: RunHost;
  readonly store: Store;
  /** Ends every connection and commits everything. */
  close(): Promise<void>;
}

const COLLECT_EVERY_MS = 5 * 60_000;

/**
 * Opens the folder, creates the run when it is new, takes the corpus in, and listens.
 *
 * @throws Failure of the store (see `Store.open`), `other-network`, `corpus-missing`, `corpus-mismatch`, `port-in-use`, `too-many-stages`
 */
export async function startOrchestrator(options: OrchestratorOptions): Promise<Orchestrator> {
  const { network, folder, raoPerTeraflop } = options;
  const now = options.now ?? Date.now;
  await ready();
  const store = Store.open(folder, options.onBroken);
  try {
    const { genesis, life } = await identify(store, network, now());
    const run = continuedRun(store, options.run);
    const block = (): number => blockAt(genesis, now());
    const ledger = new Ledger(store, {
      network,
      run,
      raoPerTeraflop,
      firstGeneration: firstGeneration(life),
      now,
      block,
    });
    const blobs = new Blobs(join(folder, BLOBS_FOLDER));
    await takeCorpus(blobs, run.corpus.sha256, run.corpus.bytes, options.corpusFile);
    // Last: a run that cannot be served is not kept, so that a corrected one can take its place.
    await keepRun(store, run, now());
    for (const { hotkey, coldkey } of options.payouts ?? []) await bindPayout(store, hotkey, coldkey);
    const lengths = new Map<string, number | null>();
    for (const sha256 of referencedBlobs(store)) lengths.set(sha256, await blobs.length(sha256));
    const remembered = remember(store, run, life, ({ sha256, bytes }) => lengths.get(sha256) === bytes);

    const collect = (forgotten: readonly string[] = []): void => {
      store.flush();
      const keep = referencedBlobs(store).add(run.corpus.sha256);
      // What cannot be deleted now is tried again later.
      blobs.collect(keep, now(), new Set(forgotten)).catch(() => {});
    };
    const host = new RunHost({ store, run, remembered, now, block, onForgotten: collect });
    collect();
    const collector = setInterval(() => collect(), COLLECT_EVERY_MS).unref();

    const server = await createServer({
      store,
      blobs,
      host,
      control: {
        network,
        times: options.times ?? CONTROL_TIMES,
        host,
        live: new Map<string, ControlSocket>(),
        now,
        credit: (receipts) => ledger.credit(receipts),
        holdsCheckpoint: async (stage, { step, sha256, bytes }) => {
          if ((await blobs.length(sha256)) !== bytes) return false;
          const parameterCount = host.parameterCounts[stage] ?? 0;
          const place = { run, stage, step, parameterCount };
          // It may vanish while it is read: then it is none.
          return await blobs.get(sha256).then(
            (blob) => isCheckpointOf(place, blob.stream()).catch(() => false),
            () => false,
          );
        },
      },
      claims: { network, netuid: options.netuid, asset: "test", now, block },
      onCorrupt: (sha256) => host.dispatch({ type: "checkpointLost", now: now(), sha256 }),
      loopback: isLoopback(options.host),
    });
    const close = async (): Promise<void> => {
      clearInterval(collector);
      host.close();
      await server.close();
      store.close();
    };
    const url = await listen(server, options.host, options.port).catch((error: unknown) => {
      clearInterval(collector);
      host.close();
      throw error;
    });
    let closing: Promise<void> | null = null;
    return { url, host, store, close: () => (closing ??= close()) };
  } catch (error) {
    store.close();
    throw error;
  }
}

async function takeCorpus(blobs: Blobs, sha256: string, bytes: number, file: string): Promise<void> {
  if ((await blobs.length(sha256)) === bytes) {
    const intact = await blobs.get(sha256).then(
      () => true,
      () => false,
    );
    if (intact) return;
  }
  const found = await stat(file).catch(() => null);
  if (found === null || !found.isFile()) {
    throw new Failure(
      "corpus-missing",
      `The training text ${file} is not there, and the store has no good copy. Give the path of the text.`,
    );
  }
  try {
    await blobs.put(sha256, createReadStream(file), bytes);
  } catch (error) {
    if (!(error instanceof Failure) || (error.code !== "blob-mismatch" && error.code !== "blob-too-large"))
      throw error;
    throw new Failure(
      "corpus-mismatch",
      `The training text ${file} is not the one this run was started with. Put that text back, or use a new folder for a new run.`,
      { cause: error },
    );
  }
}

async function listen(server: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    await server.close();
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "EADDRINUSE") {
      throw new Failure(
        "port-in-use",
        `Port ${port} of ${host} is used by another program. Stop that one, or choose another port.`,
        { cause: error },
      );
    }
    if (code === "EACCES" || code === "EADDRNOTAVAIL") {
      throw new Failure(
        "port-refused",
        `This computer does not allow listening on port ${port} of ${host}. Choose another address or port.`,
        { cause: error },
      );
    }
    throw error;
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
