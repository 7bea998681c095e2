import { join } from "node:path";
import type { Country } from "../../src-protocol/countries.ts";
import type { FailureBody } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { LineLimits, LineUse, TrafficState } from "../../src-protocol/line-limits.ts";
import type { LinkStatus } from "../../src-protocol/link-report.ts";
import type { ExecutionProvider } from "../../src-protocol/providers.ts";
import type { WorkLimits } from "../../src-protocol/rules.ts";
import { mayRun } from "../providers/card-workers.ts";
import { startChild } from "../children/child.ts";
import type { Sandbox } from "../children/child.ts";
import { type CoreShare, coreShare, ownCpus } from "./core-limits.ts";
import { ASIDE_MS, asideMs } from "../children/kept-child.ts";
import { isRefusal } from "../children/restart.ts";
import type { KeptState } from "../children/kept-child.ts";
import type { Log } from "../data-folder/log-file.ts";
import { leaveMemoryFolder, leaveLaneFolder, memoryFolder, laneFolder } from "./memory-folder.ts";
import { OwnerLine } from "./owner-line.ts";
import { OrchestratorProcess } from "./orchestrator-process.ts";
import type { OrchestratorSettings } from "./orchestrator-process.ts";
import type { ProcessList } from "./process-list.ts";
import type { ProcessPorts } from "../children/process-ports.ts";
import { WorkerProcess } from "./worker-process.ts";
import type { Member, WorkerPhase, WorkerSettings } from "./worker-process.ts";
import { ownWorkGroup } from "./work-group.ts";

const root = join(import.meta.dirname, "..", "..");
const ORCHESTRATOR = join(root, "src-orchestrator", "main.ts");
/** Set where the daemon is bundled (scripts/daemon-bundle.ts): its workers are, too. */
declare const TAH_WORKER: string | undefined;
const WORKER = typeof TAH_WORKER === "string" ? TAH_WORKER : join(root, "src-worker", "main.ts");

export interface SupervisorEvents {
  /** Where the orchestrator answers; null while it does not run. */
  onNetwork(url: string | null): void;
  /** A member's process or what it says it is doing has changed. */
  onMember(member: Member, state: KeptState, phase: WorkerPhase | null): void;
  /** How this computer's own worker reaches its neighbours; null: it has no links now. */
  onLinks(links: LinkStatus | null): void;
  /** What is allowed, and what all workers here have used. */
  onTraffic(traffic: TrafficState): void;
  /** Bytes that have gone over the computer's line since this was told last; what stays in the computer does not count. */
  onBytes(sent: number, received: number): void;
  /** What is wrong now, by process; null: that is over. */
  onProblem(process: string, problem: FailureBody | null): void;
  /** A worker has ended in a way that what it computes with may be the reason of. */
  onProviderFault(provider: ExecutionProvider, ending: string): void;
  /** Something worth a line for a person. */
  onNote(text: string): void;
  onProcesses(list: ProcessList): void;
}

/** What all workers here are held to, each to its share. */
export interface Held {
  readonly share: CoreShare;
  readonly workers: number;
  /** Of them, those that have a card to themselves. */
  readonly onCards: number;
  readonly memoryBytes: number | null;
}

const MEMORY_LOOK_MS = 2_000;

type HeldLimits = Pick<WorkLimits, "cores" | "quiet" | "memoryMegabytes">;

export interface SupervisorOptions {
  readonly network:
    | { readonly kind: "embedded"; readonly orchestrator: OrchestratorSettings }
    | { readonly kind: "remote"; readonly url: string; readonly others: readonly string[] };
  readonly worker: WorkerSettings;
  /** This computer's own first. */
  readonly members: readonly Member[];
  readonly log: Log;
  readonly events: SupervisorEvents;
}

/**
 * Starts and watches what one network runs on this computer: of the embedded one the orchestrator,
 * this computer's worker and its neighbours; of a joined one this computer's worker alone.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  /** Null: it runs elsewhere. */
  readonly #orchestrator: OrchestratorProcess | null;
  readonly #workers: readonly WorkerProcess[];
  readonly #line: OwnerLine;
  readonly #inMemory: string[] = [];
  readonly #laneFolder: string | null;
  #limits: HeldLimits | null = null;
  #share: CoreShare | null = null;
  #memoryWatch: NodeJS.Timeout | undefined;
  #working = false;
  #provider: ExecutionProvider = "cpu";
  #ending = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#orchestrator =
      options.network.kind === "remote" ? null : this.#orchestratorOf(options.network.orchestrator);
    this.#line = new OwnerLine({
      give: (name, limits) => this.#workers.find(({ member }) => member.name === name)?.limit(limits),
      onState: (state) => options.events.onTraffic(state),
      now: () => performance.now(),
    });
    const [first, second] = options.members;
    this.#laneFolder = first === undefined || second === undefined ? null : laneFolder(first.folder);
    this.#workers = options.members.map((member) => this.#worker(member));
  }

  /** Starts the orchestrator, where it runs here. Rejects with its own reason why it cannot run. */
  async start(): Promise<void> {
    if (this.#options.network.kind === "remote") this.#networkAt(this.#options.network.url);
    else await this.#orchestrator?.start();
  }

  /** The network has answered at another of its addresses: workers go there. */
  moved(url: string): void {
    if (!this.#ending) this.#networkAt(url);
  }

  /** Whether the workers shall run. Pausing frees their memory and cores; they go on from their snapshots. */
  setWorking(working: boolean, reason: string): void {
    if (this.#ending || this.#working === working) return;
    this.#working = working;
    if (working) this.#orchestrator?.retry();
    for (const worker of this.#workers) {
      if (!working) void worker.stop(reason);
      else if (mayRun(worker.member, this.#provider)) worker.start();
    }
  }

  /** When the owner's rules end the work that they allow now, ms from now; null: no end is known. */
  endIn(inMs: number | null): void {
    const at = inMs === null ? null : performance.now() + inMs;
    for (const worker of this.#workers) worker.endAt(at);
  }

  /** What the network may know of where this computer stands; null: nothing. */
  standsIn(country: Country | null): void {
    for (const worker of this.#workers) worker.standsIn(country);
  }

  /** What the owner allows all workers of this computer together; holds while they work. */
  limit(limits: LineLimits): void {
    this.#line.limit(limits);
  }

  /** How much of the processor all workers together may use. */
  hold(limits: HeldLimits): void {
    if (this.#ending) return;
    this.#limits = limits;
    const share = coreShare(limits, this.#options.worker.threads, this.#able().length, ownCpus());
    this.#share = share;
    ownWorkGroup().limit(limits, ownCpus().length);
    clearInterval(this.#memoryWatch);
    if (share.memoryBytes !== null)
      this.#memoryWatch = setInterval(() => void this.#memoryUse(), MEMORY_LOOK_MS).unref();
    for (const one of this.#workers) one.hold(share);
  }

  /** What its workers are held to, and what they hold of memory (bytes; null: not known); null: not told yet. */
  held(): Held | null {
    if (this.#share === null) return null;
    const able = this.#able();
    const onCards =
      this.#provider === "cuda" ? able.filter(({ member }) => member.environment !== undefined) : [];
    return {
      share: this.#share,
      workers: able.length,
      onCards: onCards.length,
      memoryBytes: this.#memoryUse(),
    };
  }

  /** Somebody asks for it: what was put aside is tried again at once. */
  retry(): void {
    if (this.#ending || !this.#working) return;
    this.#orchestrator?.retry();
    for (const worker of this.#able()) worker.start();
  }

  /** What this computer's own workers compute with; neighbours stand for other homes, which have no card of ours. */
  use(provider: ExecutionProvider): void {
    if (this.#ending) return;
    this.#provider = provider;
    const [own] = this.#options.members;
    for (const worker of this.#workers) {
      if (worker.member.hotkey !== own?.hotkey) continue;
      worker.use(provider);
      if (!mayRun(worker.member, provider)) void worker.stop("its card is not to be used");
      else if (this.#working && worker.member.onlyOnCard === true) worker.start();
    }
    // The processor is shared out among those that run.
    if (this.#limits !== null) this.hold(this.#limits);
  }

  /** Workers first, so that the orchestrator sees them leave. Resolves when no process is left. */
  async stop(reason: string): Promise<void> {
    this.#ending = true;
    clearInterval(this.#memoryWatch);
    await Promise.all(this.#workers.map((worker) => worker.stop(reason)));
    if (this.#laneFolder !== null) leaveLaneFolder(this.#laneFolder);
    await this.#orchestrator?.stop(reason);
    for (const folder of this.#inMemory) leaveMemoryFolder(folder);
  }

  /** By which the network knows this computer's own worker of now; null: there is none. */
  get ownKey(): SessionKey | null {
    return this.#workers[0]?.key ?? null;
  }

  /** Ends everything at once. */
  kill(): void {
    this.#ending = true;
    clearInterval(this.#memoryWatch);
    for (const worker of this.#workers) worker.kill();
    this.#orchestrator?.kill();
  }

  /** All that run while it works. */
  #able(): WorkerProcess[] {
    return this.#workers.filter(({ member }) => mayRun(member, this.#provider));
  }

  #memoryUse(): number | null {
    const uses = this.#workers.map((worker) => worker.lookAtMemory()).filter((bytes) => bytes !== null);
    return uses.length === 0 ? null : uses.reduce((sum, bytes) => sum + bytes, 0);
  }

  #networkAt(url: string | null): void {
    this.#options.events.onNetwork(url);
    for (const worker of this.#workers) worker.networkAt(url);
  }

  #memoryOf(folder: string): string | null {
    const inMemory = memoryFolder(folder);
    if (inMemory !== null) this.#inMemory.push(inMemory);
    return inMemory;
  }

  #orchestratorOf(settings: OrchestratorSettings): OrchestratorProcess {
    const ports = {
      ...this.#ports("orchestrator", ORCHESTRATOR),
      onUrl: (url: string | null) => this.#networkAt(url),
      onNote: (text: string) => this.#options.events.onNote(text),
    };
    return new OrchestratorProcess(settings, ports, this.#memoryOf(settings.folder));
  }

  #worker(member: Member): WorkerProcess {
    const { events, worker } = this.#options;
    // What the network on this computer keeps may be read where it lies.
    const { localBlobs } = worker;
    const inMemory = this.#memoryOf(member.folder);
    const sandbox = {
      read: localBlobs === undefined ? [] : [localBlobs],
      write: [member.folder, inMemory, this.#laneFolder].filter((path) => path !== null),
    };
    const ports = this.#ports(member.name, WORKER, sandbox, member.environment);
    const isOwn = member === this.#options.members[0];
    let state: KeptState = { kind: "stopped" };
    let phase: WorkerPhase | null = null;
    let told: Pick<LineUse, "sentBytes" | "receivedBytes"> = { sentBytes: 0, receivedBytes: 0 };
    return new WorkerProcess(
      member,
      { ...worker, workersHere: this.#options.members.length },
      {
        ...ports,
        onState: (next) => {
          state = next;
          if (next.kind !== "running" && next.kind !== "stopping") this.#line.ended(member.name);
          ports.onState(next);
          events.onMember(member, state, phase);
          if (next.kind === "restarting")
            events.onNote(`The ${member.name} process ended unexpectedly and is started again.`);
        },
        onPhase(next) {
          phase = next;
          if (next === null && isOwn) events.onLinks(null);
          events.onMember(member, state, phase);
        },
        onBegun: () => {
          told = { sentBytes: 0, receivedBytes: 0 };
          this.#line.began(member.name);
        },
        onTraffic: (use) => {
          this.#line.used(member.name, use);
          if (this.#options.network.kind === "embedded") return;
          events.onBytes(use.sentBytes - told.sentBytes, use.receivedBytes - told.receivedBytes);
          told = use;
        },
        onLinks(status) {
          if (isOwn) events.onLinks(status);
        },
        onTransportCrash: (sentence) => events.onNote(sentence),
        // A neighbour on this computer meets the same again: its owner reads it once.
        onNote: (text) => isOwn && events.onNote(text),
        onProviderFault: (provider, ending) => events.onProviderFault(provider, ending),
      },
      inMemory,
      this.#laneFolder,
    );
  }

  #ports(
    name: string,
    script: string,
    sandbox: Sandbox | null = null,
    environment: Member["environment"] = {},
  ): ProcessPorts {
    const { log } = this.#options;
    return {
      start: (events) => startChild(script, events, sandbox, environment),
      onLine: (line) => log.info({ process: name }, line),
      onStrange: () => log.warn({ process: name }, "a message that this version does not know"),
      onState: (state) => {
        log.info({ process: name, state }, "process");
        this.#tellProblem(name, state);
        this.#options.events.onProcesses(this.#processes());
      },
    };
  }

  #tellProblem(name: string, state: KeptState): void {
    if (state.kind === "running" || state.kind === "stopped") this.#options.events.onProblem(name, null);
    if (state.kind !== "aside") return;
    const { code, message } = state.crash;
    if (isRefusal(code))
      return this.#options.events.onProblem(name, {
        code,
        message: `${message} It is asked again every five minutes; resume to ask at once.`,
      });
    const every = asideMs(code) === ASIDE_MS ? "five minutes" : "half minute";
    this.#options.events.onProblem(name, {
      code,
      message: `The ${name} process keeps failing and was put aside: ${message} It is tried again every ${every}; resume to try at once.`,
    });
  }

  #processes(): ProcessList {
    return {
      daemon: process.pid,
      orchestrator: this.#orchestrator?.pid ?? null,
      workers: this.#workers.flatMap(({ member, pid }) => (pid === null ? [] : [{ name: member.name, pid }])),
    };
  }
}
