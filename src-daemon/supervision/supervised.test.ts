import { spawn } from "node:child_process";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { daemonToOrchestrator } from "../../src-protocol/daemon-ipc.ts";
import { sessionKey, ss58Address } from "../../src-protocol/keys.ts";
import type { ChildEvents } from "../children/child.ts";
import type { KeptState } from "../children/kept-child.ts";
import { OrchestratorProcess } from "./orchestrator-process.ts";
import { planRun } from "../runs/run-plan.ts";
import { WorkerProcess } from "./worker-process.ts";
import type { WorkerPhase } from "./worker-process.ts";

interface Started {
  readonly events: ChildEvents;
  readonly sent: { type: string; port?: number; orchestratorUrl?: string }[];
}

/** Processes that do what a test tells them to. */
function fakeProcesses() {
  const started: Started[] = [];
  const states: KeptState["kind"][] = [];
  let pid: number | null = null;
  return {
    started,
    states,
    hasPid: (real: number) => void (pid = real),
    last(): Started {
      const found = started.at(-1);
      if (found === undefined) throw new Error("nothing was started");
      return found;
    },
    ports: {
      start(events: ChildEvents) {
        const child: Started = { events, sent: [] };
        started.push(child);
        return {
          pid: pid ?? started.length,
          send: (message: object) => void child.sent.push(message as Started["sent"][number]),
          kill: () => events.onExit(null, "SIGKILL"),
        };
      },
      onLine: () => {},
      onState: (state: KeptState) => void states.push(state.kind),
      onStrange: () => void states.push("aside"),
    },
  };
}

describe("the orchestrator's process", () => {
  const run = planRun({
    corpus: { name: "Moby-Dick", sha256: "ab".repeat(32), bytes: 1_000_000 },
    size: "tiny",
    steps: null,
    workers: 3,
  });
  const settings = {
    network: "embedded",
    folder: "/n",
    run,
    corpusFile: "/c",
    modelFiles: [],
    raoPerTeraflop: "1",
    payouts: [],
  };
  let fake: ReturnType<typeof fakeProcesses>;
  let urls: (string | null)[];
  let orchestrator: OrchestratorProcess;
  beforeEach(() => {
    fake = fakeProcesses();
    urls = [];
    orchestrator = new OrchestratorProcess(settings, {
      ...fake.ports,
      onUrl: (url) => void urls.push(url),
      onNote: () => {},
    });
  });

  it("comes back at the address it had, so that workers find it again", async () => {
    const start = orchestrator.start();
    expect(fake.last().sent).toMatchObject([{ type: "start", port: 0 }]);
    fake.last().events.onMessage({ type: "listening", url: "http://127.0.0.1:4711" });
    expect(await start).toBe("http://127.0.0.1:4711");
    fake.last().events.onExit(null, "SIGKILL");
    expect(fake.last().sent).toMatchObject([{ type: "start", port: 4711 }]);
    fake.last().events.onMessage({ type: "listening", url: "http://127.0.0.1:4711" });
    expect(urls).toEqual(["http://127.0.0.1:4711", null, "http://127.0.0.1:4711"]);
  });

  it("takes another port when its old one was taken meanwhile", async () => {
    const start = orchestrator.start();
    fake.last().events.onMessage({ type: "listening", url: "http://127.0.0.1:4711" });
    await start;
    fake.last().events.onExit(1, null);
    fake.last().events.onMessage({ type: "failed", code: "port-in-use", message: "Taken." });
    fake.last().events.onExit(1, null);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(fake.last().sent).toMatchObject([{ type: "start", port: 0 }]);
  });

  it("is asked to end in words that it understands", async () => {
    const start = orchestrator.start();
    fake.last().events.onMessage({ type: "listening", url: "http://127.0.0.1:4711" });
    await start;
    const stopped = orchestrator.stop("Train at Home is ending");
    for (const message of fake.last().sent) expect(daemonToOrchestrator.parse(message)).toEqual(message);
    expect(fake.last().sent.at(-1)?.type).toBe("stop");
    fake.last().events.onExit(0, null);
    await stopped;
  });

  it("that is stopped before it has answered keeps nobody waiting", async () => {
    const start = orchestrator.start();
    const stopped = orchestrator.stop("Train at Home is ending");
    await expect(start).rejects.toMatchObject({ code: "network-stopped" });
    fake.last().events.onExit(0, null);
    await stopped;
  });

  it("that kept failing is tried again when that is asked for", async () => {
    vi.useFakeTimers();
    const start = orchestrator.start();
    fake.last().events.onMessage({ type: "listening", url: "http://127.0.0.1:4711" });
    await start;
    orchestrator.retry();
    expect(fake.started).toHaveLength(1);
    for (let crash = 0; crash < 5; crash += 1) {
      fake.last().events.onMessage({ type: "failed", code: "folder-full", message: "No space." });
      fake.last().events.onExit(1, null);
      await vi.advanceTimersByTimeAsync(5_000);
    }
    expect(fake.states.at(-1)).toBe("aside");
    const before = fake.started.length;
    orchestrator.retry();
    expect(fake.started).toHaveLength(before + 1);
    fake.last().events.onMessage({ type: "listening", url: "http://127.0.0.1:4712" });
    expect(urls.at(-1)).toBe("http://127.0.0.1:4712");
    vi.useRealTimers();
  });

  it("says why it cannot start", async () => {
    const start = orchestrator.start();
    fake.last().events.onMessage({ type: "failed", code: "store-corrupt", message: "It is damaged." });
    await expect(start).rejects.toMatchObject({ code: "store-corrupt", message: "It is damaged." });
    orchestrator.kill();
  });
});

describe("a worker's process", () => {
  const hotkey = {
    address: ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
    sign: () => `0x${"00".repeat(64)}`,
  };
  const key = { type: "sessionKey", sessionKey: sessionKey.parse("aa".repeat(32)) };
  let fake: ReturnType<typeof fakeProcesses>;
  let phases: (WorkerPhase["phase"] | null)[];
  let crashes: string[];
  let faults: [provider: string, ending: string][];
  let worker: WorkerProcess;
  let states: KeptState[];
  beforeEach(() => {
    fake = fakeProcesses();
    states = [];
    phases = [];
    faults = [];
    crashes = [];
    worker = new WorkerProcess(
      { name: "worker", hotkey, folder: "/w" },
      { network: "embedded", access: null, threads: 1 },
      {
        ...fake.ports,
        onState: (state) => void states.push(state),
        onPhase: (phase) => void phases.push(phase?.phase ?? null),
        onProviderFault: (provider, ending) => void faults.push([provider, ending]),
        onTransportCrash: (sentence) => void crashes.push(sentence),
      },
    );
  });

  it("goes on over TLS when the links' transport has crashed three times, and blames nothing else", () => {
    const link = {
      peer: key.sessionKey,
      side: "next",
      kind: "punched",
      transport: "hyperdht",
      roundTripMs: null,
      sentAs: null,
      receivedAs: null,
      mbitUp: 0,
      mbitDown: 0,
      dialMs: null,
      why: null,
    };
    const reach = { state: "unknown", detail: "" };
    vi.useFakeTimers();
    worker.start();
    worker.networkAt("http://127.0.0.1:1/");
    for (let count = 0; count < 3; count++) {
      const { events } = fake.last();
      events.onMessage(key);
      events.onMessage({ type: "links", status: { links: [link], reach, hyperdhtOff: null } });
      events.onExit(null, "SIGSEGV");
      vi.advanceTimersByTime(60_000);
    }
    fake.last().events.onMessage(key);
    expect(crashes.at(-1)).toContain("goes on over TLS");
    expect(faults).toEqual([]);
    expect(fake.last().sent.at(-1)).toMatchObject({ hyperdhtOff: expect.stringContaining("3 times") });
    worker.kill();
    vi.useRealTimers();
  });

  it.each(["its key first", "the network first"])("is sent to work when both are known: %s", (order) => {
    worker.start();
    if (order === "its key first") fake.last().events.onMessage(key);
    worker.networkAt("http://127.0.0.1:1");
    if (order === "the network first") fake.last().events.onMessage(key);
    expect(fake.last().sent).toMatchObject([{ type: "start", orchestratorUrl: "http://127.0.0.1:1" }]);
  });

  it.runIf(process.platform === "linux")(
    "that holds more memory than its owner allows is ended, and started again with its budget",
    async () => {
      const heavy = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
      fake.hasPid(heavy.pid ?? 0);
      worker.networkAt("http://127.0.0.1:1");
      worker.hold({ threads: 1, cpus: null, quiet: false, memoryBytes: 1e12 });
      worker.start();
      fake.last().events.onMessage(key);
      expect(fake.last().sent).toMatchObject([{ type: "start", memoryBytes: 1e12 }]);
      await vi.waitFor(() => expect(worker.lookAtMemory()).toBeGreaterThan(20e6));
      expect(fake.started).toHaveLength(1);
      worker.hold({ threads: 1, cpus: null, quiet: false, memoryBytes: 10e6 });
      fake.last().events.onExit(0, null);
      await vi.waitFor(() => expect(fake.started).toHaveLength(2));
      fake.last().events.onMessage(key);
      worker.lookAtMemory();
      expect(states.at(-2)).toMatchObject({
        kind: "restarting",
        crash: {
          code: "memory-limit",
          message: expect.stringMatching(/^It held \d+ MB of memory and you allow it 10 MB/),
        },
      });
      heavy.kill("SIGKILL");
    },
  );

  it("is told when its work ends, once, and so is the process that comes after a crash", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    worker.networkAt("http://127.0.0.1:1");
    worker.start();
    fake.last().events.onMessage(key);
    worker.endAt(performance.now() + 60_000);
    worker.endAt(performance.now() + 60_200);
    expect(fake.last().sent.filter(({ type }) => type === "ends")).toEqual([{ type: "ends", inMs: 60_000 }]);
    vi.advanceTimersByTime(10_000);
    fake.last().events.onExit(null, "SIGKILL");
    fake.last().events.onMessage(key);
    expect(fake.last().sent[0]).toEqual({ type: "ends", inMs: 50_000 });
    vi.useRealTimers();
  });

  it("is told where it stands only when its owner has said so, and so is the process after a crash", () => {
    worker.networkAt("http://127.0.0.1:1");
    worker.start();
    fake.last().events.onMessage(key);
    worker.standsIn(null);
    expect(fake.last().sent.map(({ type }) => type)).toEqual(["start"]);
    worker.standsIn("DE");
    worker.standsIn("DE");
    fake.last().events.onExit(null, "SIGKILL");
    fake.last().events.onMessage(key);
    expect(fake.last().sent).toMatchObject([{ type: "country", country: "DE" }, { type: "start" }]);
    worker.standsIn(null);
    expect(fake.last().sent.at(-1)).toEqual({ type: "country", country: null });
  });

  it("gets a new delegation for the new session key after a crash", () => {
    worker.networkAt("http://127.0.0.1:1");
    worker.start();
    fake.last().events.onMessage(key);
    fake.last().events.onExit(null, "SIGKILL");
    expect(fake.last().sent).toEqual([]);
    fake.last().events.onMessage(key);
    expect(fake.last().sent).toMatchObject([{ type: "start" }]);
  });

  it("stays while the orchestrator is away, and moves when it comes back elsewhere", async () => {
    worker.networkAt("http://127.0.0.1:1");
    worker.start();
    fake.last().events.onMessage(key);
    worker.networkAt(null);
    worker.networkAt("http://127.0.0.1:1");
    expect(fake.started).toHaveLength(1);
    worker.networkAt("http://127.0.0.1:2");
    expect(fake.last().sent.at(-1)).toMatchObject({ type: "stop" });
    fake.last().events.onExit(0, null);
    await new Promise(setImmediate);
    fake.last().events.onMessage(key);
    expect(fake.last().sent).toMatchObject([{ type: "start", orchestratorUrl: "http://127.0.0.1:2" }]);
  });

  it("starts again to compute with another provider, and not for the one that it has", async () => {
    worker.networkAt("http://127.0.0.1:1");
    worker.start();
    fake.last().events.onMessage(key);
    expect(fake.last().sent).toMatchObject([{ type: "start", executionProvider: "cpu" }]);
    worker.use("cpu");
    expect(fake.last().sent).toHaveLength(1);
    worker.use("webgpu");
    expect(fake.last().sent.at(-1)).toMatchObject({ type: "stop" });
    fake.last().events.onExit(0, null);
    await new Promise(setImmediate);
    fake.last().events.onMessage(key);
    expect(fake.last().sent).toMatchObject([{ type: "start", executionProvider: "webgpu" }]);
  });

  it("that was told of a provider before it works has nothing to start again for", () => {
    worker.use("webgpu");
    worker.networkAt("http://127.0.0.1:1");
    worker.start();
    fake.last().events.onMessage(key);
    expect(fake.started).toHaveLength(1);
    expect(fake.last().sent).toMatchObject([{ type: "start", executionProvider: "webgpu" }]);
  });

  it.each<[string, { failed?: string; signal?: NodeJS.Signals }, boolean]>([
    ["a driver's crash", { signal: "SIGSEGV" }, true],
    ["a graph that the driver refuses", { failed: "graph-refused" }, true],
    ["a kill from outside", { signal: "SIGKILL" }, false],
    ["a full disk", { failed: "disk-full" }, false],
  ])("is a provider's fault or not: %s", (_, { failed, signal }, isFault) => {
    worker.use("webgpu");
    worker.networkAt("http://127.0.0.1:1");
    worker.start();
    fake.last().events.onMessage(key);
    if (failed !== undefined) fake.last().events.onMessage({ type: "failed", code: failed, message: "No." });
    fake.last().events.onExit(signal === undefined ? 1 : null, signal ?? null);
    expect(faults).toEqual(isFault ? [["webgpu", failed ?? `signal-${signal}`]] : []);
  });

  it("has no phase any more once it is gone", async () => {
    worker.start();
    fake
      .last()
      .events.onMessage({ type: "phase", phase: "training", detail: "Training.", stage: 0, loading: null });
    const stopped = worker.stop("paused");
    fake.last().events.onExit(0, null);
    await stopped;
    expect(phases.filter((phase, index) => phase !== phases[index - 1])).toEqual(["training", null]);
  });
});
