import { parseArgs } from "node:util";
import { join, resolve } from "node:path";
import { servedNetwork } from "../src-protocol/daemon-ipc.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { AUTO, readCodecs } from "../src-protocol/link-codecs.ts";
import { payerPlan } from "../src-protocol/payer-ipc.ts";
import { MODEL_SIZES, dealtSteps } from "../src-protocol/run-size.ts";
import type { Dealt, ModelSize } from "../src-protocol/run-size.ts";
import { serveToCli } from "../src-protocol/serve-ipc.ts";
import type { ServeMessage } from "../src-protocol/serve-ipc.ts";
import { PayerProcess } from "./payer/payer-process.ts";
import { startChild } from "./children/child.ts";
import { homeFailure, openHome } from "./data-folder/home.ts";
import type { Home } from "./data-folder/home.ts";
import { lockHome } from "./data-folder/lock.ts";
import { openLog } from "./data-folder/log-file.ts";
import type { Log } from "./data-folder/log-file.ts";
import { OrchestratorProcess } from "./supervision/orchestrator-process.ts";
import { DataReading } from "./runs/data-reading.ts";
import { runJob } from "./runs/run-job.ts";
import { keptCodecs } from "./runs/kept-codecs.ts";
import { keptDealing } from "./runs/kept-dealing.ts";
import { VERSION } from "./version.ts";

/**
 * A network for others, in the foreground: the child of `tah network serve`, which reads the options,
 * prints, and hands signals on. It keeps the orchestrator running and writes the log.
 */
const ORCHESTRATOR = join(import.meta.dirname, "..", "src-orchestrator", "main.ts");
/** The name matters only for a folder of this computer's own network: a served one is named by its key. */
const UNNAMED = "served";
const SAY_EVERY_MS = 2_000;
/** Test units: one for 1e14 counted floating-point operations. */
const RAO_PER_TERAFLOP = "10000000";

const { values } = parseArgs({
  options: {
    home: { type: "string" },
    host: { type: "string" },
    port: { type: "string" },
    served: { type: "string" },
    run: { type: "string" },
    data: { type: "string" },
    model: { type: "string" },
    steps: { type: "string" },
    stages: { type: "string" },
    exact: { type: "boolean" },
    /** What the operator says of each, and what is best for a run that begins. */
    codec: { type: "string" },
    "chosen-codec": { type: "string" },
    /** JSON of how steps are dealt. */
    dealt: { type: "string" },
    "chosen-dealt": { type: "string" },
    /** JSON of what pays claims on a real chain, and for how much work how much. */
    payer: { type: "string" },
    "rao-per-teraflop": { type: "string" },
  },
});

const { promise: wanted, resolve: end } = Promise.withResolvers<void>();
for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.on(signal, () => end());
// Whoever started it is gone, in whatever way.
process.on("disconnect", () => end());

try {
  await serve();
  tell({ type: "stopped" });
  process.exit(0);
} catch (error) {
  if (error instanceof Failure && error.code === "interrupted")
    tell({ type: "stopped" }, () => process.exit(0));
  else tell({ type: "failed", ...failureBody(error) }, () => process.exit(1));
  setTimeout(() => process.exit(1), 1_000);
}

async function serve(): Promise<void> {
  const home = openHome(resolve(values.home ?? ""));
  const lock = lockHome(home);
  const { log, close } = openLog(join(home.path, "network.log"));
  log.info({ version: VERSION, node: process.version, options: values }, "start");
  const model = (values.model ?? "default") as ModelSize;
  const codec = values.codec ?? AUTO;
  if (!Object.hasOwn(MODEL_SIZES, model)) throw new Failure("bad-option", `There is no model "${model}".`);
  let saidAt = performance.now();
  const reading = new DataReading({
    isWorking: () => true,
    show: (progress) => {
      if (progress === null || performance.now() - saidAt < SAY_EVERY_MS) return;
      saidAt = performance.now();
      tell({ type: "reading", progress });
    },
    now: () => performance.now(),
  });
  void wanted.then(() => reading.stop());
  const orchestrator = new OrchestratorProcess(
    {
      network: UNNAMED,
      folder: home.network,
      ...(await runJob(
        {
          runFile: values.run ?? null,
          data: values.data ?? null,
          model,
          steps: values.steps === undefined ? null : Number(values.steps),
          exact: values.exact === true,
          codecs: (plain) =>
            keptCodecs(home, plain, {
              said: codec === AUTO ? null : readCodecs(codec),
              chosen: readCodecs(values["chosen-codec"] ?? AUTO),
            }),
          dealt: (usual) =>
            keptDealing(home, usual, {
              said: dealtOrNull(values.dealt),
              chosen: dealtOrNull(values["chosen-dealt"]),
            }),
        },
        home.corpus,
        Number(values.stages ?? "3"),
        (files) => log.info({ files }, "the data"),
        reading,
      )),
      raoPerTeraflop: values["rao-per-teraflop"] ?? RAO_PER_TERAFLOP,
      payouts: [],
      host: values.host ?? "0.0.0.0",
      port: Number(values.port ?? "0"),
      served: servedNetwork.parse(JSON.parse(values.served ?? "{}")),
    },
    {
      start: (events) => startChild(ORCHESTRATOR, events),
      onLine: (line) => log.info({ process: "orchestrator" }, line),
      onStrange: () => log.warn({ process: "orchestrator" }, "a message that this version does not know"),
      onState(state) {
        log.info({ process: "orchestrator", state }, "process");
        if (state.kind === "restarting" || state.kind === "aside")
          tell({ type: "trouble", code: state.crash.code, message: state.crash.message });
      },
      onNote(text) {
        log.warn({ process: "orchestrator" }, text);
        tell({ type: "note", text });
      },
      onUrl(url) {
        if (url !== null)
          tell({ type: "listening", url, folder: home.network, log: join(home.path, "network.log") });
      },
    },
  );
  const payer = values.payer === undefined ? null : payerFor(values.payer, home, log);
  try {
    const started = orchestrator.start();
    await Promise.race([started, wanted]);
    payer?.start();
    await wanted;
    started.catch(() => {});
  } catch (error) {
    log.error({ err: error }, "the network could not be served");
    throw error instanceof Failure ? error : homeFailure(home.path, error);
  } finally {
    await payer?.stop("the network ends");
    await orchestrator.stop("the network ends");
    log.info("stopped");
    close();
    lock.release();
  }
}

/** Its wallet, its chain and its limits are the operator's; an unreachable chain stops nothing but the pay. */
function payerFor(words: string, home: Home, log: Log): PayerProcess {
  const given = payerPlan.omit({ home: true, networkFolder: true }).parse(JSON.parse(words));
  return new PayerProcess(
    { ...given, home: home.path, networkFolder: home.network },
    {
      onLine: (line) => log.info({ process: "payer" }, line),
      onState: (state) => log.info({ process: "payer", state }, "process"),
      note(text) {
        log.warn({ process: "payer" }, text);
        tell({ type: "note", text });
      },
    },
  );
}

function dealtOrNull(text: string | undefined): Dealt | null {
  return text === undefined ? null : dealtSteps.parse(JSON.parse(text));
}

function tell(message: ServeMessage, sent: () => void = () => {}): void {
  if (process.send === undefined || !process.connected) sent();
  else process.send(serveToCli.parse(message), undefined, undefined, sent);
}
