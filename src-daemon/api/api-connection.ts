import type { WebSocket } from "ws";
import { Failure } from "../../src-protocol/failure.ts";
import type { ApiMessage, MethodName } from "../../src-protocol/methods.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import { readCall } from "./api-calls.ts";
import type { Handlers } from "./api-calls.ts";
import { refusalOf } from "./api-tokens.ts";
import type { ApiCaller } from "./api-tokens.ts";
import type { StateStore } from "../state/state-store.ts";

/** A client that reads this slowly is cut off; it comes back and gets the whole state. */
const UNSENT_LIMIT_BYTES = 8 * 1024 * 1024;
const CALLS_AT_ONCE = 32;

export interface ApiPorts {
  readonly handlers: Handlers;
  readonly store: StateStore;
  readonly caller: ApiCaller;
  /** What was done, and by whom; `code` is the refusal's, null when it was done. */
  onCall(who: string, method: MethodName, code: string | null): void;
  /** A connection with a token has begun (true) or ended. */
  onAgent?(id: string, here: boolean): void;
  /** Finished steps, as they come. */
  onPoint(listener: (point: HistoryPoint) => void): () => void;
}

/** Serves one client until its socket closes. */
export function serveClient(socket: WebSocket, ports: ApiPorts): void {
  let unsubscribe: (() => void) | null = null;
  let running = 0;

  const send = (message: ApiMessage): void => {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > UNSENT_LIMIT_BYTES) socket.terminate();
    else socket.send(JSON.stringify(message));
  };

  /** The state and the subscription are taken in one go: nothing can change between them. */
  const subscribe = (id: number): void => {
    unsubscribe?.();
    const states = ports.store.subscribe((operations) =>
      send({ type: "patch", operations: [...operations] }),
    );
    const stopPoints = ports.onPoint((point) => send({ type: "point", point }));
    unsubscribe = () => {
      states.unsubscribe();
      stopPoints();
    };
    send({ type: "result", id, result: states.state });
  };

  socket.on("message", (data, isBinary) => {
    const call = isBinary ? null : readCall(data.toString());
    if (call === null) {
      socket.close(1007, "not a call");
      return;
    }
    const refusal = call.method === null ? null : refusalOf(ports.caller, call.method);
    if (call.method !== null && refusal !== null) {
      ports.onCall(ports.caller.who, call.method, refusal.code);
      send({ type: "error", id: call.id, error: refusal.body() });
      return;
    }
    if (call.method === "state.subscribe") {
      subscribe(call.id);
      return;
    }
    if (running >= CALLS_AT_ONCE) {
      const error = new Failure("too-many-calls", `At most ${CALLS_AT_ONCE} calls at a time. Try again.`);
      send({ type: "error", id: call.id, error: error.body() });
      return;
    }
    running += 1;
    void call.run(ports.handlers, ports.caller).then((outcome) => {
      running -= 1;
      const code = outcome.type === "error" ? outcome.error.code : null;
      if (call.method !== null) ports.onCall(ports.caller.who, call.method, code);
      send(outcome);
    });
  });
  const { token } = ports.caller;
  if (token !== undefined) ports.onAgent?.(token.id, true);
  socket.on("close", () => {
    unsubscribe?.();
    if (token !== undefined) ports.onAgent?.(token.id, false);
  });
  // Too large a message, a broken frame: ws closes the socket with the right code.
  socket.on("error", () => {});
}
