import { daemonToOrchestrator } from "../src-protocol/daemon-ipc.ts";
import type { DaemonToOrchestrator, OrchestratorToDaemon } from "../src-protocol/daemon-ipc.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { runSpec } from "../src-protocol/model.ts";
import { startOrchestrator } from "./orchestrator.ts";
import type { Orchestrator } from "./orchestrator.ts";

/** The orchestrator as a child process of the daemon: it hears `start` and `stop` over IPC. */

/** The embedded network has no subnet. */
const EMBEDDED_NETUID = 0;

let orchestrator: Orchestrator | null = null;
let isAlone = false;
let state: "idle" | "started" | "ending" = "idle";

// Ctrl-C reaches the whole process group; the daemon decides when this one ends.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => void stop());
// The daemon is gone: nobody is left to serve. What was acknowledged is on disk.
process.on("disconnect", () => {
  // The nodes of a network on this computer are gone with it; others would go on.
  if (isAlone) orchestrator?.host.close();
  process.exit(0);
});
process.on("uncaughtException", (error) => fail(error));
process.on("unhandledRejection", (error) => fail(error));
process.on("message", (value) => {
  const parsed = daemonToOrchestrator.safeParse(value);
  if (!parsed.success)
    return fail(
      new Failure("bad-message", `The daemon's message was not understood: ${parsed.error.message}`),
    );
  switch (parsed.data.type) {
    case "ping":
      return tell({ type: "pong" });
    case "stop":
      return void stop();
    case "start":
      return void start(parsed.data);
  }
});

if (process.send === undefined) {
  process.stderr.write("The orchestrator is started by the daemon: run `npm start`.\n");
  process.exit(2);
}

/** Of a run's files, between two words about it. */
const TELL_BYTES = 100e6;
let toldBytes = 0;

async function start(message: DaemonToOrchestrator & { type: "start" }): Promise<void> {
  if (state !== "idle")
    return fail(new Failure("already-started", "The orchestrator was told to start twice."));
  state = "started";
  try {
    const run = runSpec.safeParse(message.run);
    if (!run.success) {
      throw new Failure(
        "bad-run",
        `The run's description is not valid: ${run.error.issues[0]?.message ?? "unknown form"}.`,
      );
    }
    isAlone = message.served === null;
    const { network, folder, memoryFolder, host, port, corpusFile, modelFiles, payouts, served } = message;
    const raoPerTeraflop = BigInt(message.raoPerTeraflop);
    orchestrator = await startOrchestrator({
      network,
      netuid: EMBEDDED_NETUID,
      folder,
      memoryFolder,
      host,
      port,
      run: run.data,
      corpusFile,
      modelFiles,
      raoPerTeraflop,
      ...(message.replicas !== undefined && { replicas: message.replicas }),
      payouts,
      served,
      onReading: (bytes) => {
        if (bytes < toldBytes + TELL_BYTES) return;
        toldBytes = bytes;
        tell({ type: "reading", bytes });
      },
      onNotice: ({ code, message: text }) => tell({ type: "notice", code, message: text }),
      onLine: (line) => process.stderr.write(`${line}\n`),
      onBroken: fail,
    });
    if (isEnding()) await orchestrator.close();
    else tell({ type: "listening", url: orchestrator.url });
  } catch (error) {
    fail(error);
  }
  return undefined;
}

async function stop(): Promise<void> {
  if (state === "ending") return;
  state = "ending";
  try {
    await orchestrator?.close();
    process.exit(0);
  } catch (error) {
    report(error);
  }
}

function fail(error: unknown): void {
  if (state === "ending") return;
  state = "ending";
  report(error);
}

function report(error: unknown): void {
  tell({ type: "failed", ...failureBody(error) }, () => process.exit(1));
  // The daemon may be too busy to read it.
  setTimeout(() => process.exit(1), 1_000);
}

function isEnding(): boolean {
  return state === "ending";
}

function tell(message: OrchestratorToDaemon, sent: () => void = () => {}): void {
  if (process.send === undefined || !process.connected) sent();
  else process.send(message, undefined, undefined, sent);
}
