import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HOUR_MS } from "../../src-protocol/history.ts";
import { networkId } from "../../src-protocol/networks.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { workingState } from "../../src-protocol/working-state.test-support.ts";
import { HistoryKeeper } from "./history-keeper.ts";
import { MIGRATIONS } from "./history-store.ts";

const TEN = 10 * HOUR_MS;
let folder: string;
let wall: number;
let steady: number;
let state: DaemonState;
let failures: unknown[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah history "));
  wall = TEN;
  steady = 0;
  state = workingState();
  failures = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = () => join(folder, "history.db");
const open = (isNew = false) =>
  new HistoryKeeper(path(), {
    isNew,
    state: () => state,
    now: () => wall,
    steady: () => steady,
    failed: (error) => failures.push(error),
  });
const pass = (ms: number) => {
  wall += ms;
  steady += ms;
};
const earned = (keeper: HistoryKeeper, rao: number) =>
  keeper.earned({ ...state.earnings, accruedRao: String(rao), claimedRao: "0" });

describe("the history of hours", () => {
  it("counts time only while it trains, and never the time that the computer slept", () => {
    const keeper = open();
    keeper.look();
    pass(20_000);
    keeper.look();
    state = { ...state, node: { ...state.node, phase: "loading" } };
    keeper.look();
    pass(20_000);
    keeper.look();
    // Its own slice is ready, and others still load theirs.
    state = workingState();
    if (state.run !== null) state = { ...state, run: { ...state.run, phase: "forming" } };
    keeper.look();
    pass(20_000);
    keeper.look();
    state = workingState();
    keeper.look();
    pass(8 * HOUR_MS);
    keeper.look();
    expect(keeper.hours(0, TEN * 3).map(({ workedMs }) => workedMs)).toEqual([20_000 + 60_000]);
    keeper.stop();
  });

  it("counts what was earned since the last look, over restarts and kills, once", () => {
    let keeper = open();
    earned(keeper, 5_000);
    keeper.save();
    earned(keeper, 5_400);
    pass(HOUR_MS);
    keeper.save();
    // Killed: not closed. What was earned until the next start counts then.
    keeper = open();
    earned(keeper, 6_000);
    pass(HOUR_MS);
    expect(keeper.hours(0, 2 * TEN).map(({ at, earnedRao }) => [at / HOUR_MS, earnedRao])).toEqual([
      [10, "0"],
      [11, "400"],
      [12, "600"],
    ]);
    keeper.stop();
  });

  it("counts the first that a new network has paid, and of one that was there before only what is more", () => {
    const keeper = open(true);
    earned(keeper, 300);
    expect(keeper.hours(0, 2 * TEN).map(({ earnedRao }) => earnedRao)).toEqual(["300"]);
    keeper.stop();
    rmSync(path());
    const other = open();
    earned(other, 300);
    expect(other.hours(0, 2 * TEN).map(({ earnedRao }) => earnedRao)).toEqual(["0"]);
    other.stop();
  });

  it("keeps networks apart: what one has earned is no news when it is joined again", () => {
    const keeper = open();
    earned(keeper, 1_000);
    keeper.save();
    const here = state.network;
    state = { ...state, network: { ...here, kind: "remote", id: networkId.parse("ab".repeat(8)) } };
    earned(keeper, 70_000);
    keeper.save();
    earned(keeper, 70_001);
    keeper.save();
    state = { ...state, network: here };
    earned(keeper, 1_010);
    expect(keeper.hours(0, 2 * TEN)).toMatchObject([{ earnedRao: "11" }]);
    keeper.stop();
  });

  it("counts tokens of finished steps of the same run only", () => {
    const keeper = open();
    const at = (step: number, runId = "run-1") => {
      if (state.run !== null) state = { ...state, run: { ...state.run, step, runId } };
      keeper.save();
    };
    at(20);
    at(22);
    at(3, "run-2");
    at(4, "run-2");
    expect(keeper.hours(0, 2 * TEN)[0]?.tokens).toBe(3 * 3072);
    keeper.stop();
  });

  it("that cannot be read is set aside, said, and begun anew", () => {
    writeFileSync(path(), "no database, and longer than sixteen bytes");
    const keeper = open();
    earned(keeper, 1);
    keeper.save();
    expect(failures).toHaveLength(1);
    expect(readFileSync(`${path()}.unreadable`, "utf8")).toMatch(/^no database/);
    expect(keeper.hours(0, 2 * TEN)).toHaveLength(1);
    keeper.stop();
  });

  it("writes nothing while nothing happens", () => {
    const keeper = open();
    state = { ...state, decision: { action: "pause", reasons: ["manual-pause"], nextChange: null } };
    keeper.look();
    earned(keeper, 7);
    keeper.save();
    const rows = () => {
      const reader = new DatabaseSync(path(), { readOnly: true });
      const found = reader.prepare("SELECT count(*) AS n FROM hours").get();
      reader.close();
      return found?.["n"];
    };
    expect(rows()).toBe(1);
    pass(5 * HOUR_MS);
    keeper.save();
    expect(rows()).toBe(1);
    keeper.stop();
  });
});

it("bytes and watts stand by the hour, each where only the other is known too", () => {
  const keeper = open();
  keeper.moved(1000, 200);
  keeper.save();
  const drawn = { joules: 3600, ms: 60_000, measured: "the processor alone" };
  keeper.drew(drawn);
  keeper.drew(drawn);
  pass(HOUR_MS);
  keeper.drew({ joules: 1800, ms: 60_000, measured: "the graphics card alone" });
  expect(keeper.computer(0, 2 * TEN)).toEqual([
    {
      at: TEN,
      sentBytes: 1000,
      receivedBytes: 200,
      wattHours: 2,
      measuredMs: 120_000,
      measured: "the processor alone",
    },
    {
      at: TEN + HOUR_MS,
      sentBytes: 0,
      receivedBytes: 0,
      wattHours: 0.5,
      measuredMs: 60_000,
      measured: "the graphics card alone",
    },
  ]);
  keeper.stop();
});

describe("the history of changes", () => {
  const waiting: DaemonState["decision"] = {
    action: "pause",
    reasons: ["in-use", "on-power"],
    nextChange: null,
  };

  it("says what it changed to, why and by whom, and keeps quiet about what only supports that", () => {
    const keeper = open();
    keeper.look();
    pass(60_000);
    state = { ...state, decision: waiting, node: { ...state.node, phase: "paused" } };
    keeper.look();
    state = { ...state, decision: { ...waiting, reasons: ["in-use"] } };
    keeper.look();
    pass(60_000);
    const lease = { id: "a1", name: "Helper" };
    const override = { action: "run", since: wall, until: wall + HOUR_MS, by: "agent", lease } as const;
    state = { ...workingState(), override, decision: { ...waiting, action: "run", reasons: ["agent-run"] } };
    keeper.look();
    expect(keeper.changes(0, 2 * TEN, 10)).toEqual([
      {
        at: TEN + 120_000,
        from: "pause",
        to: "run",
        phase: "training",
        reasons: ["agent-run"],
        who: "agent Helper",
      },
      {
        at: TEN + 60_000,
        from: "run",
        to: "pause",
        phase: "paused",
        reasons: ["in-use", "on-power"],
        who: null,
      },
      expect.objectContaining({ at: TEN, from: null, to: "run", phase: "training" }),
    ]);
    keeper.stop();
  });

  it("tells an end from being cut off", () => {
    const first = open();
    first.look();
    first.stop();
    const second = open();
    second.look();
    // Killed: it says nothing more.
    const third = open();
    third.look();
    expect(third.changes(0, 2 * TEN, 10).map(({ from, to }) => [from, to])).toEqual([
      [null, "run"],
      ["off", "run"],
      ["run", "off"],
      [null, "run"],
    ]);
    third.stop();
    second.stop();
  });
});

/** A row in each table that a version had. */
const ROWS = [
  `INSERT INTO hours VALUES (${TEN}, '', 'test', '400', 60000, 3072);
   INSERT INTO totals VALUES ('', 'test', '400')`,
  `INSERT INTO presence VALUES (${TEN}, 1000, 2000); INSERT INTO traffic VALUES (${TEN}, 5, 7)`,
  `INSERT INTO changes (at, became, phase, reasons) VALUES (${TEN}, 'run', 'training', 'always-allowed')`,
  `INSERT INTO power VALUES (${TEN}, 7200, 60000, 'the processor alone')`,
];

describe("a database of an earlier version", () => {
  it.each(MIGRATIONS.map((_, index) => index))("%i steps old: nothing in it is lost", (age) => {
    const version = MIGRATIONS.length - age;
    const old = new DatabaseSync(path());
    for (let step = 0; step < version; step += 1) old.exec(`${MIGRATIONS[step]}; ${ROWS[step]}`);
    old.exec(`PRAGMA user_version = ${version}`);
    old.close();
    const keeper = open();
    expect(failures).toEqual([]);
    expect(keeper.hours(0, 2 * TEN)).toEqual([
      { at: TEN, asset: "test", earnedRao: "400", workedMs: 60_000, tokens: 3072 },
    ]);
    expect(keeper.bytesSince(0)).toBe(version >= 2 ? 12 : 0);
    expect(keeper.store?.presence(0)).toHaveLength(version >= 2 ? 1 : 0);
    expect(keeper.changes(0, 2 * TEN, 10)).toHaveLength(version >= 3 ? 2 : 1);
    const [hour] = keeper.computer(0, 2 * TEN);
    expect(hour?.wattHours ?? null).toBe(version >= 4 ? 2 : null);
    keeper.stop();
  });

  it("one of a later version is left as it is, and said", () => {
    const newer = new DatabaseSync(path());
    newer.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`);
    newer.close();
    open().stop();
    expect(failures).toHaveLength(1);
    expect(readFileSync(`${path()}.unreadable`).byteLength).toBeGreaterThan(0);
  });
});
