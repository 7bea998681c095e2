import { daemonToOrchestrator, orchestratorToDaemon } from "../../src-protocol/daemon-ipc.ts";
import type { ServedNetwork } from "../../src-protocol/daemon-ipc.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { RunFile } from "../../src-protocol/run-file.ts";
import { KeptChild } from "../children/kept-child.ts";
import type { KeptState } from "../children/kept-child.ts";
import { keptPorts, pidOf } from "../children/process-ports.ts";
import type { ProcessPorts } from "../children/process-ports.ts";

/** It writes its books before it ends. */
const GRACE_MS = 2_000;
/** Without an answer, and without a word of what it reads meanwhile. */
const START_MS = 30_000;

export interface OrchestratorSettings extends RunFile {
  readonly network: string;
  /** Its data folder. */
  readonly folder: string;
  readonly raoPerTeraflop: string;
  /** How many computers may hold one stage; left out: one. */
  readonly replicas?: number;
  /** Where the owner is paid to. */
  readonly payouts: readonly { readonly hotkey: Ss58Address; readonly coldkey: Ss58Address }[];
  /** Left out: loopback, and any port. */
  readonly host?: string;
  readonly port?: number;
  /** Left out: for this computer alone. */
  readonly served?: ServedNetwork;
}

export interface OrchestratorPorts extends ProcessPorts {
  /** Where it answers from now on; null: it does not. */
  onUrl(url: string | null): void;
  /** A sentence of its own that the owner should read. */
  onNote(text: string): void;
}

/** The embedded network's orchestrator: one process, started again when it ends by itself. */
export class OrchestratorProcess {
  readonly #settings: OrchestratorSettings;
  readonly #memoryFolder: string | null;
  readonly #ports: OrchestratorPorts;
  readonly #child: KeptChild;
  #url: string | null = null;
  /** Kept over restarts, so that the workers find it again. */
  #port: number;
  #firstAnswer: PromiseWithResolvers<string> | null = null;
  #startTimer: NodeJS.Timeout | null = null;

  /** `memoryFolder`: of its own, in a file system that lies in memory; null: there is none. */
  constructor(settings: OrchestratorSettings, ports: OrchestratorPorts, memoryFolder: string | null = null) {
    this.#settings = settings;
    this.#memoryFolder = memoryFolder;
    this.#port = settings.port ?? 0;
    this.#ports = ports;
    this.#child = new KeptChild(
      keptPorts(
        ports,
        (message) => this.#receive(message),
        (state) => this.#state(state),
      ),
      GRACE_MS,
    );
  }

  get pid(): number | null {
    return pidOf(this.#child.state);
  }

  /** Resolves with its address; rejects with its own reason why it cannot run. */
  async start(): Promise<string> {
    const answer = Promise.withResolvers<string>();
    this.#firstAnswer = answer;
    const timer = setTimeout(() => answer.reject(tooSlow()), START_MS);
    this.#startTimer = timer;
    this.#child.start();
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#startTimer = null;
      this.#firstAnswer = null;
    }
  }

  /** Tries again when it kept failing and was put aside. */
  retry(): void {
    this.#child.start();
  }

  stop(reason: string): Promise<void> {
    // It may have been on its way: then whoever waits for it waits no longer.
    this.#firstAnswer?.reject(new Failure("network-stopped", `The embedded network was stopped: ${reason}.`));
    return this.#child.stop(reason);
  }

  kill(): void {
    this.#child.kill();
  }

  #state(state: KeptState): void {
    if (state.kind === "running") {
      const start = {
        type: "start",
        host: "127.0.0.1",
        served: null,
        memoryFolder: this.#memoryFolder,
        ...this.#settings,
        port: this.#port,
      };
      this.#child.send(daemonToOrchestrator.parse(start));
      return;
    }
    this.#tellUrl(null);
    if (state.kind === "aside") this.#firstAnswer?.reject(new Failure(state.crash.code, state.crash.message));
  }

  #receive(message: unknown): void {
    const parsed = orchestratorToDaemon.safeParse(message);
    if (!parsed.success) return this.#ports.onStrange();
    switch (parsed.data.type) {
      case "listening":
        this.#port = Number(new URL(parsed.data.url).port);
        this.#tellUrl(parsed.data.url);
        return this.#firstAnswer?.resolve(parsed.data.url);
      case "reading":
        this.#startTimer?.refresh();
        return undefined;
      case "pong":
        return undefined;
      case "notice":
        return this.#ports.onNote(parsed.data.message);
      case "failed":
        // Its old port may have been taken meanwhile: then any other will do.
        this.#port = this.#settings.port ?? 0;
        this.#child.failing(parsed.data.code, parsed.data.message);
        return this.#firstAnswer?.reject(new Failure(parsed.data.code, parsed.data.message));
      default:
        return parsed.data satisfies never;
    }
  }

  #tellUrl(url: string | null): void {
    if (url === this.#url) return;
    this.#url = url;
    this.#ports.onUrl(url);
  }
}

function tooSlow(): Failure {
  return new Failure(
    "network-did-not-start",
    "The embedded network did not start in 30 seconds. Look into daemon.log in the data folder, then start again.",
  );
}
