import { expect, test } from "vitest";
import { rpcAddress, type Connection, type DaemonEvent } from "./bridge.ts";
import { socketBridge } from "./socket-bridge.ts";

/** A socket whose other end is the test. */
class Line extends EventTarget {
  readonly sent: { id: number; method: string; params: unknown }[] = [];
  closed = false;
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
    this.dispatchEvent(new Event("close"));
  }
  says(message: unknown) {
    this.dispatchEvent(
      new MessageEvent("message", { data: typeof message === "string" ? message : JSON.stringify(message) }),
    );
  }
  opens() {
    this.says({ type: "challenge", nonce: "ab".repeat(32) });
    this.says({ type: "welcome" });
  }
}

function setUp() {
  const lines: Line[] = [];
  const timers: { ms: number; action: () => void; on: boolean }[] = [];
  const bridge = socketBridge({
    open: () => {
      const line = new Line();
      lines.push(line);
      return line;
    },
    hello: async (nonce) => ({ type: "hello", publicKey: "", signature: nonce, login: null }),
    after: (ms, action) => {
      const timer = { ms, action, on: true };
      timers.push(timer);
      return () => {
        timer.on = false;
      };
    },
  });
  const connections: Connection[] = [];
  bridge.onConnection((connection) => connections.push(connection));
  const line = (index = lines.length - 1): Line => {
    const found = lines[index];
    if (found === undefined) throw new Error("no such connection");
    return found;
  };
  return { bridge, line, lines, timers, connections };
}

test("an answer reaches its own call, in whatever order answers come", async () => {
  const { bridge, line } = setUp();
  line().opens();
  const first = bridge.call("earnings.claims", {});
  const second = bridge.call("run.history", { maxPoints: 5 });
  line().says({ type: "result", id: 1, result: { points: [] } });
  line().says({ type: "result", id: 0, result: { claims: [] } });
  expect(await first).toEqual({ claims: [] });
  expect(await second).toEqual({ points: [] });
  expect(line().sent[1]).toEqual({ id: 1, method: "run.history", params: { maxPoints: 5 } });
});

test("a refusal arrives with its code and sentence", async () => {
  const { bridge, line } = setUp();
  line().opens();
  const claim = bridge.call("earnings.claim", {});
  line().says({
    type: "error",
    id: 0,
    error: { code: "nothing-accrued", message: "There is nothing to claim." },
  });
  await expect(claim).rejects.toMatchObject({
    code: "nothing-accrued",
    message: "There is nothing to claim.",
  });
});

test("an answer of the wrong shape is not believed", async () => {
  const { bridge, line } = setUp();
  line().opens();
  const claims = bridge.call("earnings.claims", {});
  line().says({ type: "result", id: 0, result: { claims: "all" } });
  await expect(claims).rejects.toThrow("expected array");
});

test("a lost connection fails open calls at once, says so, and is tried again ever more slowly", async () => {
  const { bridge, line, lines, timers, connections } = setUp();
  line().opens();
  const call = bridge.call("state.get", {});
  line().close();
  await expect(call).rejects.toMatchObject({ code: "connection-lost" });
  await expect(bridge.call("state.get", {})).rejects.toMatchObject({ code: "connection-lost" });
  const waits: number[] = [];
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const retry = timers.at(-1);
    waits.push(retry?.ms ?? 0);
    retry?.action();
    if (attempt < 4) line().close();
  }
  expect(waits).toEqual([500, 1000, 2000, 4000, 5000]);
  line().opens();
  expect(lines).toHaveLength(6);
  expect(connections).toEqual(["connecting", "open", "lost", "open"]);
});

test("a call that is never answered ends with a sentence", async () => {
  const { bridge, line, timers } = setUp();
  line().opens();
  const call = bridge.call("state.get", {});
  timers.find(({ ms }) => ms === 20_000)?.action();
  await expect(call).rejects.toMatchObject({ code: "no-answer" });
});

test("what is not the API's language closes the connection", () => {
  const { line, connections } = setUp();
  line().opens();
  line().says("{not json");
  expect(line(0).closed).toBe(true);
  expect(connections.at(-1)).toBe("lost");
});

test("patches and points reach the listener", () => {
  const { bridge, line } = setUp();
  const events: DaemonEvent[] = [];
  bridge.onEvent((event) => events.push(event));
  line().opens();
  line().says({ type: "patch", operations: [{ path: ["node", "phase"], value: "paused" }] });
  expect(events).toEqual([{ type: "patch", operations: [{ path: ["node", "phase"], value: "paused" }] }]);
});

test("the socket's address is the page's own", () => {
  expect(rpcAddress("http://127.0.0.1:4711/#home")).toBe("ws://127.0.0.1:4711/rpc");
});
