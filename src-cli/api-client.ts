import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { WebSocket } from "ws";
import { Failure } from "../src-protocol/failure.ts";
import { METHODS, apiFile, apiMessage } from "../src-protocol/methods.ts";
import type { ApiFile, ApiMessage, MethodName, MethodParams, MethodResult } from "../src-protocol/methods.ts";
import { applyPatch } from "../src-protocol/patch.ts";
import type { Json } from "../src-protocol/patch.ts";
import { daemonState } from "../src-protocol/state.ts";
import type { DaemonState, HistoryPoint } from "../src-protocol/state.ts";

const CONNECT_MS = 5_000;
const ANSWER_MS = 60_000;

const OPTIONS = { handshakeTimeout: CONNECT_MS, perMessageDeflate: false } as const;

export interface Followed {
  onState?(state: DaemonState): void;
  onPoint?(point: HistoryPoint): void;
}

/** A program's connection to the daemon of one data folder. Every answer is checked before it is believed. */
export class ApiClient {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #nextId = 1;
  #state: Json | null = null;
  #followed: Followed = {};
  /** Resolves when the connection has ended, by whichever side. */
  readonly closed: Promise<void>;
  /** The daemon's process. */
  readonly pid: number;

  private constructor(socket: WebSocket, pid: number) {
    this.#socket = socket;
    this.pid = pid;
    socket.on("message", (data) => this.#receive(data.toString()));
    this.closed = new Promise((resolve) => {
      socket.on("close", () => {
        for (const { reject } of this.#waiting.values()) reject(gone());
        this.#waiting.clear();
        resolve();
      });
    });
  }

  /** Throws `daemon-not-running` when none answers for the data folder that `path` (api.json) is in. */
  static async connect(path: string): Promise<ApiClient> {
    const file = readApiFile(path);
    if (file === null) throw notRunning();
    // A program that was given less than the owner may use has to use that.
    const { TAH_TOKEN: token = file.token } = process.env;
    const local = token === file.token && file.socket !== null ? await overSocket(file.socket) : null;
    const socket =
      local ??
      new WebSocket(`${file.url.replace(/^http/, "ws")}/rpc`, {
        ...OPTIONS,
        headers: { Authorization: `Bearer ${token}` },
      });
    if (local === null) {
      await new Promise<void>((resolve, reject) => {
        socket.once("open", resolve);
        // Refused, or answered by a stranger on that port: the file is left over from a killed daemon.
        socket.once("error", (error) => reject(isAlive(file.pid) ? busy(error) : notRunning(error)));
      });
    }
    return new ApiClient(socket, file.pid);
  }

  async call<Name extends MethodName>(method: Name, params: MethodParams<Name>): Promise<MethodResult<Name>> {
    const answer = METHODS[method].result.safeParse(await this.#ask(method, params));
    if (answer.success) return answer.data as MethodResult<Name>;
    throw new Failure(
      "daemon-other-version",
      "The running Train at Home answers in a form that this version does not know. Stop it and start it again.",
    );
  }

  /** The state now and after every change; finished steps as they come. */
  async follow(followed: Followed): Promise<DaemonState> {
    this.#followed = followed;
    const state = await this.call("state.subscribe", {});
    // Patches that came right behind the answer have been applied to it by now.
    return this.#state === null ? state : daemonState.parse(this.#state);
  }

  close(): void {
    this.#socket.close();
  }

  #ask(method: MethodName, params: unknown): Promise<unknown> {
    const id = this.#nextId++;
    if (this.#socket.readyState !== WebSocket.OPEN) return Promise.reject(gone());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Failure("daemon-silent", "Train at Home does not answer. Stop it and start it again."));
      }, ANSWER_MS);
      this.#waiting.set(id, {
        resolve: (result) => {
          clearTimeout(timer);
          if (method === "state.subscribe") this.#state = result as Json;
          resolve(result);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  #receive(text: string): void {
    const message = parse(text);
    switch (message?.type) {
      case "result":
        return this.#settle(message.id, (waiting) => waiting.resolve(message.result));
      case "error":
        return this.#settle(message.id, (waiting) =>
          waiting.reject(new Failure(message.error.code, message.error.message)),
        );
      case "patch":
        if (this.#state === null) return;
        this.#state = applyPatch(this.#state, message.operations);
        return this.#followed.onState?.(daemonState.parse(this.#state));
      case "point":
        return this.#followed.onPoint?.(message.point);
      case undefined:
        return;
    }
  }

  #settle(
    id: number,
    how: (waiting: { resolve(result: unknown): void; reject(error: Error): void }) => void,
  ): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting !== undefined) how(waiting);
  }
}

export function readApiFile(path: string): ApiFile | null {
  try {
    return apiFile.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}

/** Null: nobody is there, and the port is tried. */
function overSocket(path: string): Promise<WebSocket | null> {
  const socket = new WebSocket("ws://localhost/rpc", { ...OPTIONS, createConnection: () => connect(path) });
  return new Promise((resolve) => {
    socket.once("open", () => resolve(socket));
    socket.once("error", () => resolve(null));
  });
}

function parse(text: string): ApiMessage | null {
  try {
    return apiMessage.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function gone(): Failure {
  return new Failure("daemon-gone", "Train at Home ended before it answered.");
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** A connection that is refused says that nobody listens; one that is cut, or not answered, says that somebody does. */
function busy(cause: Error): Failure {
  if (/\b403\b/.test(cause.message))
    return new Failure(
      "token-refused",
      "Train at Home does not take this token: it has ended, was revoked, or is not for this data folder. Its owner can make another one with `tah token`.",
      { cause },
    );
  if ("code" in cause && cause.code === "ECONNREFUSED") return notRunning(cause);
  return new Failure(
    "daemon-busy",
    "Train at Home is running, but does not answer: it has too many connections, or too much to do. Try again in a moment; if it stays so, stop it and start it again.",
    { cause },
  );
}

function notRunning(cause?: unknown): Failure {
  return new Failure(
    "daemon-not-running",
    "Train at Home is not running. Start it with `npm start` (or `tah up`), then try again.",
    { cause },
  );
}
