import { isDeepStrictEqual } from "node:util";
import type { Country } from "../../src-protocol/countries.ts";
import { daemonToWorker, workerToDaemon } from "../../src-protocol/daemon-ipc.ts";
import type { WorkerToDaemon } from "../../src-protocol/daemon-ipc.ts";
import { MOST_ENDS_IN_MS } from "../../src-protocol/control.ts";
import type { NetworkAccess } from "../../src-protocol/invitation.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { NO_LIMITS } from "../../src-protocol/line-limits.ts";
import type { LineLimits, LineUse } from "../../src-protocol/line-limits.ts";
import type { LinkStatus } from "../../src-protocol/link-report.ts";
import type { ExecutionProvider } from "../../src-protocol/providers.ts";
import { type CoreShare, holdTo } from "./core-limits.ts";
import { KeptChild } from "../children/kept-child.ts";
import type { KeptState } from "../children/kept-child.ts";
import { memoryLimitText, memoryUse } from "./memory-use.ts";
import { keptPorts, pidOf } from "../children/process-ports.ts";
import type { ProcessPorts } from "../children/process-ports.ts";
import { isTransportCrash, TransportCrashes } from "./transport-crashes.ts";
import { ownWorkGroup } from "./work-group.ts";
import { delegate } from "../wallet/wallet.ts";
import type { Hotkey } from "../wallet/wallet.ts";

const DELEGATION_DAYS = 30;
/** Of a process's last words: enough for an assertion and where it failed. */
const LINES_KEPT = 8;

/** One worker and the hotkey that it earns for. */
export interface Member {
  /** `worker`, `worker N` on another card, or `neighbour N`. */
  readonly name: string;
  readonly hotkey: Hotkey;
  readonly folder: string;
  /** What its process is told besides, as which card it may see. */
  readonly environment?: Readonly<Record<string, string>>;
  /** It works only while a card of its own computes. */
  readonly onlyOnCard?: boolean;
}

export interface WorkerSettings {
  readonly network: string;
  /** Null: the network of this computer. */
  readonly access: NetworkAccess | null;
  readonly threads: number;
  /** Of this daemon; left out: this one alone. */
  readonly workersHere?: number;
  /** Where the network keeps its blobs, if that is on this computer. */
  readonly localBlobs?: string;
  /** The network's time, by which delegations are dated; left out: this computer's. */
  readonly now?: () => number;
}

export type WorkerPhase = Extract<WorkerToDaemon, { type: "phase" }>;

export interface WorkerPorts extends ProcessPorts {
  /** What it says it is doing; null: it has not said yet. */
  onPhase(phase: WorkerPhase | null): void;
  /** Its links as they are now. */
  onLinks?(status: LinkStatus): void;
  /** A process of it has begun: now it can be told its share of the owner's limits. */
  onBegun?(): void;
  /** What it has sent and received. */
  onTraffic?(use: LineUse): void;
  /** Something that the owner should read once. */
  onNote?(text: string): void;
  /** The native code of the links' transport has ended it; one sentence for people. */
  onTransportCrash?(sentence: string): void;
  /** It has ended in a way that what it computes with may be the reason of. */
  onProviderFault(provider: ExecutionProvider, ending: string): void;
}

/** The worker's own words for it; an end by a signal but ours is one too. */
const PROVIDER_FAULTS: ReadonlySet<string> = new Set(["compute-failed", "compute-lost", "graph-refused"]);

/** A worker process: it makes a session key, the member's hotkey delegates to it, then it works. */
export class WorkerProcess {
  readonly member: Member;
  readonly #settings: WorkerSettings;
  readonly #memoryFolder: string | null;
  readonly #laneFolder: string | null;
  readonly #ports: WorkerPorts;
  readonly #child: KeptChild;
  #url: string | null = null;
  /** Where the process of now was sent to. */
  #sentTo: string | null = null;
  /** Of a process that waits for its `start`. */
  #sessionKey: SessionKey | null = null;
  #key: SessionKey | null = null;
  #wanted = false;
  #provider: ExecutionProvider = "cpu";
  /** What the process of now was told to compute with. */
  #computesWith: ExecutionProvider = "cpu";
  /** Null: all that its settings say. */
  #share: CoreShare | null = null;
  /** What the process of now was told. */
  #limits: LineLimits = NO_LIMITS;
  /** When its work ends by the owner's rules, by `performance.now`; null: no end is known. */
  #endsAt: number | null = null;
  #country: Country | null = null;
  readonly #transportCrashes = new TransportCrashes();
  /** Of the process of now: it has a link over HyperDHT, and what it wrote last. */
  #overHyperdht = false;
  #lines: string[] = [];

  /** `memoryFolder`, `laneFolder`: of its own and of all workers here, in a file system that lies in memory; null: there is none. */
  constructor(
    member: Member,
    settings: WorkerSettings,
    ports: WorkerPorts,
    memoryFolder: string | null = null,
    laneFolder: string | null = null,
  ) {
    this.member = member;
    this.#settings = settings;
    this.#memoryFolder = memoryFolder;
    this.#laneFolder = laneFolder;
    this.#ports = ports;
    this.#child = new KeptChild(
      keptPorts(
        {
          ...ports,
          onLine: (line) => {
            this.#lines = [...this.#lines, line].slice(-LINES_KEPT);
            ports.onLine(line);
          },
        },
        (message) => this.#receive(message),
        (state) => this.#state(state),
      ),
    );
  }

  /** Of the process of now, by which the network knows this computer; null: there is none. */
  get key(): SessionKey | null {
    return this.#key;
  }

  get pid(): number | null {
    return pidOf(this.#child.state);
  }

  start(): void {
    this.#wanted = true;
    this.#child.start();
  }

  stop(reason: string): Promise<void> {
    this.#wanted = false;
    return this.#child.stop(reason);
  }

  kill(): void {
    this.#wanted = false;
    this.#child.kill();
  }

  /** Where the orchestrator answers; null: it does not, and the worker tries again by itself. */
  networkAt(url: string | null): void {
    this.#url = url;
    if (url === null) return;
    if (this.#sentTo !== null && this.#sentTo !== url) void this.#renew("the network has moved");
    else this.#begin();
  }

  /** How much of the processor it may use from now on; a process that was told otherwise is started again. */
  hold(share: CoreShare): void {
    if (isDeepStrictEqual(share, this.#share)) return;
    this.#share = share;
    if (this.#sentTo !== null) void this.#renew("it may use another share of the processor from now on");
  }

  /** What it and all it has started hold of memory, in bytes; above what it may, it is ended. Null: not known. */
  lookAtMemory(): number | null {
    const used = this.pid === null ? null : memoryUse(this.pid);
    const allowed = this.#share?.memoryBytes ?? null;
    if (used !== null && allowed !== null && used > allowed)
      this.#child.fail("memory-limit", memoryLimitText(used, allowed));
    return used;
  }

  /** What to compute with from now on; a process that uses something else is started again. */
  use(provider: ExecutionProvider): void {
    this.#provider = provider;
    if (this.#sentTo !== null && this.#computesWith !== provider)
      void this.#renew("it computes with something else from now on");
  }

  /** Its share of what the owner allows, from now on. */
  limit(limits: LineLimits): void {
    const { uploadMbit, downloadMbit } = this.#limits;
    if (limits.uploadMbit === uploadMbit && limits.downloadMbit === downloadMbit) return;
    this.#limits = limits;
    this.#child.send(daemonToWorker.parse({ type: "limits", limits }));
  }

  /** When its work ends by the owner's rules, by `performance.now`: the network has others in its place by then. */
  endAt(endsAt: number | null): void {
    const before = this.#endsAt;
    // The same end, said again, is told by a wall clock and so never quite the same.
    const isSame = before === null || endsAt === null ? before === endsAt : Math.abs(before - endsAt) < 1_000;
    if (isSame) return;
    this.#endsAt = endsAt;
    this.#tellEnd();
  }

  #tellEnd(): void {
    const inMs =
      this.#endsAt === null ? null : Math.min(MOST_ENDS_IN_MS, Math.max(0, this.#endsAt - performance.now()));
    this.#child.send(daemonToWorker.parse({ type: "ends", inMs }));
  }

  /** What the network may know of where this computer stands, from now on; null: nothing. */
  standsIn(country: Country | null): void {
    if (country === this.#country) return;
    this.#country = country;
    this.#tellCountry();
  }

  #tellCountry(): void {
    this.#child.send(daemonToWorker.parse({ type: "country", country: this.#country }));
  }

  async #renew(reason: string): Promise<void> {
    await this.#child.stop(reason);
    if (this.#wanted) this.#child.start();
  }

  /** As soon as both are known: the session key and the orchestrator's address. */
  #begin(): void {
    if (this.#sessionKey === null || this.#url === null) return;
    const { network, access, localBlobs = null, workersHere = 1, now = Date.now } = this.#settings;
    const threads = this.#share?.threads ?? this.#settings.threads;
    const sessionKey = this.#sessionKey;
    this.#sessionKey = null;
    this.#sentTo = this.#url;
    this.#computesWith = this.#provider;
    this.#child.send(
      daemonToWorker.parse({
        type: "start",
        network,
        orchestratorUrl: this.#url,
        access,
        folder: this.member.folder,
        memoryFolder: this.#memoryFolder,
        laneFolder: this.#laneFolder,
        localBlobs,
        delegation: delegate(this.member.hotkey, {
          network,
          sessionKey,
          now: now(),
          days: DELEGATION_DAYS,
        }),
        threads,
        memoryBytes: this.#share?.memoryBytes ?? null,
        workersHere,
        executionProvider: this.#provider,
        // The embedded network stays on this computer; neighbours of another one come from outside.
        linkHost: access === null ? "127.0.0.1" : "0.0.0.0",
        hyperdhtOff: this.#transportCrashes.off(performance.now()),
      }),
    );
  }

  #receive(message: unknown): void {
    const parsed = workerToDaemon.safeParse(message);
    if (!parsed.success) return this.#ports.onStrange();
    switch (parsed.data.type) {
      case "sessionKey":
        this.#sessionKey = parsed.data.sessionKey;
        this.#key = parsed.data.sessionKey;
        this.#limits = NO_LIMITS;
        if (this.#endsAt !== null) this.#tellEnd();
        if (this.#country !== null) this.#tellCountry();
        this.#ports.onBegun?.();
        return this.#begin();
      case "phase":
        // Threads that it has started meanwhile are held too.
        if (this.#share !== null && this.pid !== null) {
          holdTo(this.pid, this.#share);
          ownWorkGroup().take(this.pid);
        }
        return this.#ports.onPhase(parsed.data);
      case "links": {
        const { status } = parsed.data;
        this.#overHyperdht = status.links.some(({ transport }) => transport === "hyperdht");
        return this.#ports.onLinks?.(status);
      }
      case "traffic":
        if (this.#share?.quiet === true && this.pid !== null) holdTo(this.pid, this.#share);
        return this.#ports.onTraffic?.(parsed.data.use);
      case "note":
        return this.#ports.onNote?.(parsed.data.text);
      case "pong":
        return undefined;
      case "failed":
        return this.#child.failing(parsed.data.code, parsed.data.message);
      default:
        return parsed.data satisfies never;
    }
  }

  #state(state: KeptState): void {
    if (state.kind === "running") return;
    const atWork = this.#sentTo !== null;
    this.#sessionKey = null;
    this.#sentTo = null;
    this.#ports.onPhase(null);
    const overHyperdht = this.#overHyperdht;
    const lines = this.#lines;
    this.#overHyperdht = false;
    this.#lines = [];
    if (!atWork || (state.kind !== "restarting" && state.kind !== "aside")) return;
    const { code } = state.crash;
    if (isTransportCrash({ code, overHyperdht, provider: this.#computesWith, lines }))
      return this.#ports.onTransportCrash?.(this.#transportCrashes.crashed(performance.now()));
    const isFault = PROVIDER_FAULTS.has(code) || (code.startsWith("signal-") && code !== "signal-SIGKILL");
    if (isFault) this.#ports.onProviderFault(this.#computesWith, code);
  }
}
