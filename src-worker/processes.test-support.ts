import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { DaemonToWorker, WorkerToDaemon } from "../src-protocol/daemon-ipc.ts";
import { workerToDaemon } from "../src-protocol/daemon-ipc.ts";
import type { SessionKey } from "../src-protocol/keys.ts";
import { ss58Address } from "../src-protocol/keys.ts";
import { TEST_NETWORK } from "./control/orchestrator.test-support.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

interface WorkerOptions {
  readonly url: string;
  readonly folder: string;
  /** Outlives the process as memory does; left out: there is none. */
  readonly memoryFolder?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
  readonly threads?: number;
}

/** A worker as the daemon starts it: a process of its own. */
export class WorkerProcess {
  readonly child: ChildProcess;
  readonly sessionKey: Promise<SessionKey>;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly said: WorkerToDaemon[] = [];

  constructor(options: WorkerOptions) {
    this.child = fork(MAIN, [], {
      env: { ...process.env, ...options.environment },
      execArgv: [],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.exited = new Promise((resolve) =>
      this.child.once("exit", (code, signal) => resolve({ code, signal })),
    );
    this.sessionKey = new Promise((resolve) => {
      this.child.on("message", (raw) => {
        const message = workerToDaemon.parse(raw);
        this.said.push(message);
        if (message.type !== "sessionKey") return;
        this.say(startMessage(message.sessionKey, options));
        resolve(message.sessionKey);
      });
    });
  }

  say(message: DaemonToWorker): void {
    this.child.send(message);
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }
}

function startMessage(
  key: SessionKey,
  { url, folder, memoryFolder, threads }: WorkerOptions,
): DaemonToWorker {
  return {
    type: "start",
    network: TEST_NETWORK,
    orchestratorUrl: url,
    access: null,
    folder,
    memoryFolder: memoryFolder ?? null,
    laneFolder: null,
    localBlobs: null,
    threads: threads ?? 1,
    memoryBytes: null,
    workersHere: 1,
    executionProvider: "cpu",
    linkHost: "127.0.0.1",
    hyperdhtOff: null,
    delegation: {
      body: {
        network: TEST_NETWORK,
        hotkey: ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
        sessionKey: key,
        notBefore: 0,
        notAfter: 8_640_000_000_000,
      },
      signature: `0x${"00".repeat(64)}`,
    },
  };
}
