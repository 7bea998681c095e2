import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { USUAL_REPLICAS } from "../src-protocol/control.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import type { ServedNetwork } from "../src-protocol/daemon-ipc.ts";
import type { Ss58Address } from "../src-protocol/keys.ts";
import { modelFilesOf } from "../src-protocol/model.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { listenInQueues } from "./control/accept-queues.ts";
import type { Listening } from "./control/accept-queues.ts";
import { DoorList } from "./control/door-list.ts";
import { accessByInvitation, OPEN_ACCESS } from "./control/access.ts";
import { networkCard } from "./control/card.ts";
import { Invitations } from "./control/invitations.ts";
import { OperatorDesk } from "./control/operator-desk.ts";
import { identityFor, networkOf } from "./control/tls-identity.ts";
import {
  bindPayout,
  blockClock,
  keepBlocks,
  keepPay,
  Ledger,
  openLedger,
  ownerOf,
  payTestUnits,
  startBlock,
} from "./ledger/index.ts";
import type { ClaimOptions } from "./ledger/index.ts";
import { ready } from "../src-protocol/sr25519.ts";
import { Blobs } from "./stores/blobs.ts";
import { isCheckpointOf } from "./stores/checkpoint-content.ts";
import { writeManifest } from "./stores/checkpoint-manifest.ts";
import { CONTROL_TIMES } from "./control/control-socket.ts";
import type { ControlSocket, ControlTimes } from "./control/control-socket.ts";
import { DOOR_LIMITS, Door, LOOPBACK_DOOR_LIMITS } from "../src-protocol/door.ts";
import { startRelay } from "./relay/index.ts";
import { putAsideLine } from "./replicas/put-aside.ts";
import type { RelayProcess } from "./relay/index.ts";
import { RunHost } from "./runs/run-host.ts";
import { RunRecord } from "./runs/run-record.ts";
import { JournalFile } from "./stores/journal-file.ts";
import { takeFiles } from "./stores/run-files.ts";
import type { RunFiles } from "./stores/run-files.ts";
import {
  continuedRun,
  identify,
  keepRun,
  knownNetwork,
  newestGeneration,
  referencedBlobs,
  remember,
} from "./stores/run-store.ts";
import { createServer } from "./control/server.ts";
import { stageFacts } from "./runs/stage-facts.ts";
import { storageFailure } from "./stores/storage-failure.ts";
import { Strangers } from "./control/strangers.ts";
import { BLOBS_FOLDER, Store } from "./stores/store.ts";
import { VERSION } from "./version.ts";

export interface OrchestratorOptions extends RunFiles {
  readonly network: string;
  /** Bittensor's number of the subnet; 0: none. */
  readonly netuid: number;
  readonly folder: string;
  /** In a file system that lies in memory, where there is one; null: there is none. */
  readonly memoryFolder?: string | null;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly run: RunSpec;
  readonly raoPerTeraflop: bigint;
  /** How many computers may hold one stage; left out: `USUAL_REPLICAS`. */
  readonly replicas?: number;
  /** Where hotkeys are paid to; one that is not named keeps what is bound, by default itself. */
  readonly payouts?: readonly { readonly hotkey: Ss58Address; readonly coldkey: Ss58Address }[];
  /** Null or left out: for this computer alone. Otherwise `network` names only a folder that is new. */
  readonly served?: ServedNetwork | null;
  readonly times?: ControlTimes;
  /** The wall clock, and one that nobody sets: both in milliseconds. */
  readonly now?: () => number;
  readonly steady?: () => number;
  /** Before it listens: so many bytes of the run's files were read. */
  readonly onReading?: (bytes: number) => void;
  /** Something about the ledger that its owner should read: it goes on all the same. */
  readonly onNotice?: (notice: Failure) => void;
  /** For its log. */
  readonly onLine?: (line: string) => void;
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

/** What happens to the run, until it is closed in order: see `RunJournal`. */
const JOURNAL_FILE = "journal";
const COLLECT_EVERY_MS = 5 * 60_000;

/** Receipts that were stored are kept by their workers until they are in the database itself. */
const SAFE_EVERY_MS = 10_000;

/**
 * Opens the folder, creates the run when it is new, takes its text and model in, and listens.
 *
 * @throws Failure of the store (see `Store.open`), of `takeFiles` and of `stageFacts`; `other-network`, `port-in-use`
 */
export async function startOrchestrator(options: OrchestratorOptions): Promise<Orchestrator> {
  const { folder, raoPerTeraflop, served = null } = options;
  const { now = Date.now, steady = () => performance.now() } = options;
  await ready();
  const store = Store.open(folder, options.onBroken);
  let relay: RelayProcess | null = null;
  try {
    const tls = served === null ? null : identityFor(served, folder);
    const network = tls === null ? options.network : (knownNetwork(store) ?? networkOf(tls));
    const { genesis, life } = await identify(store, network, now());
    const run = continuedRun(store, options.run);
    const blobs = new Blobs(join(folder, BLOBS_FOLDER));
    const facts = stageFacts(run, await takeFiles(blobs, run, options, options.onReading));
    // Assignments commit to the chunks of what is loaded as a whole.
    if (run.corpus.chunks === undefined) await blobs.chunks(run.corpus.sha256);
    if (run.model.kind === "onnx") await blobs.chunks(run.model.file.sha256);
    // Last: a run that cannot be served is not kept, so that a corrected one can take its place.
    await keepRun(store, run, now());
    const pays = served?.pays ?? null;
    await keepPay(store, pays);
    for (const notice of openLedger(store, folder, run.runId)) options.onNotice?.(notice);
    const block = blockClock(startBlock(store, genesis, now()), steady);
    for (const { hotkey, coldkey } of options.payouts ?? []) await bindPayout(store, hotkey, coldkey, now());
    const lengths = new Map<string, number | null>();
    for (const sha256 of referencedBlobs(store)) lengths.set(sha256, await blobs.length(sha256));

    const collect = (forgotten: readonly string[] = []): void => {
      store.flush();
      const keep = referencedBlobs(store).add(run.corpus.sha256);
      if (run.corpus.chunks !== undefined) keep.add(run.corpus.chunks.sha256);
      for (const { sha256 } of modelFilesOf(run.model)) keep.add(sha256);
      // What cannot be deleted now is tried again later.
      blobs.collect(keep, now(), new Set(forgotten)).catch(() => {});
    };
    const record = RunRecord.open(folder, run, (error) => options.onBroken(storageFailure(error, folder)));
    const host = new RunHost({
      store,
      run,
      facts,
      remembered: () => remember(store, run, life, ({ sha256, bytes }) => lengths.get(sha256) === bytes),
      steady,
      date: now,
      block,
      onCheckpoints: (complete) => {
        try {
          writeManifest(folder, run, complete);
        } catch (error) {
          options.onBroken(storageFailure(error, folder));
        }
      },
      onForgotten: collect,
      chunksSha256: (sha256) => blobs.listedAs(sha256),
      onLink: (step, stage, link) => record.add(step, stage, link),
      ownerOf: (hotkey) => ownerOf(store, hotkey),
      onPutAside: (news) => options.onLine?.(putAsideLine(news)),
      onQuestion: (detail) => options.onLine?.(detail),
      replicas: { network, most: options.replicas ?? USUAL_REPLICAS, isAsking: served !== null },
      journal: {
        file: new JournalFile(join(options.memoryFolder ?? folder, JOURNAL_FILE)),
        version: VERSION,
        genesis,
        life,
        stored: () => newestGeneration(store, run.runId),
      },
    });
    for (const [sha256, bytes] of lengths)
      if (bytes === null && host.namesCheckpoint(sha256)) host.dispatch({ type: "checkpointLost", sha256 });
    const ledger = new Ledger(store, {
      network,
      run,
      flops: facts.map(({ flops }) => flops),
      raoPerTeraflop,
      pipeline: () => host.pipeline(),
      keptFrom: () => host.oldestRestorable(),
      now,
      block,
    });
    collect();
    const collector = setInterval(() => collect(), COLLECT_EVERY_MS).unref();

    const live = new Map<string, ControlSocket>();
    store.onSafe(() => {
      for (const socket of live.values()) socket.send({ type: "receiptsSafe" });
    });
    const keeper = setInterval(() => store.makeSafe(), SAFE_EVERY_MS).unref();
    const stopBlocks = keepBlocks(store, { block, now });
    const claims: ClaimOptions = {
      network,
      netuid: pays?.netuid ?? options.netuid,
      asset: pays?.asset ?? "test",
      now,
      block,
    };
    // What went wrong is told once by the store itself; what is due is paid at the next start. Money is paid by a
    // process of its own, which asks at the operator's desk.
    const pay = (): void => {
      if (pays === null) payTestUnits(store, claims).catch(() => {});
    };
    pay();
    const invitations = new Invitations(store, now);
    const access = served === null || served.open ? OPEN_ACCESS : accessByInvitation(invitations);
    const { name = network, operator = "", open = false, page = false } = served ?? {};
    relay = served === null || isLoopback(options.host) ? null : await relayFor(served, options);
    if (relay !== null) host.nameNeighboursTo(relay.allow);
    const door = new Door(isLoopback(options.host) ? LOOPBACK_DOOR_LIMITS : DOOR_LIMITS);
    const server = await createServer({
      store,
      blobs,
      host,
      tls,
      access,
      card: () => networkCard({ network, name: name.slice(0, 40), operator, open, pays }, host),
      page: page ? { name, operator } : null,
      control: {
        network,
        times: options.times ?? CONTROL_TIMES,
        host,
        links: relay?.services ?? null,
        live,
        admit: (hotkey, token) => access.admit(hotkey, token),
        now,
        steady,
        strangers: new Strangers(),
        credit: (receipts) => ledger.credit(receipts),
        holdsCheckpoint: async ({ stage, digest, stateSha256 }, { step, sha256, bytes }) => {
          if ((await blobs.length(sha256)) !== bytes) return false;
          const parameterCount = facts[stage]?.parameterCount ?? 0;
          const place = { run, stage, step, parameterCount, digest, stateSha256 };
          // It may vanish while it is read: then it is none.
          try {
            const isRight = await isCheckpointOf(place, (await blobs.get(sha256)).stream());
            if (isRight) await blobs.chunks(sha256);
            return isRight;
          } catch {
            return false;
          }
        },
      },
      claims,
      onAccepted: pay,
      onCorrupt: (sha256) => host.dispatch({ type: "checkpointLost", sha256 }),
      loopback: isLoopback(options.host),
      door,
    });
    const close = async (): Promise<void> => {
      clearInterval(collector);
      clearInterval(keeper);
      stopBlocks();
      host.close();
      record.flush();
      await relay?.close();
      await server.close();
      store.close();
    };
    const { url, end } = await listen(server, options, door).catch((error: unknown) => {
      clearInterval(collector);
      clearInterval(keeper);
      stopBlocks();
      host.stop();
      throw error;
    });
    const desk = await OperatorDesk.open(folder, {
      served:
        served === null || tls === null
          ? null
          : { ...served, keySha256: tls.keySha256, port: Number(new URL(url).port) },
      network,
      invitations,
      host,
      store,
      evict(hotkeys) {
        for (const socket of live.values())
          if (socket.hotkey !== null && hotkeys.includes(socket.hotkey)) socket.evicted();
      },
      now,
    });
    host.open();
    let closing: Promise<void> | null = null;
    const closeAll = async (): Promise<void> => {
      await desk.close();
      end();
      await close();
    };
    return { url, host, store, close: () => (closing ??= closeAll()) };
  } catch (error) {
    await relay?.close();
    store.close();
    throw error;
  }
}

/** Without a relay the network still serves those who can dial each other, so its failure ends nothing. */
async function relayFor(
  { addresses }: ServedNetwork,
  { host, port }: Pick<OrchestratorOptions, "host" | "port">,
): Promise<RelayProcess | null> {
  const say = (sentence: string): void => void process.stderr.write(`relay: ${sentence}\n`);
  const [first] = addresses;
  if (first === undefined) return null;
  try {
    // Beside the orchestrator's own port, so that a firewall can let them through.
    const ports = port === 0 ? {} : { udpPort: port + 1, tcpPort: port + 1 };
    return await startRelay({ host, publicHost: first.host, onCrash: say, ...ports });
  } catch (error) {
    say(failureBody(error).message);
    return null;
  }
}

async function listen(
  server: FastifyInstance,
  { host, port, served }: OrchestratorOptions,
  door: Door,
): Promise<Listening> {
  try {
    return await listenInQueues(
      server,
      { host, port },
      (served ?? null) === null ? null : new DoorList(door),
    );
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
