import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ChildEvents } from "./child.ts";
import { childEnvironment } from "./child.ts";
import { ASIDE_MS, DEAF_AFTER_MS, KeptChild, PING_EVERY_MS } from "./kept-child.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A child that does what a test tells it to. */
function setUp() {
  const started: { events: ChildEvents; sent: object[]; killed: string[] }[] = [];
  const states: string[] = [];
  const messages: unknown[] = [];
  const kept = new KeptChild({
    start(events) {
      const child = { events, sent: [] as object[], killed: [] as string[] };
      started.push(child);
      return {
        pid: started.length,
        send: (message) => void child.sent.push(message),
        kill: (signal) => void child.killed.push(signal),
      };
    },
    onMessage: (message) => void messages.push(message),
    onLine: () => {},
    onState: (state) => void states.push(state.kind),
    now: () => Date.now(),
  });
  const last = () => {
    const child = started.at(-1);
    if (child === undefined) throw new Error("nothing was started");
    return child;
  };
  return { kept, started, states, messages, last };
}

describe("a kept process", () => {
  it("is back at once after a crash", () => {
    const { kept, started, last } = setUp();
    kept.start();
    last().events.onExit(null, "SIGKILL");
    expect(started).toHaveLength(2);
    expect(kept.state).toEqual({ kind: "running", pid: 2 });
  });

  it("is asked to stop, and killed when it does not", async () => {
    const { kept, started, last } = setUp();
    kept.start();
    const stopped = kept.stop("paused");
    expect(last().sent).toEqual([{ type: "stop", reason: "paused" }]);
    vi.advanceTimersByTime(799);
    expect(last().killed).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(last().killed).toEqual(["SIGKILL"]);
    last().events.onExit(null, "SIGKILL");
    await stopped;
    vi.runAllTimers();
    expect(started).toHaveLength(1);
    expect(kept.state.kind).toBe("stopped");
  });

  it("that is wanted again while it stops starts once the old process is gone", async () => {
    const { kept, started, last } = setUp();
    kept.start();
    const stopped = kept.stop("paused");
    kept.start();
    expect(started).toHaveLength(1);
    last().events.onExit(0, null);
    await stopped;
    expect(started).toHaveLength(2);
    expect(kept.state.kind).toBe("running");
  });

  it("F2: that is alive and deaf is ended and replaced, and one that answers is not", () => {
    const { kept, started, last, messages } = setUp();
    kept.start();
    for (let round = 0; round < 20; round++) {
      vi.advanceTimersByTime(PING_EVERY_MS);
      expect(last().sent.at(-1)).toEqual({ type: "ping" });
      last().events.onMessage({ type: "pong" });
    }
    expect(last().killed).toEqual([]);
    vi.advanceTimersByTime(DEAF_AFTER_MS + PING_EVERY_MS);
    expect(last().killed).toEqual(["SIGKILL"]);
    last().events.onExit(null, "SIGKILL");
    vi.advanceTimersByTime(1_000);
    expect(started).toHaveLength(2);
    expect(messages).toEqual([]);
    kept.kill();
    last().events.onExit(null, "SIGKILL");
  });

  it("is not taken for deaf because the computer slept", () => {
    const { kept, last } = setUp();
    kept.start();
    vi.advanceTimersByTime(PING_EVERY_MS);
    last().events.onMessage({ type: "pong" });
    vi.setSystemTime(Date.now() + 8 * 3_600_000);
    vi.advanceTimersByTime(PING_EVERY_MS);
    expect(last().killed).toEqual([]);
    kept.kill();
    last().events.onExit(null, "SIGKILL");
  });

  it("that was put aside for a full disk is tried again within a minute", () => {
    const { kept, started, last } = setUp();
    kept.start();
    for (let crash = 0; crash < 5; crash += 1) {
      kept.failing("disk-full", "The disk is full.");
      last().events.onExit(1, null);
      if (crash < 4) vi.advanceTimersByTime(5_000);
    }
    expect(kept.state.kind).toBe("aside");
    const before = started.length;
    vi.advanceTimersByTime(60_000);
    expect(started).toHaveLength(before + 1);
    kept.kill();
    last().events.onExit(null, "SIGKILL");
  });

  const keepFailing = ({ kept, last }: ReturnType<typeof setUp>): void => {
    for (let crash = 0; crash < 5; crash += 1) {
      kept.failing("model-too-big", "The model does not fit into this computer's memory.");
      last().events.onExit(1, null);
      vi.advanceTimersByTime(5_000);
    }
  };

  it("that was put aside is tried again after a while, since nobody may be there", async () => {
    const set = setUp();
    set.kept.start();
    keepFailing(set);
    vi.advanceTimersByTime(ASIDE_MS);
    expect(set.started).toHaveLength(6);
    expect(set.kept.state.kind).toBe("running");
    keepFailing(set);
    const tried = set.started.length;
    await set.kept.stop("quit");
    vi.advanceTimersByTime(2 * ASIDE_MS);
    expect(set.started).toHaveLength(tried);
  });

  it("that keeps failing is put aside with its own reason, until somebody asks for it", () => {
    const set = setUp();
    const { kept, started } = set;
    kept.start();
    keepFailing(set);
    expect(started).toHaveLength(5);
    expect(kept.state).toMatchObject({ kind: "aside", crash: { code: "model-too-big" } });
    kept.start();
    expect(started).toHaveLength(6);
  });

  it("does not come back when it is stopped during the pause before a restart", async () => {
    const { kept, started, last } = setUp();
    kept.start();
    last().events.onExit(1, null);
    last().events.onExit(2, null);
    expect(kept.state.kind).toBe("restarting");
    await kept.stop("quit");
    vi.runAllTimers();
    expect(started).toHaveLength(2);
  });

  it("passes on what the process of now says, not what an old one left behind", () => {
    const { kept, started, messages } = setUp();
    kept.start();
    started[0]?.events.onExit(1, null);
    started[0]?.events.onMessage("old");
    started[1]?.events.onMessage("new");
    expect(messages).toEqual(["new"]);
  });
});

it("every child is told to leave ONNX Runtime's telemetry off", () => {
  expect(childEnvironment({ ORT_DISABLE_TELEMETRY: "0" }, "darwin")).toHaveProperty(
    "ORT_DISABLE_TELEMETRY",
    "1",
  );
  expect(childEnvironment({}, "linux")).toHaveProperty("MALLOC_TOP_PAD_", "16777216");
});

it.each([
  [undefined, "glibc.malloc.hugetlb=1"],
  ["glibc.malloc.check=1", "glibc.malloc.hugetlb=1:glibc.malloc.check=1"],
  ["glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"],
])("every child on Linux asks for large pages, unless its user has said %s", (said, told) => {
  expect(childEnvironment({ GLIBC_TUNABLES: said }, "linux")).toHaveProperty("GLIBC_TUNABLES", told);
});
