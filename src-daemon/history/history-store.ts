import { DatabaseSync } from "node:sqlite";
import type { PresenceHour } from "../../src-protocol/forecast.ts";
import { HOUR_MS, stateChange } from "../../src-protocol/history.ts";
import type { ComputerHour, StateChange, WorkedHour } from "../../src-protocol/history.ts";

/** Each step once and in order; `PRAGMA user_version` says how many have been taken. */
export const MIGRATIONS = [
  `CREATE TABLE hours (
     at INTEGER NOT NULL,
     network TEXT NOT NULL,
     asset TEXT NOT NULL,
     earned_rao TEXT NOT NULL,
     worked_ms INTEGER NOT NULL,
     tokens INTEGER NOT NULL,
     PRIMARY KEY (at, network, asset)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE totals (
     network TEXT NOT NULL,
     asset TEXT NOT NULL,
     earned_rao TEXT NOT NULL,
     PRIMARY KEY (network, asset)
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE presence (
     at INTEGER PRIMARY KEY,
     away_ms INTEGER NOT NULL,
     seen_ms INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE traffic (
     at INTEGER PRIMARY KEY,
     sent INTEGER NOT NULL,
     received INTEGER NOT NULL
   ) STRICT;`,
  `CREATE TABLE changes (
     id INTEGER PRIMARY KEY,
     at INTEGER NOT NULL,
     was TEXT,
     became TEXT NOT NULL,
     phase TEXT NOT NULL,
     reasons TEXT NOT NULL,
     who TEXT
   ) STRICT;
   CREATE INDEX changes_by_time ON changes (at);`,
  `CREATE TABLE power (
     at INTEGER PRIMARY KEY,
     joules REAL NOT NULL,
     ms INTEGER NOT NULL,
     measured TEXT NOT NULL
   ) STRICT;`,
] as const;

const MOST_CHANGES = 50_000;

export interface HourPart {
  readonly network: string;
  readonly asset: WorkedHour["asset"];
  readonly workedMs: number;
  readonly tokens: number;
  /** All that was ever earned there; null: not known now. */
  readonly totalRao: bigint | null;
}

/** Of energy. */
export interface Drawn {
  readonly joules: number;
  readonly ms: number;
  /** By what it was measured, as "the processor alone". */
  readonly measured: string;
}

/**
 * `history.db`: what this computer did, by the hour. A file that cannot be used is set aside, and a new
 * one begins: it is a report, and work does not wait for it.
 */
export class HistoryStore {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** @throws when the folder cannot be written, or the file is no database of ours */
  static open(path: string): HistoryStore {
    const database = new DatabaseSync(path);
    try {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
      const { user_version: taken } = database.prepare("PRAGMA user_version").get() as {
        user_version: number;
      };
      if (taken > MIGRATIONS.length) throw new Error("made by a newer version");
      for (const [index, migration] of MIGRATIONS.entries()) {
        if (index < taken) continue;
        database.exec(`BEGIN; ${migration}; PRAGMA user_version = ${index + 1}; COMMIT`);
      }
      return new HistoryStore(database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** Adds to the hour of `now` (Unix milliseconds). What was earned since the last total counts there. */
  add(now: number, part: HourPart): void {
    const at = Math.floor(now / HOUR_MS) * HOUR_MS;
    const { network, asset, workedMs, tokens } = part;
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const earned = part.totalRao === null ? 0n : this.#sinceLastTotal(network, asset, part.totalRao);
      const row = this.#hour(at, network, asset);
      this.#database
        .prepare(
          `INSERT INTO hours VALUES (:at, :network, :asset, :earned, :workedMs, :tokens)
           ON CONFLICT DO UPDATE SET earned_rao = :earned, worked_ms = :workedMs, tokens = :tokens`,
        )
        .run({
          at,
          network,
          asset,
          earned: (row.earned + earned).toString(),
          workedMs: row.workedMs + Math.round(workedMs),
          tokens: row.tokens + tokens,
        });
      this.#database.exec("COMMIT");
    } catch (error) {
      // Of a full disk SQLite has gone back by itself.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Of all networks, by hour and asset, oldest first. */
  hours(from: number, to: number): WorkedHour[] {
    const rows = this.#database
      .prepare("SELECT * FROM hours WHERE at >= :from AND at < :to ORDER BY at, asset")
      .all({ from, to });
    const sums = new Map<
      string,
      { at: number; asset: WorkedHour["asset"]; earned: bigint; workedMs: number; tokens: number }
    >();
    for (const row of rows) {
      const { at, asset, earned_rao, worked_ms, tokens } = row as {
        at: number;
        asset: WorkedHour["asset"];
        earned_rao: string;
        worked_ms: number;
        tokens: number;
      };
      const key = `${at} ${asset}`;
      const sum = sums.get(key) ?? { at, asset, earned: 0n, workedMs: 0, tokens: 0 };
      sum.earned += BigInt(earned_rao);
      sum.workedMs += worked_ms;
      sum.tokens += tokens;
      sums.set(key, sum);
    }
    return [...sums.values()].map(({ at, asset, earned, workedMs, tokens }) => {
      return { at, asset, earnedRao: earned.toString(), workedMs, tokens };
    });
  }

  /** Adds to the hour that it names. */
  addPresence({ at, awayMs, seenMs }: PresenceHour): void {
    this.#database
      .prepare(
        `INSERT INTO presence VALUES (:at, :awayMs, :seenMs)
         ON CONFLICT DO UPDATE SET away_ms = away_ms + :awayMs, seen_ms = seen_ms + :seenMs`,
      )
      .run({ at, awayMs, seenMs });
  }

  /** From `from` on, oldest first; what is older is forgotten. */
  presence(from: number): PresenceHour[] {
    this.#database.prepare("DELETE FROM presence WHERE at < :from").run({ from });
    const rows = this.#database.prepare("SELECT * FROM presence ORDER BY at").all();
    return rows.map((row) => {
      const { at, away_ms: awayMs, seen_ms: seenMs } = row as Record<"at" | "away_ms" | "seen_ms", number>;
      return { at, awayMs, seenMs };
    });
  }

  /** Also from the file: freed pages are written over. */
  forgetPresence(): void {
    this.#database.exec("PRAGMA secure_delete = ON; DELETE FROM presence; PRAGMA wal_checkpoint(TRUNCATE)");
  }

  addTraffic(now: number, sent: number, received: number): void {
    const at = Math.floor(now / HOUR_MS) * HOUR_MS;
    this.#database
      .prepare(
        `INSERT INTO traffic VALUES (:at, :sent, :received)
         ON CONFLICT DO UPDATE SET sent = sent + :sent, received = received + :received`,
      )
      .run({ at, sent, received });
  }

  bytesSince(from: number): number {
    const row = this.#database
      .prepare("SELECT COALESCE(SUM(sent + received), 0) AS bytes FROM traffic WHERE at >= :from")
      .get({ from }) as { bytes: number };
    return row.bytes;
  }

  /** Drawn in `ms` of work; `measured` says by what, as it was last. */
  addPower(now: number, { joules, ms, measured }: Drawn): void {
    const at = Math.floor(now / HOUR_MS) * HOUR_MS;
    this.#database
      .prepare(
        `INSERT INTO power VALUES (:at, :joules, :ms, :measured)
         ON CONFLICT DO UPDATE SET joules = joules + :joules, ms = ms + :ms, measured = :measured`,
      )
      .run({ at, joules, ms: Math.round(ms), measured });
  }

  /** Oldest first. */
  computer(from: number, to: number): ComputerHour[] {
    const rows = this.#database
      .prepare(
        `SELECT at, COALESCE(sent, 0) AS sent, COALESCE(received, 0) AS received, joules,
           COALESCE(ms, 0) AS ms, measured
         FROM (SELECT at FROM traffic UNION SELECT at FROM power)
         LEFT JOIN traffic USING (at) LEFT JOIN power USING (at)
         WHERE at >= ? AND at < ? ORDER BY at`,
      )
      .all(from, to);
    return rows.map((row) => {
      const { at, sent, received, ms } = row as Record<"at" | "sent" | "received" | "ms", number>;
      const { joules, measured } = row as { joules: number | null; measured: string | null };
      const wattHours = joules === null ? null : joules / 3600;
      return { at, sentBytes: sent, receivedBytes: received, wattHours, measuredMs: ms, measured };
    });
  }

  /** The oldest of too many are forgotten: about 100 bytes each. */
  addChange({ at, from, to, phase, reasons, who }: StateChange): void {
    this.#database
      .prepare("INSERT INTO changes (at, was, became, phase, reasons, who) VALUES (?, ?, ?, ?, ?, ?)")
      .run(at, from, to, phase, reasons.join(" "), who);
    this.#database
      .prepare("DELETE FROM changes WHERE id <= (SELECT MAX(id) FROM changes) - ?")
      .run(MOST_CHANGES);
  }

  /** Newest first. What another version wrote, and this one does not know, is left out. */
  changes(from: number, to: number, limit: number): StateChange[] {
    const rows = this.#database
      .prepare("SELECT * FROM changes WHERE at >= ? AND at < ? ORDER BY id DESC LIMIT ?")
      .all(from, to, limit);
    return rows.flatMap(({ at, was, became, phase, reasons, who }) => {
      const codes = String(reasons)
        .split(" ")
        .filter((code) => code !== "");
      const parsed = stateChange.safeParse({ at, from: was, to: became, phase, reasons: codes, who });
      return parsed.success ? [parsed.data] : [];
    });
  }

  close(): void {
    this.#database.close();
  }

  /** The first total of a network is where counting begins: nobody knows when it was earned. */
  #sinceLastTotal(network: string, asset: string, total: bigint): bigint {
    const row = this.#database
      .prepare("SELECT earned_rao FROM totals WHERE network = :network AND asset = :asset")
      .get({ network, asset }) as { earned_rao: string } | undefined;
    this.#database
      .prepare(
        "INSERT INTO totals VALUES (:network, :asset, :total) ON CONFLICT DO UPDATE SET earned_rao = :total",
      )
      .run({ network, asset, total: total.toString() });
    const before = row === undefined ? total : BigInt(row.earned_rao);
    return total > before ? total - before : 0n;
  }

  #hour(at: number, network: string, asset: string): { earned: bigint; workedMs: number; tokens: number } {
    const row = this.#database
      .prepare("SELECT * FROM hours WHERE at = :at AND network = :network AND asset = :asset")
      .get({ at, network, asset }) as { earned_rao: string; worked_ms: number; tokens: number } | undefined;
    return row === undefined
      ? { earned: 0n, workedMs: 0, tokens: 0 }
      : { earned: BigInt(row.earned_rao), workedMs: row.worked_ms, tokens: row.tokens };
  }
}
