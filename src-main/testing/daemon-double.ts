import { EventEmitter } from "node:events";
import { apiRequest, METHODS, type ApiFile, type ApiMessage } from "../../src-protocol/methods.ts";
import { diff, type Json } from "../../src-protocol/patch.ts";
import type { WorkedHour } from "../../src-protocol/history.ts";
import { ALWAYS } from "../../src-protocol/policy.ts";
import { daemonState, type DaemonState } from "../../src-protocol/state.ts";
import type { DaemonLinkPorts } from "../daemon-link.ts";

const HOTKEY = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

/** A daemon's state as it is soon after a start. */
export function someState(changes: Partial<DaemonState> = {}): DaemonState {
  return daemonState.parse({
    version: "0.1.0",
    startedAt: 0,
    dataFolder: "/home/somebody/data",
    decision: { action: "run", reasons: ["always-allowed"], nextChange: null },
    rules: ALWAYS,
    override: null,
    policy: {
      zone: "Europe/Berlin",
      limits: { ...ALWAYS.work, ...ALWAYS.limits },
      missing: [],
      awake: { wanted: false, held: null, text: "" },
    },
    node: { phase: "training", detail: "Training.", stage: 1, loading: null, hotkey: HOTKEY },
    network: {
      kind: "embedded",
      id: null,
      name: "This computer",
      operator: "",
      url: null,
      connected: true,
      away: null,
      neighbours: 2,
      links: null,
      known: [],
      offer: null,
    },
    run: null,
    earnings: {
      hotkey: HOTKEY,
      payoutColdkey: HOTKEY,
      asset: "test",
      accruedRao: "0",
      claimedRao: "0",
      receipts: 0,
      paidRao: "0",
      asOf: 0,
      nextClaimAt: null,
      later: null,
      former: [],
      neighboursAccruedRao: "0",
    },
    traffic: { limits: ALWAYS.limits, uploadMbit: 0, downloadMbit: 0 },
    chain: { source: "embedded", url: null, connected: false, block: 0, balanceRao: null, detail: "" },
    activity: [],
    problem: null,
    ...changes,
  });
}

type Behaviour = "answers" | "hangs";

/**
 * The daemon as the shell sees it: an address in a folder, a socket that speaks the local API, and
 * a process that can be started. Calls are held against the real schemas.
 */
export class DaemonDouble {
  running: boolean;
  behaviour: Behaviour = "answers";
  state: DaemonState = someState();
  /** Why it will not start. */
  startFailure: string | null = null;
  hours: readonly WorkedHour[] = [];
  readonly calls: { method: string; params: unknown }[] = [];
  starts = 0;
  terminated = 0;
  #address: ApiFile | null = null;
  #socket: Socket | null = null;
  #lastFailure: string | null = null;

  constructor({ running }: { running: boolean }) {
    this.running = false;
    if (running) this.#run();
  }

  ports(): Omit<DaemonLinkPorts, "after"> {
    const isRunning = () => this.running;
    const failure = () => this.#lastFailure;
    return {
      readApi: () => this.#address,
      open: () => this.#open(),
      process: {
        start: () => this.#start(),
        get running() {
          return isRunning();
        },
        get lastFailure() {
          return failure();
        },
      },
    };
  }

  /** Killed, or a defect: the address stays behind. */
  crash(): void {
    this.running = false;
    this.#drop();
  }

  /** Told to end by another client: the address goes first. */
  end(): void {
    this.#address = null;
    this.crash();
  }

  change(changes: Partial<DaemonState>): void {
    const next = { ...this.state, ...changes };
    const operations = diff(this.state as Json, next as Json);
    this.state = next;
    this.#send({ type: "patch", operations });
  }

  send(text: string): void {
    this.#socket?.emit("message", text);
  }

  #start(): void {
    this.starts += 1;
    this.#lastFailure = this.startFailure;
    if (this.startFailure === null) this.#run();
  }

  #run(): void {
    this.running = true;
    this.#address = { url: "http://127.0.0.1:4711", token: "0".repeat(64), pid: 1, socket: null };
  }

  #open(): ReturnType<DaemonLinkPorts["open"]> {
    const socket = new Socket((text) => this.#answer(text));
    queueMicrotask(() => {
      if (!this.running) return socket.close();
      this.#socket = socket;
      socket.emit("open");
    });
    return socket as unknown as ReturnType<DaemonLinkPorts["open"]>;
  }

  #answer(text: string): void {
    const { id, method, params } = apiRequest.parse(JSON.parse(text));
    this.calls.push({ method, params: METHODS[method].params.parse(params) });
    if (this.behaviour === "hangs") return;
    const subscribed = method === "state.subscribe" || method === "state.get";
    const result = subscribed
      ? this.state
      : method === "history.hours"
        ? { hours: this.hours, inAllRao: null }
        : {};
    this.#send({ type: "result", id, result });
    if (method === "daemon.quit") this.end();
  }

  #send(message: ApiMessage): void {
    const text = JSON.stringify(message);
    const socket = this.#socket;
    queueMicrotask(() => socket?.emit("message", text));
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    queueMicrotask(() => socket?.close());
  }
}

class Socket extends EventEmitter {
  readonly #onSend: (text: string) => void;
  #closed = false;

  constructor(onSend: (text: string) => void) {
    super();
    this.#onSend = onSend;
  }

  send(text: string): void {
    if (!this.#closed) this.#onSend(text);
  }

  terminate(): void {
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    queueMicrotask(() => this.emit("close"));
  }
}
