import {
  type ApiMessage,
  METHODS,
  type MethodName,
  type MethodParams,
  type MethodResult,
} from "../../src-protocol/methods.ts";
import type { ShellBridge } from "../../src-protocol/shell-bridge.ts";
import { LOGIN_MARK } from "../../src-protocol/browser-sign-in.ts";
import { browserHello, takeLogin } from "./browser-key.ts";
import { preloadBridge } from "./preload-bridge.ts";
import { socketBridge } from "./socket-bridge.ts";

/** `lost`: it was open or could not be opened, and is being tried again. `signed-out`: the daemon does not know this browser. */
export type Connection = "connecting" | "open" | "lost" | "signed-out";

/** What the daemon says by itself. */
export type DaemonEvent = Extract<ApiMessage, { type: "patch" | "point" }>;

/** The daemon's local API as the dashboard uses it; the same in the desktop window and in a browser. */
export interface Bridge {
  /** Rejects with a Failure: the daemon's own, or `connection-lost`. */
  call<Name extends MethodName>(method: Name, params: MethodParams<Name>): Promise<MethodResult<Name>>;
  onEvent(listener: (event: DaemonEvent) => void): void;
  /** Called at once with the state now, then on every change. */
  onConnection(listener: (connection: Connection) => void): void;
}

declare global {
  interface Window {
    /** Given by the desktop shell's preload script. */
    trainAtHome?: ShellBridge;
  }
}

let bridge: Bridge | undefined;

export function getBridge(): Bridge {
  bridge ??= window.trainAtHome === undefined ? browserBridge() : preloadBridge(window.trainAtHome);
  return bridge;
}

function browserBridge(): Bridge {
  let login = takeLogin();
  // Another login address, pasted into this very tab.
  window.addEventListener("hashchange", () => {
    if (window.location.hash.startsWith(LOGIN_MARK)) window.location.reload();
  });
  return socketBridge({
    open: () => new WebSocket(rpcAddress(window.location.href)),
    async hello(nonce) {
      const shown = login;
      login = null;
      return await browserHello(nonce, shown);
    },
  });
}

/** `http://127.0.0.1:4711/#home` → `ws://127.0.0.1:4711/rpc`. */
export function rpcAddress(page: string): string {
  const url = new URL("/rpc", page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** A result as the method's schema promises it; throws for anything else. */
export function resultOf<Name extends MethodName>(method: Name, value: unknown): MethodResult<Name> {
  return METHODS[method].result.parse(value) as MethodResult<Name>;
}
