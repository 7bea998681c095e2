import { expect, test } from "vitest";
import type { ShellAnswer, ShellBridge } from "../../src-protocol/shell-bridge.ts";
import type { Connection, DaemonEvent } from "./bridge.ts";
import { preloadBridge } from "./preload-bridge.ts";

function shell(answer: ShellAnswer) {
  let say: (message: unknown) => void = () => {};
  let connect: (open: boolean) => void = () => {};
  const api: ShellBridge = {
    call: async () => answer,
    onMessage: (listener) => {
      say = listener;
      return () => {};
    },
    onConnection: (listener) => {
      connect = listener;
      return () => {};
    },
  };
  return {
    bridge: preloadBridge(api),
    say: (message: unknown) => say(message),
    connect: (open: boolean) => connect(open),
  };
}

test("the window's answers are checked like the socket's", async () => {
  expect(await shell({ result: { claims: [] } }).bridge.call("earnings.claims", {})).toEqual({ claims: [] });
  await expect(shell({ result: { claims: 3 } }).bridge.call("earnings.claims", {})).rejects.toThrow(
    "expected array",
  );
  const refusal = { code: "nothing-accrued", message: "There is nothing to claim." };
  await expect(shell({ error: refusal }).bridge.call("earnings.claim", {})).rejects.toMatchObject(refusal);
});

test("only well-formed patches and points pass", () => {
  const { bridge, say } = shell({ result: null });
  const events: DaemonEvent[] = [];
  bridge.onEvent((event) => events.push(event));
  say({ type: "patch", operations: [{ path: ["run"], value: null }] });
  say({ type: "patch", operations: "all" });
  say({ type: "result", id: 1, result: null });
  expect(events).toHaveLength(1);
});

test("the connection is told as it changes", () => {
  const { bridge, connect } = shell({ result: null });
  const seen: Connection[] = [];
  bridge.onConnection((connection) => seen.push(connection));
  connect(true);
  connect(false);
  expect(seen).toEqual(["connecting", "open", "lost"]);
});
