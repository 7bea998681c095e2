import { contextBridge, ipcRenderer } from "electron";
import type { FailureBody } from "../src-protocol/failure.ts";
import type { ShellAnswer, ShellBridge, ShellMessage } from "../src-protocol/shell-bridge.ts";
import { CHANNEL, HELLO } from "./channel.ts";

/**
 * SECURITY: gives the page three functions and nothing of Electron. Which methods there are, and
 * what may be sent to them, is checked on the other side of the border.
 *
 * Answers come on the same channel as patches, so that a patch can never overtake the state it
 * belongs to.
 */
const waiting = new Map<number, (answer: ShellAnswer) => void>();
const messages = new Set<(message: unknown) => void>();
const connections = new Set<(open: boolean) => void>();
let connected: boolean | null = null;
let lastId = 0;

ipcRenderer.on(CHANNEL, (_event, message: ShellMessage) => {
  switch (message.type) {
    case "result":
      return answer(message.id, { result: message.result });
    case "error":
      return answer(message.id, { error: message.error });
    case "connection":
      connected = message.open;
      for (const listener of connections) listener(message.open);
      return;
    case "patch":
    case "point":
      for (const listener of messages) listener(message);
  }
});

function answer(id: number, value: ShellAnswer): void {
  waiting.get(id)?.(value);
  waiting.delete(id);
}

const UNSENDABLE: FailureBody = {
  code: "bad-request",
  message: "The call could not be sent: its parameters are not plain data.",
};

const bridge: ShellBridge = {
  call(method, params) {
    lastId += 1;
    const id = lastId;
    return new Promise((resolve) => {
      waiting.set(id, resolve);
      try {
        ipcRenderer.send(CHANNEL, { id, method, params });
      } catch {
        answer(id, { error: UNSENDABLE });
      }
    });
  },
  onMessage(listener) {
    messages.add(listener);
    return () => messages.delete(listener);
  },
  onConnection(listener) {
    connections.add(listener);
    if (connected !== null) listener(connected);
    return () => connections.delete(listener);
  },
};

contextBridge.exposeInMainWorld("trainAtHome", bridge);
ipcRenderer.send(CHANNEL, HELLO);
