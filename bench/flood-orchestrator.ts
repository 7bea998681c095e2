import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { runView } from "../src-protocol/api.ts";
import type { RunView } from "../src-protocol/api.ts";
import type {
  DaemonToOrchestrator,
  OrchestratorToDaemon,
  ServedNetwork,
} from "../src-protocol/daemon-ipc.ts";
import { Failure } from "../src-protocol/failure.ts";
import { TEST_NETWORK } from "../src-orchestrator/test-support/keys.test-support.ts";
import { OperatorClient } from "../src-cli/operator-client.ts";
import { testRun } from "../src-orchestrator/runs/fleet.test-support.ts";
import { NETWORK_HEADERS } from "../src-protocol/network-card.ts";
import { parseInvitation } from "../src-protocol/invitation.ts";
import { sha256 } from "../src-protocol/signing.ts";

const TEXT = "Call me Ishmael. ".repeat(500);
const MAIN = join(import.meta.dirname, "..", "src-orchestrator", "main.ts");

export interface Flooded {
  readonly url: string;
  /** The line that lets anybody of this bench in. */
  readonly invitation: string;
  /** The run as it was shown last. */
  view(): RunView;
  /** A question over a connection that was there before, until its answer. */
  pingMs(): Promise<number>;
  rssMB(): number | null;
  /** Processor time until now. */
  cpuSeconds(): number | null;
  stop(): Promise<void>;
}

/** Where the flood is made, it is somebody else's address: loopback's own would have other limits. */
const HOST = "0.0.0.0";
/** Three nodes, and newcomers. */
const USES = 100;
const SERVED: ServedNetwork = {
  name: "Flooded",
  operator: "",
  open: false,
  page: false,
  addresses: [{ host: "127.0.0.1", port: null }],
  certificate: null,
};

/** The real orchestrator in a process of its own, as an operator serves it: over TLS, for those who were invited. */
export async function startFlooded(): Promise<Flooded> {
  const folder = mkdtempSync(join(tmpdir(), "tah-flood-"));
  const corpusFile = join(folder, "corpus.txt");
  writeFileSync(corpusFile, TEXT);
  const corpus = { name: "Moby Dick", sha256: sha256(TEXT), bytes: TEXT.length, tokenBytes: 1 as const };
  const child = fork(MAIN, { stdio: ["ignore", "ignore", "inherit", "ipc"], execArgv: [] });
  const start: DaemonToOrchestrator = {
    type: "start",
    network: TEST_NETWORK,
    folder: join(folder, "network"),
    memoryFolder: null,
    host: HOST,
    port: 0,
    run: testRun({ steps: null, corpus }),
    corpusFile,
    modelFiles: [],
    raoPerTeraflop: "1000000",
    // The honest nodes of this test hold whole stages.
    replicas: 1,
    payouts: [],
    served: SERVED,
  };
  child.send(start);
  const [said] = (await once(child, "message")) as [OrchestratorToDaemon];
  if (said.type !== "listening") throw new Error(`the orchestrator said ${JSON.stringify(said)}`);
  const url = `https://127.0.0.1:${new URL(said.url).port}`;
  const { invitation } = await OperatorClient.of(folder).invite({ uses: USES, expiresInSeconds: null });
  const headers = { [NETWORK_HEADERS.token]: tokenOf(invitation) };
  const watch = new WebSocket(`${url.replace("http", "ws")}/v1/watch`, {
    rejectUnauthorized: false,
    headers,
  });
  const first = Promise.withResolvers<RunView>();
  let latest: RunView | null = null;
  watch.on("message", (data) => {
    const message = JSON.parse(String(data)) as { type: string; run?: unknown };
    if (message.type !== "run") return;
    latest = runView.parse(message.run);
    first.resolve(latest);
  });
  const shown = await first.promise;
  return {
    url,
    invitation,
    view: () => latest ?? shown,
    async pingMs() {
      const at = performance.now();
      const answered = once(watch, "pong");
      watch.ping();
      await answered;
      return performance.now() - at;
    },
    rssMB() {
      if (process.platform !== "linux" || child.pid === undefined) return null;
      const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1];
      return kilobytes === undefined ? null : Number(kilobytes) / 1024;
    },
    cpuSeconds() {
      if (process.platform !== "linux" || child.pid === undefined) return null;
      // proc_pid_stat(5): fields 14 and 15, in hundredths of a second.
      const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ");
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    async stop() {
      watch.terminate();
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What whoever is invited shows. */
export function tokenOf(invitation: string): string {
  const parsed = parseInvitation(invitation, Date.now());
  if (parsed instanceof Failure) throw parsed;
  return parsed.token ?? "";
}
