import { z } from "zod";
import { country } from "./countries.ts";
import { MOST_ENDS_IN_MS, MOST_REPLICAS } from "./control.ts";
import { MOST_MODEL_FILES } from "./decoder.ts";
import { delegation } from "./delegation.ts";
import { invitation, invitationHost, networkAccess } from "./invitation.ts";
import { sessionKey, ss58Address } from "./keys.ts";
import { lineShare, lineUse } from "./line-limits.ts";
import { linkStatus } from "./link-report.ts";
import { loadingProgress } from "./loading.ts";
import { networkPay } from "./payouts.ts";
import { executionProvider } from "./providers.ts";

/** Daemon ↔ its own child processes, over Node's IPC channel (plain JSON values). */

/** Asked of either kind of child every few seconds; one that does not answer for long is ended and replaced. */
const pingMessage = z.strictObject({ type: z.literal("ping") });
export type PingMessage = z.infer<typeof pingMessage>;
const pongMessage = z.strictObject({ type: z.literal("pong") });
export type PongMessage = z.infer<typeof pongMessage>;

/** First message of a worker: it has made a session key and waits to be allowed to use it. */
export const workerToDaemon = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("sessionKey"), sessionKey }),
  /** What it is doing now. */
  z.strictObject({
    type: z.literal("phase"),
    phase: z.enum(["starting", "waiting", "loading", "training"]),
    detail: z.string(),
    stage: z.int().nonnegative().nullable(),
    loading: loadingProgress.nullable(),
    /** Why its work of just now is not paid, or only in part; absent: it is. */
    unpaid: z.string().max(400).optional(),
    /** What of its receipts the network has refused since it paid one, and why; absent: nothing. */
    refused: z.string().max(400).optional(),
  }),
  /** Its links as they are now; every few seconds while it has a stage, and when one changes. */
  z.strictObject({ type: z.literal("links"), status: linkStatus }),
  /** What it has sent and received, a few times a second. */
  z.strictObject({ type: z.literal("traffic"), use: lineUse }),
  /** Something that its owner should read once. */
  z.strictObject({ type: z.literal("note"), text: z.string().max(400) }),
  pongMessage,
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type WorkerToDaemon = z.infer<typeof workerToDaemon>;

/** What either kind of child is told when it shall end by itself; SIGKILL follows when it takes too long. */
const stopMessage = z.strictObject({ type: z.literal("stop"), reason: z.string() });
export type StopMessage = z.infer<typeof stopMessage>;

export const daemonToWorker = z.discriminatedUnion("type", [
  /** Go: connect and work. Sent once, after `sessionKey`. */
  z.strictObject({
    type: z.literal("start"),
    network: z.string(),
    orchestratorUrl: z.url(),
    /** How it knows the network and is let in; null: this computer's own, over loopback. */
    access: networkAccess.nullable(),
    /** Snapshots, the corpus cache and the receipt outbox live here. */
    folder: z.string(),
    /** In a file system that lies in memory: the newest states, which outlive the process; null: there is none. */
    memoryFolder: z.string().nullable(),
    /** In such a file system, of all workers of this daemon: large payloads between them lie there until they are read; null: there is none. */
    laneFolder: z.string().nullable(),
    /** The folder of blobs of a network on this computer, to be read where they lie; null: it is elsewhere. */
    localBlobs: z.string().nullable(),
    delegation,
    threads: z.int().positive(),
    /** Of memory at most; null: what the computer has. */
    memoryBytes: z.int().positive().nullable(),
    /** Workers of this daemon, this one included: they share what may be written to the disk. */
    workersHere: z.int().positive(),
    executionProvider,
    /** Address that peers can reach; the embedded network uses loopback. */
    linkHost: z.string(),
    /** Why links over HyperDHT are not to be made here; null: they may. */
    hyperdhtOff: z.string().max(400).nullable(),
  }),
  /** Its share of what the owner allows, from now on; before the first one there is no limit. */
  z.strictObject({ type: z.literal("limits"), limits: lineShare }),
  /** So long it may work from now on, by its owner's rules; null: no end is known, as before the first one. */
  z.strictObject({ type: z.literal("ends"), inMs: z.number().nonnegative().max(MOST_ENDS_IN_MS).nullable() }),
  /** What the network may show of where it stands, from now on; null: nothing, as before the first one. */
  z.strictObject({ type: z.literal("country"), country: country.nullable() }),
  /** Leave the network politely (drain), then exit 0. */
  stopMessage,
  pingMessage,
]);
export type DaemonToWorker = z.infer<typeof daemonToWorker>;

/** Orchestrator → daemon. */
export const orchestratorToDaemon = z.discriminatedUnion("type", [
  /** It reads the run's files before it listens, which takes its time: so many bytes so far. */
  z.strictObject({ type: z.literal("reading"), bytes: z.int().nonnegative() }),
  z.strictObject({ type: z.literal("listening"), url: z.url() }),
  /** Something that its owner should read; it goes on all the same. */
  z.strictObject({ type: z.literal("notice"), code: z.string(), message: z.string() }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
  pongMessage,
]);
export type OrchestratorToDaemon = z.infer<typeof orchestratorToDaemon>;

/** What makes a network of one's own one for others. */
export const servedNetwork = z.strictObject({
  /** For people: who this is, and who runs it (may be empty). */
  name: invitation.shape.name,
  operator: z.string().max(120),
  /** Anybody who finds it may come in. */
  open: z.boolean(),
  /** Whether everybody may look at the run, without an invitation: the page at `/`. */
  page: z.boolean().default(false),
  /** What invitations name, the best first; port null: the one it listens on. */
  addresses: z
    .array(z.strictObject({ host: invitationHost, port: z.int().min(1).max(65_535).nullable() }))
    .min(1)
    .max(4),
  /** A certificate of somebody else's making; null: one's own, made at the first start. */
  certificate: z.strictObject({ certFile: z.string(), keyFile: z.string() }).nullable(),
  /** Left out: it counts test units, worth nothing. */
  pays: networkPay.optional(),
});
export type ServedNetwork = z.infer<typeof servedNetwork>;

/** Daemon → orchestrator. */
export const daemonToOrchestrator = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("start"),
    network: z.string(),
    /** `orchestrator.db` and `blobs/` live here. */
    folder: z.string(),
    /** In a file system that lies in memory: what happens to the run, which outlives the process; null: it lies in `folder`. */
    memoryFolder: z.string().nullable(),
    host: z.string(),
    /** 0: any free port. */
    port: z.int().min(0).max(65_535),
    /** The run to create when the folder has none with this id; parsed as a RunSpec there. */
    run: z.unknown(),
    /** The corpus file to take into the store when it is not there yet. */
    corpusFile: z.string(),
    /** The same for the model's files, in the run's order; none: the run's model is built in. */
    modelFiles: z.array(z.string()).max(MOST_MODEL_FILES).readonly(),
    /** How many computers may hold one stage, 1: who has none waits in reserve; absent: as many as is usual. */
    replicas: z.int().min(1).max(MOST_REPLICAS).optional(),
    /** Pay per 1e12 counted FLOPs, in rao, as a decimal string. */
    raoPerTeraflop: z.string().regex(/^\d{1,12}$/),
    /** Where hotkeys of the embedded network are paid to; one that is not named is paid itself. */
    payouts: z.array(z.strictObject({ hotkey: ss58Address, coldkey: ss58Address })).max(64),
    /** Null: it serves this computer alone, and `network` is its name. */
    served: servedNetwork.nullable(),
  }),
  /** Write everything, close, exit 0. */
  stopMessage,
  pingMessage,
]);
export type DaemonToOrchestrator = z.infer<typeof daemonToOrchestrator>;
