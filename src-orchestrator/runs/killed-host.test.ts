import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { Homes, trained, run as homesRun } from "../replicas/homes.test-support.ts";
import { JournalFile } from "../stores/journal-file.ts";
import { identify, keepRun, newestGeneration, remember } from "../stores/run-store.ts";
import { Store } from "../stores/store.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { Fleet, testHotkey, testKey, testRun } from "./fleet.test-support.ts";
import type { NetworkEvent } from "./network-state.ts";
import { RunHost } from "./run-host.ts";
import type { RunSpec } from "../../src-protocol/model.ts";

/** A host with its store and its journal, as an orchestrator's process has them. */
class Process {
  readonly folder: string;
  readonly store: Store;
  readonly host: RunHost;
  readonly said: [SessionKey, string][];
  readonly time: { now: number; date: number };

  private constructor(
    folder: string,
    store: Store,
    host: RunHost,
    said: [SessionKey, string][],
    time: { now: number; date: number },
  ) {
    this.folder = folder;
    this.store = store;
    this.host = host;
    this.said = said;
    this.time = time;
    open.add(this);
  }

  static async start(
    folder: string,
    run: RunSpec,
    time: { now: number; date: number },
    { most = 2, version = "1" } = {},
  ): Promise<Process> {
    const store = Store.open(folder, (error) => {
      throw error;
    });
    const { genesis, life } = await identify(store, "test", 0);
    await keepRun(store, run, 0);
    const host = new RunHost({
      store,
      run,
      facts: Array.from({ length: run.stages }, () => ({
        memoryBytes: 1,
        flops: 1,
        parameterCount: 1,
        isTied: false,
        sumValues: 1,
        tiedValues: 0,
        boundaryBytes: 0,
      })) as never,
      remembered: () => remember(store, run, life, () => true),
      steady: () => time.now,
      date: () => time.date,
      block: () => 0,
      onCheckpoints: () => undefined,
      onForgotten: () => undefined,
      replicas: { network: "homes", most },
      journal: {
        file: new JournalFile(join(folder, "journal")),
        version,
        genesis,
        life,
        stored: () => newestGeneration(store, run.runId),
      },
    });
    return new Process(folder, store, host, [], time);
  }

  happens(event: NetworkEvent): void {
    this.time.date += Math.max(0, event.now - this.time.now);
    this.time.now = Math.max(this.time.now, event.now);
    const connection = {
      say: (text: string) => this.said.push([(event as { sessionKey: SessionKey }).sessionKey, text]),
      ask: () => undefined,
    };
    if (event.type === "joined") this.host.join(event, connection as never, `lane of ${event.sessionKey}`);
    else this.host.dispatch(event);
  }

  /** What is known of the run in this moment. */
  get known(): unknown {
    return structuredClone(this.host["memory"].toKept());
  }

  /** Of what was told to be remembered. */
  get rows(): unknown {
    this.store.flush();
    return TABLES.map((table) => this.store.all(`SELECT * FROM ${table}`));
  }

  /** All that a SIGKILL in this moment leaves, in another folder. */
  left(): string {
    const folder = temporaryFolder();
    cpSync(this.folder, folder, { recursive: true });
    return folder;
  }

  end(): void {
    this.host.stop();
    this.store.close();
    open.delete(this);
  }
}

const TABLES = ["generations", "assignments", "points", "saves", "checkpoints", "shares", "trusted", "runs"];
const open = new Set<Process>();
afterEach(() => {
  for (const process of open) process.end();
});

const DATE = 1_700_000_000_000;

/** The same events, with kills after some of them: all that is known and stored is what it is without any. */
async function sameWithKills(
  run: RunSpec,
  most: number,
  events: readonly NetworkEvent[],
  kills: readonly number[],
): Promise<number> {
  const at = { now: (events[0]?.now ?? 1) - 1, date: DATE };
  const undisturbed = await Process.start(temporaryFolder(), run, { ...at }, { most });
  let one = await Process.start(temporaryFolder(), run, { ...at }, { most });
  for (const [index, event] of events.entries()) {
    undisturbed.happens(event);
    one.happens(event);
    if (!kills.includes(index)) continue;
    const { known, time } = one;
    const { rows } = undisturbed;
    const folder = one.left();
    one.end();
    // Its clock is another one, and shows anything.
    one = await Process.start(folder, run, { now: time.now, date: time.date + 1_000 }, { most });
    expect(one.known).toEqual(known);
    expect(one.known).toEqual(undisturbed.known);
    expect(one.rows).toEqual(rows);
    one.host["awaited"].clear();
    one.host["goOnWith"](null);
    one.time.date = time.date;
  }
  expect(one.known).toEqual(undisturbed.known);
  expect(one.rows).toEqual(undisturbed.rows);
  const { step } = one.host.view();
  one.end();
  undisturbed.end();
  return step;
}

test("killed anywhere, with replicas, the process after it knows all that is known of the run", async () => {
  const homes = new Homes();
  const keys = Array.from({ length: 6 }, () => homes.join());
  await trained(homes, 2);
  homes.leave(keys[1] ?? ("" as never));
  homes.join();
  await trained(homes, 4);
  const { events } = homes;
  const kills = events.flatMap((_, index) => (index % 7 === 0 ? [index] : []));
  expect(await sameWithKills(homesRun, 2, events, kills)).toBe(homes.state.step);
  expect(homes.state.step).toBeGreaterThanOrEqual(4);
}, 60_000);

test("killed and started again long after, it begins anew from what was known, though the store had not got all of it", async () => {
  const homes = new Homes();
  for (let i = 0; i < 6; i++) homes.join();
  await trained(homes, 3);
  const at = { now: (homes.events[0]?.now ?? 1) - 1, date: DATE };
  const one = await Process.start(temporaryFolder(), homesRun, at);
  for (const event of homes.events) one.happens(event);
  const folder = one.left();
  const stored = Store.open(one.left(), () => undefined);
  expect(stored.get("SELECT max(step) AS step FROM saves")).not.toEqual({ step: 3n });
  stored.close();
  const { rows, time } = one;
  one.end();
  const next = await Process.start(folder, homesRun, { now: 0, date: time.date + 3_600_000 });
  expect(next.host.view()).toMatchObject({ phase: "waiting", step: 3 });
  expect(next.rows).toEqual(rows);
  const { stages, nodes } = next.host["memory"].state;
  expect(nodes.size).toBe(0);
  expect(stages.map(({ saves }) => saves.get(3))).toEqual(
    homes.state.stages.map(({ saves }) => saves.get(3)),
  );
  next.end();
});

test("the same for whatever happens to slices without replicas", { timeout: 60_000 }, async () => {
  const command = fc.oneof(
    fc.record({ do: fc.constantFrom("join" as const, "hear" as const), who: fc.nat(3) }),
    fc.record({ do: fc.constantFrom("leave" as const), who: fc.nat(3) }),
    fc.record({ do: fc.constantFrom("tick" as const), who: fc.nat(4_000) }),
    fc.record({ do: fc.constantFrom("work" as const, "hearAll" as const), who: fc.nat(1) }),
    fc.record({ do: fc.constantFrom("hearAll" as const), who: fc.nat(1) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 20, maxLength: 80 }),
      fc.array(fc.nat(150), { minLength: 1, maxLength: 4 }),
      async (commands, kills) => {
        const run = testRun({ stages: 2, steps: 9, checkpointEverySteps: 3 });
        const fleet = new Fleet(run, 4);
        for (const { do: what, who } of commands) {
          if (what === "join") fleet.join(who);
          else if (what === "hear") fleet.hear(who);
          else if (what === "leave") fleet.leave(who);
          else if (what === "tick") fleet.tick(who + 1);
          else if (what === "work") fleet.work();
          else fleet.hearAll();
        }
        expect(await sameWithKills(run, 1, fleet.events, kills)).toBe(fleet.state.step);
      },
    ),
    { seed: 20_261_130, numRuns: 15 },
  );
});

/** A network in the middle of a step, and what a kill leaves of it. */
async function killed(): Promise<{ folder: string; known: unknown; time: { now: number; date: number } }> {
  const homes = new Homes();
  for (let i = 0; i < 6; i++) homes.join();
  await trained(homes, 2);
  const one = await Process.start(temporaryFolder(), homesRun, { now: 1, date: DATE });
  for (const event of homes.events) one.happens(event);
  const { known, time } = one;
  const folder = one.left();
  one.end();
  return { folder, known, time };
}

test("what is of another program, of another run, damaged or old is nothing: all begins as after any other end", async () => {
  const { folder, known, time } = await killed();
  const after = async (change: {
    version?: string;
    run?: RunSpec;
    date?: number;
    spoil?: (path: string) => void;
  }): Promise<unknown> => {
    const copy = temporaryFolder();
    cpSync(folder, copy, { recursive: true });
    change.spoil?.(join(copy, "journal"));
    const at = { now: time.now, date: time.date + (change.date ?? 0) };
    const one = await Process.start(copy, change.run ?? homesRun, at, change);
    const { nodes } = one.host.view();
    return nodes === 0 ? "begins anew" : one.known;
  };
  expect(await after({})).toEqual(known);
  expect(await after({ date: 50_000 })).toEqual(known);
  const spoiled = (at: number) => (path: string) => {
    const bytes = readFileSync(path);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  };
  expect([
    await after({ version: "2" }),
    await after({ run: { ...homesRun, evaluateEverySteps: 7 } }),
    await after({ date: 70_000 }),
    await after({ date: -70_000 }),
    await after({ spoil: spoiled(20) }),
    await after({ spoil: (path) => writeFileSync(path, "") }),
  ]).toEqual(Array.from({ length: 6 }, () => "begins anew"));
});

test("a store that is newer, or older, than what is written down goes its own way", async () => {
  const { folder, time } = await killed();
  const store = Store.open(folder, () => undefined);
  void store.write(() =>
    store.run("UPDATE generations SET finishedStep = finishedStep + 5 WHERE generation > 0"),
  );
  store.close();
  const newer = await Process.start(folder, homesRun, { ...time });
  expect(newer.host.view().nodes).toBe(0);
  newer.end();
  const other = (await killed()).folder;
  const older = Store.open(other, () => undefined);
  void older.write(() => older.run("UPDATE meta SET value = '0' WHERE key = 'life'"));
  older.close();
  expect((await Process.start(other, homesRun, { ...time })).host.view().nodes).toBe(0);
});

test("closed in order it leaves nothing to go on from", async () => {
  const { folder, time } = await killed();
  const one = await Process.start(folder, homesRun, { ...time });
  expect(one.host.view().nodes).toBe(6);
  one.host.close();
  one.end();
  expect((await Process.start(folder, homesRun, { ...time })).host.view().nodes).toBe(0);
});

test("killed again before anybody is back, it knows all the same", async () => {
  const { folder, known, time } = await killed();
  const second = await Process.start(folder, homesRun, { ...time });
  expect(second.known).toEqual(known);
  const third = await Process.start(second.left(), homesRun, { ...time });
  expect(third.known).toEqual(known);
});

test("until all who were there are back it is no later, and who is not back in time has left", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const { folder, time } = await killed();
    const at = { now: 5, date: time.date + 800 };
    const { host } = await Process.start(folder, homesRun, at);
    host.open();
    const { elapsedMs, generation } = host.pipeline();
    const keys = host.nodes().map(({ sessionKey }) => sessionKey);
    const linkAddress = { host: "h", port: 1 };
    const back = (sessionKey: SessionKey): void =>
      host.goOn(
        { type: "moved", sessionKey, linkAddress, otherAddresses: [] },
        {
          say: () => undefined,
          ask: () => undefined,
        },
      );
    for (const key of keys.slice(0, 4)) back(key);
    at.now += 2_000;
    vi.advanceTimersByTime(2_000);
    back(keys[4] ?? ("" as never));
    expect(host.nodes()).toHaveLength(6);
    expect(host.pipeline()).toEqual({ generation, elapsedMs });
    at.now += 2_000;
    vi.advanceTimersByTime(2_000);
    expect(host.nodes().map(({ sessionKey }) => sessionKey)).toEqual(keys.slice(0, 5));
    at.now += 70;
    expect(host.pipeline()).toEqual({ generation, elapsedMs: elapsedMs + 70 });
  } finally {
    vi.useRealTimers();
  }
});

test("a process that comes in the place of the only one of its hotkey says that that one is gone", async () => {
  const { folder, time } = await killed();
  const one = await Process.start(folder, homesRun, { ...time });
  const joining = (number: number, hotkey: number): void =>
    one.happens({
      type: "joined",
      sessionKey: testKey(number),
      hotkey: testHotkey(hotkey),
      linkAddress: { host: "h", port: 1 },
      memoryBytes: 1e9,
      restorable: [],
      now: time.now,
      date: time.date,
    });
  joining(101, 2);
  expect(one.host.view().nodes).toBe(6);
  // Of two, any could be the one that it stands for.
  joining(102, 1);
  expect(one.host.view().nodes).toBe(7);
});
