import { mkdir } from "node:fs/promises";
import { flushCompileCache } from "node:module";
import { setPriority, totalmem } from "node:os";
import { join } from "node:path";
import { daemonToWorker } from "../src-protocol/daemon-ipc.ts";
import type { DaemonToWorker, WorkerToDaemon } from "../src-protocol/daemon-ipc.ts";
import { failureBody } from "../src-protocol/failure.ts";
import type { Failure } from "../src-protocol/failure.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";
import { Compute } from "./compute/compute.ts";
import { holdsExact } from "./compute/exact-answer.ts";
import { rememberedExact } from "./compute/remembered-exact.ts";
import { Control } from "./control/control.ts";
import { diskFailure } from "./disk/disk-failure.ts";
import { ReceiptOutbox } from "./pipeline/receipt-outbox.ts";
import { BegunStage } from "./stage/begun-stage.ts";
import { StoredStates } from "./stage/stored-states.ts";
import { BlobExchange, blobsIn } from "./loading/blob-exchange.ts";
import { collectRegularly, settleHeap } from "./limits/collected-heap.ts";
import { watchStandstill } from "./limits/standstill.ts";
import { Throttle } from "./limits/throttle.ts";
import {
  Arrivals,
  dialable,
  LinkDesk,
  LinkStation,
  LaneFolder,
  otherAddresses,
  Peers,
} from "./links/index.ts";
import { ReplicaWeb } from "./replicas/index.ts";
import { TrainingWorker } from "./worker.ts";
import { DeclaredCountry } from "./limits/declared-country.ts";
import { DeclaredEnd } from "./limits/declared-end.ts";
import { OrchestratorRoute } from "./control/orchestrator-route.ts";

/** Below what a person does at the computer; the compute thread goes lower still. */
const NICENESS = 10;
const COMPUTE_NICENESS = 15;
/** The daemon kills after 800 ms. */
const DRAIN_MS = 600;
/** How often the daemon is told what was sent and received. */
const TRAFFIC_MS = 250;
/** A goodbye over UDP needs the event loop once more. */
const GOODBYES_MS = 40;

type Start = Extract<DaemonToWorker, { type: "start" }>;

/** A child of the daemon, spoken to over Node's IPC channel (daemon-ipc.ts). */
async function main(): Promise<void> {
  if (process.send === undefined) {
    process.stderr.write("The worker is started by the daemon and not by hand. Run `npm start`.\n");
    process.exit(1);
  }
  // Ctrl-C reaches the whole process group; the daemon decides what it means.
  process.on("SIGINT", () => undefined);
  // Without the daemon nobody may use this computer. Not exit(): it would wait for the compute
  // thread, which ONNX Runtime may hold for long.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  lowerPriority();
  collectRegularly();
  const signer = createSessionSigner();
  const throttle = new Throttle();
  const end = new DeclaredEnd(() => performance.now());
  const country = new DeclaredCountry();
  let stop: ((reason: string) => void) | null = null;
  process.on("message", (message) => {
    const parsed = daemonToWorker.safeParse(message);
    if (!parsed.success)
      return fail(
        new Error(`The daemon sent a message that this worker does not know: ${parsed.error.message}`),
      );
    switch (parsed.data.type) {
      case "ping":
        return tell({ type: "pong" });
      case "limits":
        return throttle.limit(parsed.data.limits);
      case "ends":
        return end.set(parsed.data.inMs);
      case "country":
        return country.set(parsed.data.country);
      case "stop":
        if (stop === null) process.exit(0);
        return stop(parsed.data.reason);
      case "start": {
        const started = start(parsed.data, signer, throttle, end, country);
        stop = (reason) => void started.then((leave) => leave(reason), fail);
        started.catch(fail);
      }
    }
  });
  setInterval(() => tell({ type: "traffic", use: throttle.takeUse() }), TRAFFIC_MS).unref();
  tell({ type: "sessionKey", sessionKey: signer.publicKey });
}

/** Builds the worker and lets it run; the result leaves politely. */
async function start(
  options: Start,
  signer: ReturnType<typeof createSessionSigner>,
  throttle: Throttle,
  end: DeclaredEnd,
  country: DeclaredCountry,
): Promise<(reason: string) => Promise<void>> {
  const {
    network,
    orchestratorUrl,
    access,
    folder,
    memoryFolder,
    laneFolder,
    localBlobs,
    delegation,
    threads,
    memoryBytes,
    workersHere,
    executionProvider,
    linkHost,
    hyperdhtOff,
  } = options;
  tell({
    type: "phase",
    phase: "starting",
    detail: "Looking at what is stored here.",
    stage: null,
    loading: null,
  });
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw diskFailure(error, folder);
  });
  const states = await StoredStates.open(join(folder, "snapshots"), memoryFolder, warn);
  const begun = await BegunStage.open(join(folder, "begun.json"));
  const outbox = await ReceiptOutbox.open(
    join(folder, "receipts.jsonl"),
    states.restorable().length > 0,
    warn,
  );
  const station = await LinkStation.open({
    host: linkHost,
    signer,
    hyperdhtOff,
    laneFolder: laneFolder === null ? null : new LaneFolder(laneFolder),
    onLink: (link) => arrivals.add(link),
  });
  const files = ["models", "corpus", "checkpoints"].map((name) => join(folder, name));
  const exchange = new BlobExchange(blobsIn(files));
  let control: Control | null = null;
  const peers = new Peers(
    station,
    throttle,
    (link) => exchange.join(link),
    () => control?.doubt(),
  );
  const web = new ReplicaWeb(station, signer.publicKey, throttle, (link) => exchange.join(link));
  const arrivals = new Arrivals((link, word) =>
    word.type === "resume" ? peers.accepted(link, word) : web.accepted(link),
  );
  const computesWith = { threads, executionProvider, niceness: COMPUTE_NICENESS };
  const compute = new Compute(computesWith);
  const exact = await rememberedExact(join(folder, "exact.json"), computesWith, () => holdsExact(compute));
  const route = new OrchestratorRoute(orchestratorUrl, access, delegation.body.hotkey);
  const worker = new TrainingWorker({
    network,
    route,
    folder,
    memoryFolder,
    localBlobs,
    signer,
    compute,
    states,
    begun,
    outbox,
    peers,
    web,
    exchange,
    throttle,
    memoryBytes,
    workersHere,
    onPhase: (phase) => {
      if (phase.phase === "training") settleHeap();
      tell({ type: "phase", ...phase });
    },
    onNote: (text) => tell({ type: "note", text }),
    onFatal: fail,
  });
  const toOrchestrator = new Control({
    route,
    delegation,
    signer,
    capabilities: {
      platform: process.platform,
      threads,
      memoryBytes: Math.min(totalmem(), memoryBytes ?? Infinity),
      executionProvider,
      exact,
    },
    linkAddress: dialable(station.address),
    otherAddresses: () => otherAddresses(station.address),
    throttle,
    onServices: (services) => station.offered(services),
    restorable: () => worker.restorable(),
    endsInMs: () => end.inMs,
    country: () => country.of,
    onInstruction: (instruction) =>
      instruction.type === "reach" ? desk.reach(instruction.reach) : worker.instruct(instruction),
    onConnection: (connected, detail) => worker.connection(connected, detail),
    onRefused: fail,
  });
  const desk = new LinkDesk({
    station,
    peers: { reports: () => [...peers.reports(), ...web.reports()] },
    tell,
    report: (status) => toOrchestrator.send({ type: "links", status }),
  });
  control = toOrchestrator;
  end.onChange = (endsInMs) => toOrchestrator.send({ type: "ends", endsInMs });
  country.onChange = (of) => toOrchestrator.send({ type: "country", country: of });
  watchStandstill((ms) => toOrchestrator.send({ type: "stood", ms }));
  worker.start(toOrchestrator);
  // Else it would be kept by an orderly end alone, and who is killed each time would compile all of it each time.
  flushCompileCache();
  return async (reason) => {
    // The last resort when the compute thread is inside a long run: the daemon would do it next.
    setTimeout(() => process.kill(process.pid, "SIGKILL"), DRAIN_MS + 100);
    await toOrchestrator.close(reason, DRAIN_MS / 3);
    await worker.drain();
    desk.stop();
    arrivals.close(reason);
    peers.close(reason);
    web.close(reason);
    station.close();
    if (!station.usesUdp) process.exit(0);
    setTimeout(() => process.exit(0), GOODBYES_MS);
  };
}

function tell(message: WorkerToDaemon): void {
  // The daemon may be gone; `disconnect` says so next.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** Not fatal, but somebody should be able to read it: the daemon keeps this process's stderr. */
function warn({ code, message }: Failure): void {
  process.stderr.write(`worker: ${code}: ${message}\n`);
  tell({ type: "note", text: message.slice(0, 400) });
}

let isFailing = false;

function fail(error: unknown): void {
  if (isFailing) return;
  isFailing = true;
  const { code, message } = failureBody(error);
  if (code === "internal" && error instanceof Error) process.stderr.write(`worker: ${error.stack}\n`);
  // exit() would wait for a compute thread that hangs, for ever.
  const exit = (): void =>
    void (code === "compute-lost" ? process.kill(process.pid, "SIGKILL") : process.exit(1));
  setTimeout(exit, 200);
  process.send?.({ type: "failed", code, message } satisfies WorkerToDaemon, undefined, undefined, exit);
}

function lowerPriority(): void {
  try {
    setPriority(NICENESS);
  } catch {
    // Some sandboxes forbid it.
  }
}

await main();
