import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { daemonToOrchestrator, orchestratorToDaemon } from "../../src-protocol/daemon-ipc.ts";
import { inviteAnswer, OPERATOR_FILE_NAME, operatorFile } from "../../src-protocol/operator.ts";
import { defaultCorpus } from "../runs/corpus.ts";
import { planRun } from "../runs/run-plan.ts";

const MAIN = join(import.meta.dirname, "..", "..", "src-orchestrator", "main.ts");

/** A network for others, in a folder and a process of its own. Whoever starts it must kill it. */
export interface ServedNetwork {
  readonly port: number;
  /** A new invitation, for so many owners. */
  invite(uses: number): Promise<string>;
  /** SIGKILL, as a power cut would; resolves when it is gone. */
  kill(): Promise<void>;
}

/** Serves the tiny model in two slices. @param port 0: any */
export async function serveNetwork(folder: string, port = 0): Promise<ServedNetwork> {
  const corpus = await defaultCorpus(join(folder, "corpus"));
  const child = fork(MAIN, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const listening = url(child);
  child.send(
    daemonToOrchestrator.parse({
      type: "start",
      network: "served",
      folder: join(folder, "network"),
      memoryFolder: null,
      host: "127.0.0.1",
      port,
      run: planRun({ corpus, size: "tiny", steps: null, workers: 2 }),
      corpusFile: corpus.file,
      modelFiles: [],
      raoPerTeraflop: "10000000",
      payouts: [],
      served: {
        name: "Maple Street",
        operator: "Ada",
        open: false,
        addresses: [{ host: "127.0.0.1", port: null }],
        certificate: null,
      },
    }),
  );
  return {
    port: Number(new URL(await listening).port),
    async invite(uses) {
      const desk = operatorFile.parse(
        JSON.parse(readFileSync(join(folder, "network", OPERATOR_FILE_NAME), "utf8")),
      );
      const response = await fetch(new URL("/invitations", desk.url), {
        method: "POST",
        headers: { authorization: `Bearer ${desk.token}`, "content-type": "application/json" },
        body: JSON.stringify({ uses, expiresInSeconds: null }),
      });
      return inviteAnswer.parse(await response.json()).invitation;
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    },
  };
}

function url(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`The orchestrator ended with ${code}.`)));
    child.on("message", (message) => {
      const said = orchestratorToDaemon.parse(message);
      if (said.type === "listening") resolve(said.url);
      if (said.type === "failed") reject(new Error(`${said.code}: ${said.message}`));
    });
  });
}
