import { Failure, failureSchema } from "../../src-protocol/failure.ts";
import { apiMessage } from "../../src-protocol/methods.ts";
import type { ShellBridge } from "../../src-protocol/shell-bridge.ts";
import { type Bridge, resultOf } from "./bridge.ts";

/** The bridge over the preload script's functions. */
export function preloadBridge(api: ShellBridge): Bridge {
  return {
    async call(method, params) {
      const answer = (await api.call(method, params)) as { result?: unknown; error?: unknown };
      if (answer.error !== undefined) {
        const { code, message } = failureSchema.parse(answer.error);
        throw new Failure(code, message);
      }
      return resultOf(method, answer.result);
    },
    onEvent(listener) {
      api.onMessage((message) => {
        const parsed = apiMessage.safeParse(message);
        if (parsed.success && (parsed.data.type === "patch" || parsed.data.type === "point"))
          listener(parsed.data);
      });
    },
    onConnection(listener) {
      listener("connecting");
      api.onConnection((open) => listener(open ? "open" : "lost"));
    },
  };
}
