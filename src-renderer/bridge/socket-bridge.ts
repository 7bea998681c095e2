import { type BrowserAnswer, type BrowserHello, browserAnswer } from "../../src-protocol/browser-sign-in.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { type ApiMessage, answerWithinMs, apiMessage } from "../../src-protocol/methods.ts";
import { type Bridge, type Connection, type DaemonEvent, resultOf } from "./bridge.ts";

/** The part of a WebSocket that is used here. */
export interface Socket {
  send(text: string): void;
  close(): void;
  addEventListener(type: "message" | "close", listener: (event: Event) => void): void;
}

export interface SocketBridgeOptions {
  open: () => Socket;
  /** What to say to the daemon's challenge. */
  hello: (nonce: string) => Promise<BrowserHello>;
  /** `setTimeout`, or a test's clock. Returns how to cancel. */
  after?: (ms: number, action: () => void) => () => void;
}

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5_000;

interface Pending {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
  cancelTimeout: () => void;
}

/** The bridge over `/rpc`. It reconnects by itself; calls that were under way then fail. */
export function socketBridge({ open, hello, after = later }: SocketBridgeOptions): Bridge {
  const pending = new Map<number, Pending>();
  const eventListeners: ((event: DaemonEvent) => void)[] = [];
  const connectionListeners: ((connection: Connection) => void)[] = [];
  let connection: Connection = "connecting";
  let socket: Socket | null = null;
  let nextId = 0;
  let retryMs = FIRST_RETRY_MS;

  const become = (next: Connection) => {
    if (next === connection) return;
    connection = next;
    for (const listener of connectionListeners) listener(next);
  };

  const connect = () => {
    const opening = open();
    socket = opening;
    let refused = false;
    const greet = (answer: BrowserAnswer) => {
      switch (answer.type) {
        case "challenge":
          hello(answer.nonce).then(
            (said) => opening.send(JSON.stringify(said)),
            () => opening.close(),
          );
          return;
        case "welcome":
          retryMs = FIRST_RETRY_MS;
          become("open");
          return;
        case "refused":
          refused = true;
          // Another tab may sign this browser in meanwhile.
          retryMs = LONGEST_RETRY_MS;
          become("signed-out");
      }
    };
    let welcomed = false;
    opening.addEventListener("message", (event) => {
      const answer = welcomed ? null : parsed(browserAnswer, event);
      if (answer !== null) {
        welcomed = answer.type === "welcome";
        greet(answer);
        return;
      }
      const message = welcomed ? parsed(apiMessage, event) : null;
      // A message that is not the API's is not answered and not believed: start afresh.
      if (message === null) opening.close();
      else take(message);
    });
    opening.addEventListener("close", () => {
      if (socket !== opening) return;
      socket = null;
      for (const call of pending.values()) {
        call.cancelTimeout();
        call.reject(lost());
      }
      pending.clear();
      if (!refused) become("lost");
      after(retryMs, connect);
      retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    });
  };

  const take = (message: ApiMessage) => {
    if (message.type === "patch" || message.type === "point") {
      for (const listener of eventListeners) listener(message);
      return;
    }
    const call = pending.get(message.id);
    if (call === undefined) return;
    pending.delete(message.id);
    call.cancelTimeout();
    if (message.type === "result") call.resolve(message.result);
    else call.reject(new Failure(message.error.code, message.error.message));
  };

  connect();
  return {
    async call(method, params) {
      const current = socket;
      if (current === null || connection !== "open") throw lost();
      const id = nextId++;
      const result = await new Promise<unknown>((resolve, reject) => {
        const cancelTimeout = after(answerWithinMs(method), () => {
          pending.delete(id);
          reject(new Failure("no-answer", "Train at Home did not answer in time. Try again in a moment."));
        });
        pending.set(id, { resolve, reject, cancelTimeout });
        current.send(JSON.stringify({ id, method, params }));
      });
      return resultOf(method, result);
    },
    onEvent(listener) {
      eventListeners.push(listener);
    },
    onConnection(listener) {
      connectionListeners.push(listener);
      listener(connection);
    },
  };
}

function parsed<Message>(schema: { parse(value: unknown): Message }, event: Event): Message | null {
  if (!(event instanceof MessageEvent) || typeof event.data !== "string") return null;
  try {
    return schema.parse(JSON.parse(event.data));
  } catch {
    return null;
  }
}

function lost(): Failure {
  return new Failure("connection-lost", "The connection to Train at Home is lost. It is being tried again.");
}

function later(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
}
