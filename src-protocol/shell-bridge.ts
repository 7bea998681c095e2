import type { FailureBody } from "./failure.ts";
import type { ApiMessage } from "./methods.ts";

/** The daemon's answer to one call, as a value: an error's class would not survive the way to the page. */
export type ShellAnswer = { readonly result: unknown } | { readonly error: FailureBody };

/** What the desktop shell's preload script puts at `window.trainAtHome`. Plain JSON in and out. */
export interface ShellBridge {
  /** Always resolves: `{result}` or `{error: {code, message}}`. */
  call(method: string, params: unknown): Promise<ShellAnswer>;
  /** `patch` and `point` messages of the daemon, after `state.subscribe`. Returns how to stop. */
  onMessage(listener: (message: unknown) => void): () => void;
  /** Whether the shell is connected with the daemon: called with the state now, then on every change. */
  onConnection(listener: (open: boolean) => void): () => void;
}

/** What the shell sends to the page's preload script: the daemon's own messages, and its connection. */
export type ShellMessage = ApiMessage | { readonly type: "connection"; readonly open: boolean };
