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
