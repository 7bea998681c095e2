import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PresenceHour } from "../../src-protocol/forecast.ts";
import { ALWAYS, ONLY_WHEN_ASLEEP } from "../../src-protocol/policy.ts";
import { HistoryStore } from "../history/history-store.ts";
import { hourOfWeek } from "./away-share.ts";
import { Presence } from "./presence-store.ts";
import { suggestSleep } from "./sleep-suggestion.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;
/** A Monday, 00:00 in Berlin. */
const MONDAY = Date.parse("2026-11-02T00:00+01:00");
const ZONE = "Europe/Berlin";

/** So many weeks in which nobody is here from `from` to `to`, by the day of the week. */
function weeks(count: number, asleep: (day: number) => { from: number; to: number }): PresenceHour[] {
  return Array.from({ length: count * 168 }, (_, index) => {
    const at = MONDAY + index * HOUR;
    const sinceNoon = (hourOfWeek(ZONE, at) + 12) % 24;
    const day = Math.floor((((hourOfWeek(ZONE, at) - 12 + 168) % 168) + 0) / 24);
    const { from, to } = asleep(day);
    const away = sinceNoon >= from - 12 && sinceNoon < to + 12;
    return { at, awayMs: away ? HOUR : 0, seenMs: HOUR };
  });
}

describe("hours in which nobody is here", () => {
  it("the same every night: one window, and after three weeks it is sure", () => {
    const said = suggestSleep(
      weeks(3, () => ({ from: 23, to: 7 })),
      ZONE,
      ALWAYS,
    );
    expect(said).toEqual({
      windows: [{ days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], from: "23:00", to: "07:00" }],
      confidence: 1,
      differs: false,
      text: "By the last weeks nobody is here every day 23:00–07:00 (sure).",
    });
  });

  it("a week alone is a first guess", () => {
    expect(
      suggestSleep(
        weeks(1, () => ({ from: 23, to: 7 })),
        ZONE,
        ALWAYS,
      ).confidence,
    ).toBeCloseTo(0.33);
  });

  it("later on the weekend: two windows", () => {
    const said = suggestSleep(
      weeks(3, (day) => (day === 4 || day === 5 ? { from: 24, to: 11 } : { from: 22, to: 6 })),
      ZONE,
      ALWAYS,
    );
    expect(said.windows).toEqual([
      { days: ["mon", "tue", "wed", "thu", "sun"], from: "22:00", to: "06:00" },
      // Midnight of Friday's night is Saturday's.
      { days: ["sat", "sun"], from: "00:00", to: "11:00" },
    ]);
  });

  it("says that the schedule has other hours, and nothing when it has these", () => {
    const night = weeks(3, () => ({ from: 23, to: 7 }));
    expect(suggestSleep(night, ZONE, ONLY_WHEN_ASLEEP).differs).toBe(false);
    const later = weeks(3, () => ({ from: 24, to: 8 }));
    expect(suggestSleep(later, ZONE, ONLY_WHEN_ASLEEP)).toMatchObject({
      differs: true,
      text: expect.stringContaining("Your schedule says other hours."),
    });
  });

  it("nothing seen, or somebody always here: it says so", () => {
    expect(suggestSleep([], ZONE, ALWAYS)).toMatchObject({ windows: null, confidence: 0 });
    const always = weeks(3, () => ({ from: 23, to: 7 })).map(({ at, seenMs }) => ({ at, seenMs, awayMs: 0 }));
    expect(suggestSleep(always, ZONE, ALWAYS).text).toMatch(/^Too few nights were seen/);
  });
});

describe("learning", () => {
  let folder: string;
  let store: HistoryStore;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "presence "));
    store = HistoryStore.open(join(folder, "history.db"));
  });
  afterEach(() => {
    store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function learning(idle: (number | null)[], allowed = true) {
    let now = MONDAY;
    const presence = new Presence({
      store,
      now: () => now,
      idleSeconds: () => idle.shift() ?? null,
      allowed: () => allowed,
      failed: (error) => {
        throw error;
      },
    });
    return { presence, look: (ms: number) => ((now += ms), presence.look()) };
  }

  it("adds minutes by the hour: here, away, and not what was not seen", () => {
    const { presence, look } = learning([0, 10, 400, null, 500, 600]);
    for (const ms of [0, MINUTE, MINUTE, MINUTE, MINUTE, 2 * HOUR]) look(ms);
    expect(presence.hours()).toEqual([{ at: MONDAY, awayMs: 2 * MINUTE, seenMs: 3 * MINUTE }]);
  });

  it("learns nothing where the owner does not want it", () => {
    const { presence, look } = learning([0, 0, 0], false);
    for (const ms of [0, MINUTE, MINUTE]) look(ms);
    expect(presence.hours()).toEqual([]);
  });

  it("what is forgotten is gone, from the file too; what is older than eight weeks forgets itself", () => {
    store.addPresence({ at: MONDAY - 9 * 7 * 24 * HOUR, awayMs: 1, seenMs: 1 });
    const { presence, look } = learning([0, 0]);
    for (const ms of [0, MINUTE]) look(ms);
    expect(presence.hours().map(({ at }) => at)).toEqual([MONDAY]);
    presence.forget();
    expect(presence.hours()).toEqual([]);
    expect(readFileSync(join(folder, "history.db-wal")).length).toBe(0);
  });

  it("bytes over the computer's line, by the month", () => {
    store.addTraffic(MONDAY, 10, 20);
    store.addTraffic(MONDAY + MINUTE, 1, 2);
    store.addTraffic(MONDAY - HOUR, 100, 100);
    expect([store.bytesSince(MONDAY), store.bytesSince(0)]).toEqual([33, 233]);
  });
});

describe("the history of an earlier version", () => {
  it("is kept, and learns to count presence and data", () => {
    const folder = mkdtempSync(join(tmpdir(), "history one "));
    const path = join(folder, "history.db");
    const old = new DatabaseSync(path);
    old.exec(`
      CREATE TABLE hours (at INTEGER NOT NULL, network TEXT NOT NULL, asset TEXT NOT NULL, earned_rao TEXT NOT NULL,
        worked_ms INTEGER NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (at, network, asset)) STRICT, WITHOUT ROWID;
      CREATE TABLE totals (network TEXT NOT NULL, asset TEXT NOT NULL, earned_rao TEXT NOT NULL,
        PRIMARY KEY (network, asset)) STRICT, WITHOUT ROWID;
      INSERT INTO hours VALUES (${MONDAY}, '', 'test', '77', 1000, 5);
      PRAGMA user_version = 1;`);
    old.close();
    const store = HistoryStore.open(path);
    try {
      expect(store.hours(MONDAY, MONDAY + 1)).toEqual([
        { at: MONDAY, asset: "test", earnedRao: "77", workedMs: 1000, tokens: 5 },
      ]);
      store.addPresence({ at: MONDAY, awayMs: 1, seenMs: 2 });
      expect([store.presence(0).length, store.bytesSince(0)]).toEqual([1, 0]);
    } finally {
      store.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
