import type { WebSocket } from "ws";
import { Failure } from "../src-protocol/failure.ts";
import {
  answerWithinMs,
  apiMessage,
  type ApiFile,
  type ApiMessage,
  type MethodName,
} from "../src-protocol/methods.ts";
import { applyPatch, type Json } from "../src-protocol/patch.ts";
import type { ShellAnswer } from "../src-protocol/shell-bridge.ts";
import { daemonState, type DaemonState } from "../src-protocol/state.ts";
import type { DaemonProcess } from "./daemon-process.ts";

export type LinkStatus =
  | { readonly kind: "starting" }
  | { readonly kind: "connected" }
  /** It is being tried again. `text` says what happened, for a person. */
  | { readonly kind: "lost"; readonly text: string }
  /** Somebody told the daemon to end. It is not started again until it is asked for. */
  | { readonly kind: "ended" };

export interface DaemonLinkPorts {
  /** The address that the daemon left in its folder; null: there is none. */
  readonly readApi: () => ApiFile | null;
  readonly open: (api: ApiFile) => Pick<WebSocket, "on" | "send" | "terminate">;
  readonly process: Pick<DaemonProcess, "start" | "running" | "lastFailure">;
  /** `setTimeout`, or a test's clock. Returns how to cancel. */
  readonly after: (ms: number, action: () => void) => () => void;
}

const WHILE_IT_STARTS_MS = 300;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;

type DaemonEvent = Extract<ApiMessage, { type: "patch" | "point" }>;
type Socket = ReturnType<DaemonLinkPorts["open"]>;

/**
 * The shell's connection with the daemon, and a copy of its state. It joins a daemon that runs
 * already, starts one where none does, and comes back to it after a crash of either.
 */
export class DaemonLink {
  readonly #ports: DaemonLinkPorts;
  readonly #waiting = new Map<number, (answer: ShellAnswer) => void>();
  readonly #messageListeners: ((message: DaemonEvent) => void)[] = [];
  readonly #statusListeners: (() => void)[] = [];
  readonly #stateListeners: (() => void)[] = [];
  #socket: Socket | null = null;
  #status: LinkStatus = { kind: "starting" };
  #state: DaemonState | null = null;
  #retryMs = FIRST_RETRY_MS;
  #cancelRetry: (() => void) | null = null;
  #closed = false;
  #lastId = 0;

  constructor(ports: DaemonLinkPorts) {
    this.#ports = ports;
  }

  get status(): LinkStatus {
    return this.#status;
  }

  /** What the daemon says of itself now; null while there is no connection. */
  get state(): DaemonState | null {
    return this.#state;
  }

  onStatus(listener: () => void): void {
    this.#statusListeners.push(listener);
  }

  onState(listener: () => void): void {
    this.#stateListeners.push(listener);
  }

  /** Patches and points, each after the state has taken it in. */
  onMessage(listener: (message: DaemonEvent) => void): void {
    this.#messageListeners.push(listener);
  }

  /** Joins the daemon or starts one. Does nothing while that is under way. */
  start(): void {
    if (this.#socket !== null || this.#cancelRetry !== null) return;
    this.#closed = false;
    this.#become({ kind: "starting" });
    this.#connect();
  }

  /** Lets go of the daemon; it goes on working. */
  close(): void {
    this.#closed = true;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#socket?.terminate();
  }

  call(method: MethodName, params: unknown): Promise<ShellAnswer> {
    const socket = this.#socket;
    if (socket === null || this.#status.kind !== "connected")
      return Promise.resolve({ error: this.away().body() });
    return this.#ask(socket, method, params);
  }

  away(): Failure {
    return new Failure(
      "connection-lost",
      "Train at Home is not answering. It is being tried again; what was earned is safe.",
    );
  }

  #connect(): void {
    this.#cancelRetry = null;
    const api = this.#ports.readApi();
    if (api === null) return this.#startAndRetry();
    const socket = this.#ports.open(api);
    this.#socket = socket;
    socket.on("open", () => void this.#subscribe(socket));
    socket.on("message", (data) => this.#take(socket, String(data)));
    // `close` follows and does the work.
    socket.on("error", () => {});
    socket.on("close", () => this.#lose(socket));
  }

  async #subscribe(socket: Socket): Promise<void> {
    const answer = await this.#ask(socket, "state.subscribe", {});
    if (this.#socket !== socket || "error" in answer) return;
    const state = daemonState.safeParse(answer.result);
    if (!state.success) {
      this.#become({ kind: "lost", text: OTHER_VERSION });
      socket.terminate();
      return;
    }
    this.#retryMs = FIRST_RETRY_MS;
    this.#setState(state.data);
    this.#become({ kind: "connected" });
  }

  #ask(socket: Socket, method: MethodName, params: unknown): Promise<ShellAnswer> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const cancel = this.#ports.after(answerWithinMs(method), () => settle({ error: this.away().body() }));
      const settle = (answer: ShellAnswer) => {
        cancel();
        this.#waiting.delete(id);
        resolve(answer);
      };
      this.#waiting.set(id, settle);
      socket.send(JSON.stringify({ id, method, params }));
    });
  }

  #take(socket: Socket, text: string): void {
    const message = parsed(text);
    // What is not the API's is not believed: start afresh.
    if (message === null) return socket.terminate();
    switch (message.type) {
      case "result":
        this.#waiting.get(message.id)?.({ result: message.result });
        return;
      case "error":
        this.#waiting.get(message.id)?.({ error: message.error });
        return;
      case "patch": {
        if (this.#state === null) return;
        const next = daemonState.safeParse(applyPatch(this.#state as Json, message.operations));
        if (!next.success) return socket.terminate();
        this.#setState(next.data);
        break;
      }
      case "point":
        break;
    }
    for (const listener of this.#messageListeners) listener(message);
  }

  #lose(socket: Socket): void {
    if (this.#socket !== socket) return;
    const wasConnected = this.#status.kind === "connected";
    this.#socket = null;
    for (const settle of this.#waiting.values()) settle({ error: this.away().body() });
    this.#setState(null);
    if (this.#closed) return this.#become({ kind: "ended" });
    // A daemon that ends as it should takes its address away; one that crashes cannot.
    if (wasConnected && this.#ports.readApi() === null && this.#ports.process.lastFailure === null)
      return this.#become({ kind: "ended" });
    if (wasConnected) this.#become({ kind: "lost", text: CRASHED });
    // A refused connection is what a crash leaves behind: an address without anybody there.
    if (wasConnected) this.#retry(FIRST_RETRY_MS);
    else this.#startAndRetry();
  }

  #startAndRetry(): void {
    const { process } = this.#ports;
    if (process.running) return this.#retry(WHILE_IT_STARTS_MS);
    if (process.lastFailure === null) {
      process.start();
      return this.#retry(WHILE_IT_STARTS_MS);
    }
    this.#become({ kind: "lost", text: process.lastFailure });
    this.#retry(this.#retryMs, () => process.start());
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }

  #retry(ms: number, first: () => void = () => {}): void {
    if (this.#closed) return;
    this.#cancelRetry = this.#ports.after(ms, () => {
      first();
      this.#connect();
    });
  }

  #setState(state: DaemonState | null): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const listener of this.#stateListeners) listener();
  }

  #become(status: LinkStatus): void {
    const before = this.#status;
    this.#status = status;
    if (before.kind === status.kind && JSON.stringify(before) === JSON.stringify(status)) return;
    for (const listener of this.#statusListeners) listener();
  }
}

const CRASHED = "Train at Home stopped unexpectedly. It is being started again.";
const OTHER_VERSION =
  "Another version of Train at Home is running with this data folder. End it, then open this window again.";

function parsed(text: string): ApiMessage | null {
  try {
    return apiMessage.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
