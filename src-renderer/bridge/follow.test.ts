import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeEach, expect, test } from "vitest";
import type { Bridge, Connection, DaemonEvent } from "./bridge.ts";
import { useDashboard } from "./dashboard.ts";
import { follow } from "./follow.ts";
import { workingState } from "../../src-protocol/working-state.test-support.ts";

/** A daemon of which the test holds the strings. */
function fakeDaemon() {
  const asked: string[] = [];
  let say: (event: DaemonEvent) => void = () => {};
  let connect: (connection: Connection) => void = () => {};
  const answers: Record<string, () => unknown> = {
    "state.subscribe": workingState,
    "run.history": () => ({
      points: [{ step: 1, at: 1, loss: 5, heldOutLoss: null, tokensPerSecond: null }],
    }),
  };
  const bridge: Bridge = {
    call: (async (method: string) => {
      asked.push(method);
      return answers[method]?.();
    }) as Bridge["call"],
    onEvent: (listener) => {
      say = listener;
    },
    onConnection: (listener) => {
      connect = listener;
    },
  };
  follow(bridge, (_ms, action) => action());
  return {
    asked,
    say: (event: DaemonEvent) => say(event),
    connect: (connection: Connection) => connect(connection),
  };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

beforeEach(() => useDashboard.setState({ connection: "connecting", state: null, points: [], draft: null }));

test("a snapshot, then its patches and points", async () => {
  const daemon = fakeDaemon();
  daemon.connect("open");
  await settled();
  daemon.say({ type: "patch", operations: [{ path: ["node", "phase"], value: "paused" }] });
  daemon.say({ type: "point", point: { step: 2, at: 2, loss: 4, heldOutLoss: null, tokensPerSecond: 9 } });
  const { state, points } = useDashboard.getState();
  expect(state?.node.phase).toBe("paused");
  expect(points.map(({ step }) => step)).toEqual([1, 2]);
});

test("a patch that leads to an impossible state is answered by a fresh snapshot", async () => {
  const daemon = fakeDaemon();
  daemon.connect("open");
  await settled();
  daemon.say({ type: "patch", operations: [{ path: ["node", "phase"], value: "flying" }] });
  await settled();
  expect(daemon.asked.filter((method) => method === "state.subscribe")).toHaveLength(2);
  expect(useDashboard.getState().state?.node.phase).toBe("training");
});

test("while the connection is lost the last state stays, and a new connection starts afresh", async () => {
  const daemon = fakeDaemon();
  daemon.connect("open");
  await settled();
  daemon.connect("lost");
  daemon.say({ type: "patch", operations: [{ path: ["node", "phase"], value: "paused" }] });
  expect(useDashboard.getState()).toMatchObject({
    connection: "lost",
    state: { node: { phase: "training" } },
  });
  daemon.connect("open");
  await settled();
  expect(daemon.asked.filter((method) => method === "state.subscribe")).toHaveLength(2);
});

test("another run brings its own history", async () => {
  const daemon = fakeDaemon();
  daemon.connect("open");
  await settled();
  daemon.say({ type: "patch", operations: [{ path: ["run", "runId"], value: "run-2" }] });
  await settled();
  expect(daemon.asked.filter((method) => method === "run.history")).toHaveLength(2);
});

test("a day of patches and points leaves no more behind than a minute of them", async () => {
  const daemon = fakeDaemon();
  daemon.connect("open");
  await settled();
  let step = 1;
  const news = (count: number) => {
    for (let i = 0; i < count; i += 1) {
      step += 1;
      daemon.say({ type: "patch", operations: [{ path: ["run", "step"], value: step }] });
      daemon.say({
        type: "point",
        point: { step, at: step, loss: 4, heldOutLoss: null, tokensPerSecond: 9 },
      });
    }
  };
  news(2_000);
  const before = heapInUse();
  // A step every four seconds.
  news(20_000);
  expect(heapInUse() - before).toBeLessThan(4e6);
  expect(useDashboard.getState().points.length).toBeLessThanOrEqual(1500);
  expect(useDashboard.getState().state?.run?.step).toBe(step);
});

/** Bytes that are still reached. */
function heapInUse(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}
