import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { runView } from "../src-protocol/api.ts";
import type { RunView } from "../src-protocol/api.ts";
import type { DaemonToOrchestrator, OrchestratorToDaemon } from "../src-protocol/daemon-ipc.ts";
import { TEST_NETWORK } from "../src-orchestrator/test-support/keys.test-support.ts";
import { testRun } from "../src-orchestrator/runs/fleet.test-support.ts";
import { sha256 } from "../src-protocol/signing.ts";

const TEXT = "Call me Ishmael. ".repeat(500);
const MAIN = join(import.meta.dirname, "..", "src-orchestrator", "main.ts");

export interface Flooded {
  readonly url: string;
  /** The run as it was shown last. */
  view(): RunView;
  /** A question over a connection that was there before, until its answer. */
  pingMs(): Promise<number>;
  rssMB(): number | null;
  stop(): Promise<void>;
}

/** The real orchestrator in a process of its own. */
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
    host: "127.0.0.1",
    port: 0,
    run: testRun({ steps: null, corpus }),
    corpusFile,
    modelFiles: [],
    raoPerTeraflop: "1000000",
    payouts: [],
    served: null,
  };
  child.send(start);
  const [said] = (await once(child, "message")) as [OrchestratorToDaemon];
  if (said.type !== "listening") throw new Error(`the orchestrator said ${JSON.stringify(said)}`);
  const watch = new WebSocket(`${said.url.replace("http", "ws")}/v1/watch`);
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
    url: said.url,
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
    async stop() {
      watch.terminate();
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
