import { closeSync, existsSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import { Failure } from "../../src-protocol/failure.ts";
import { STATEMENT_START, chainReceipt } from "../../src-protocol/signing.ts";
import { MIGRATIONS } from "./schema.ts";
import { corruptDatabase, storageFailure } from "./storage-failure.ts";

export { storageFailure };

export const DATABASE_FILE = "orchestrator.db";
/** Made after the database has its tables: where it lies, an empty database is a damaged one. */
export const BLOBS_FOLDER = "blobs";

/** https://sqlite.org/fileformat.html#magic_header_string */
const SQLITE_MAGIC = Buffer.from("SQLite format 3\0");

/** A bigger database is not read through at every start: SQLite still reports damage when it meets it. */
const QUICK_CHECK_LIMIT_BYTES = 256 * 1024 * 1024;
/** What can wait, waits so long: each commit writes every page that it touches, and nobody is told before. */
const WITHIN_MS = { soon: 10, later: 1_000 } as const;
const COMMIT_AFTER_ROWS = 200;

type Parameters = Record<string, SQLInputValue>;
export type StoredRow = Record<string, SQLOutputValue>;

interface Job {
  readonly work: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** When the next commit is due. */
interface Due {
  readonly at: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * The orchestrator's truth: one SQLite file, one writer. Writes wait for each other for at most
 * 10 ms, a second where they can wait, or 200 rows, and share one durable commit, in the order in which they
 * were asked for; `write` resolves after that commit.
 */
export class Store {
  readonly path: string;
  private readonly database: DatabaseSync;
  private readonly statements = new Map<string, StatementSync>();
  private readonly onBroken: (error: unknown) => void;
  private jobs: Job[] = [];
  private rows = 0;
  private due: Due | null = null;
  private mustBeSafe = false;
  private readonly commitListeners: (() => void)[] = [];
  private readonly safeListeners: (() => void)[] = [];
  private broken: unknown = null;

  private constructor(path: string, database: DatabaseSync, onBroken: (error: unknown) => void) {
    this.path = path;
    this.database = database;
    this.onBroken = onBroken;
  }

  /**
   * Opens or creates the database in `folder`. `onBroken` hears once when a commit fails; from then
   * on every write is refused.
   *
   * @throws Failure `database-corrupt`, `database-newer`, `folder-read-only`, `folder-full`, `folder-in-use`, `folder-unusable`
   */
  static open(folder: string, onBroken: (error: unknown) => void): Store {
    const path = join(folder, DATABASE_FILE);
    let database: DatabaseSync | null = null;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const existing = existsSync(path) ? statSync(path).size : 0;
      refuseForeign(path, existing, folder);
      database = new DatabaseSync(path);
      prepare(database, path, existing);
      return new Store(path, database, onBroken);
    } catch (error) {
      database?.close();
      throw storageFailure(error, database === null ? folder : path);
    }
  }

  all(sql: string, parameters: Parameters = {}): StoredRow[] {
    return this.guarded(() => this.statement(sql).all(parameters));
  }

  get(sql: string, parameters: Parameters = {}): StoredRow | null {
    return this.guarded(() => this.statement(sql).get(parameters) ?? null);
  }

  /** Inside `write` only. */
  run(sql: string, parameters: Parameters = {}): { changes: number; lastRow: bigint } {
    const { changes, lastInsertRowid } = this.statement(sql).run(parameters);
    return { changes: Number(changes), lastRow: BigInt(lastInsertRowid) };
  }

  /**
   * Queues work for the next commit, in order. What `work` throws undoes only its own rows and is
   * thrown to its own caller.
   */
  write<T>(work: () => T, rows = 1): Promise<T> {
    return this.queue(WITHIN_MS.soon, work, rows);
  }

  /** As `write`, within a second: what comes often then shares the pages that are written. */
  writeLater<T>(work: () => T, rows = 1): Promise<T> {
    return this.queue(WITHIN_MS.later, work, rows);
  }

  private queue<T>(withinMs: number, work: () => T, rows: number): Promise<T> {
    if (this.broken !== null) return Promise.reject(this.broken);
    const result = new Promise<unknown>((resolve, reject) => this.jobs.push({ work, resolve, reject }));
    this.rows += rows;
    if (this.rows >= COMMIT_AFTER_ROWS) this.flush();
    else this.commitWithin(withinMs);
    return result as Promise<T>;
  }

  private commitWithin(ms: number): void {
    const at = performance.now() + ms;
    if (this.due !== null && this.due.at <= at) return;
    clearTimeout(this.due?.timer);
    this.due = { at, timer: setTimeout(() => this.flush(), ms) };
  }

  /**
   * As `write`, and resolves when the rows are in the database itself: they outlive also the loss of its
   * write-ahead log.
   */
  writeSafely<T>(work: () => T, rows = 1): Promise<T> {
    this.mustBeSafe = true;
    return this.write(work, rows);
  }

  /** A commit has failed: nothing is stored any more. */
  get isBroken(): boolean {
    return this.broken !== null;
  }

  /** Called after every commit, before anybody is told of it. */
  onCommit(listener: () => void): void {
    this.commitListeners.push(listener);
  }

  /** Called when all that was committed so far is in the database itself. */
  onSafe(listener: () => void): void {
    this.safeListeners.push(listener);
  }

  /** Moves what is committed from the write-ahead log into the database. */
  makeSafe(): void {
    this.flush();
    if (this.broken !== null) return;
    try {
      this.database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch (error) {
      this.fail(error, []);
      return;
    }
    for (const listener of this.safeListeners) listener();
  }

  /** Resolves when all that is queued can be read: at once where nothing is, else as `write` and `writeLater` do. */
  async settled(when: "soon" | "later"): Promise<void> {
    if (this.jobs.length > 0) await this.queue(WITHIN_MS[when], () => undefined, 0);
  }

  /** Commits everything that waits, now. */
  flush(): void {
    const { jobs } = this;
    clearTimeout(this.due?.timer);
    this.jobs = [];
    this.rows = 0;
    this.due = null;
    if (jobs.length === 0) return;
    const settle: (() => void)[] = [];
    try {
      this.database.exec("BEGIN IMMEDIATE");
      for (const job of jobs) settle.push(this.attempt(job));
      this.database.exec("COMMIT");
      for (const listener of this.commitListeners) listener();
    } catch (error) {
      this.fail(error, jobs);
      return;
    }
    const { mustBeSafe } = this;
    this.mustBeSafe = false;
    if (mustBeSafe) this.makeSafe();
    for (const tell of settle) tell();
  }

  /** What is to be written later is refused: nobody is told that it is stored. */
  close(): void {
    this.flush();
    this.broken ??= new Failure("store-closed", `${this.path} is closed.`);
    this.database.close();
  }

  private attempt({ work, resolve, reject }: Job): () => void {
    this.database.exec("SAVEPOINT job");
    try {
      const value = work();
      this.database.exec("RELEASE job");
      return () => resolve(value);
    } catch (error) {
      // A full or failing disk concerns everybody in this commit, not this job alone.
      if (!(error instanceof Failure) && storageFailure(error, this.path) instanceof Failure) throw error;
      this.database.exec("ROLLBACK TO job; RELEASE job");
      return () => reject(error);
    }
  }

  private fail(error: unknown, jobs: readonly Job[]): void {
    // SQLite rolls back by itself after some errors, and then says that there is no transaction.
    if (this.database.isTransaction) this.database.exec("ROLLBACK");
    this.broken = storageFailure(error, this.path);
    for (const job of jobs) job.reject(this.broken);
    this.onBroken(this.broken);
  }

  private statement(sql: string): StatementSync {
    const known = this.statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.database.prepare(sql);
    statement.setReadBigInts(true);
    this.statements.set(sql, statement);
    return statement;
  }

  private guarded<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw storageFailure(error, this.path);
    }
  }
}

/**
 * SQLite takes an empty file for a new database, and pours a write-ahead log that a kill left behind
 * into whatever lies beside it: both are found out before it is asked.
 */
function refuseForeign(path: string, existingBytes: number, folder: string): void {
  if (existingBytes === 0) {
    if (existsSync(path) && existsSync(join(folder, BLOBS_FOLDER)))
      throw corruptDatabase(path, "it is empty");
    return;
  }
  const magic = Buffer.alloc(SQLITE_MAGIC.length);
  const file = openSync(path, "r");
  try {
    readSync(file, magic, 0, magic.length, 0);
  } finally {
    closeSync(file);
  }
  if (!magic.equals(SQLITE_MAGIC)) throw corruptDatabase(path, "file is not a database");
}

function prepare(database: DatabaseSync, path: string, existingBytes: number): void {
  // One process only: the lock goes with the process, so a killed one leaves none behind.
  database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 1000; PRAGMA foreign_keys = ON");
  // What a savepoint could have to undo is otherwise written to a file in the temporary folder: more bytes than the
  // write-ahead log's own.
  database.exec("PRAGMA temp_store = MEMORY");
  // Before anything is written: a damaged file stays byte for byte what it was.
  if (existingBytes > 0 && existingBytes <= QUICK_CHECK_LIMIT_BYTES) {
    const finding = Object.values(database.prepare("PRAGMA quick_check(1)").get() ?? {})[0];
    if (finding !== "ok") throw corruptDatabase(path, String(finding));
  }
  const version = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0] ?? 0);
  if (version > MIGRATIONS.length) {
    throw new Failure(
      "database-newer",
      `${path} was written by a newer version of Train at Home (schema ${version}, this one knows ${MIGRATIONS.length}). Update, then start again.`,
    );
  }
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  database.aggregate("chain", {
    start: STATEMENT_START,
    step: (chain: string, id) => chainReceipt(chain, Buffer.from(id as Uint8Array).toString("hex")),
    result: (chain: string) => Buffer.from(chain, "hex"),
  });
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < version) continue;
    database.exec(`BEGIN IMMEDIATE; ${sql} PRAGMA user_version = ${index + 1}; COMMIT`);
  }
  // Takes the exclusive lock now, and shows at once whether the folder can be written.
  database.exec("BEGIN IMMEDIATE; INSERT OR REPLACE INTO meta VALUES ('opened', datetime()); COMMIT");
}

/** A number column; amounts are read with `bigintOf` instead. */
export function numberOf(value: SQLOutputValue | undefined): number {
  if (typeof value === "bigint" || typeof value === "number") return Number(value);
  throw new Failure(
    "database-corrupt",
    `The database holds ${String(value)} where a number belongs. Put a copy of it back.`,
  );
}

export function bigintOf(value: SQLOutputValue | undefined): bigint {
  return typeof value === "bigint" ? value : BigInt(numberOf(value));
}

export function textOf(value: SQLOutputValue | undefined): string {
  if (typeof value === "string") return value;
  throw new Failure(
    "database-corrupt",
    `The database holds ${String(value)} where a text belongs. Put a copy of it back.`,
  );
}

export function hexOf(value: SQLOutputValue | undefined): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  throw new Failure(
    "database-corrupt",
    `The database holds ${String(value)} where bytes belong. Put a copy of it back.`,
  );
}

export function orNull<T>(value: SQLOutputValue | undefined, read: (value: SQLOutputValue) => T): T | null {
  return value === null || value === undefined ? null : read(value);
}
