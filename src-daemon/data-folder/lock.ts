import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Failure } from "../../src-protocol/failure.ts";
import { apiFile } from "../../src-protocol/methods.ts";
import type { Home } from "./home.ts";

const SQLITE_BUSY = 5;
const SQLITE_NOT_A_DATABASE = 26;

export interface HomeLock {
  release(): void;
}

/**
 * One daemon a folder. The lock is SQLite's own file lock on an otherwise empty database: the
 * kernel drops it when the process ends in whatever way, so nothing stale can be left behind.
 */
export function lockHome(home: Pick<Home, "path" | "lockFile" | "apiFile">): HomeLock {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(home.lockFile);
    database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    throw lockFailure(home, error);
  }
  const held = database;
  return { release: () => held.close() };
}

/**
 * Does something while no other process does anything with the same lock, waiting for at most `waitMs`. The file
 * stays; the kernel drops the lock with its holder. Throws when another one has it for longer.
 */
export function withLock<T>(path: string, waitMs: number, action: () => T): T {
  const database = new DatabaseSync(path);
  try {
    database.exec(`PRAGMA busy_timeout = ${waitMs}; BEGIN EXCLUSIVE`);
    return action();
  } finally {
    database.close();
  }
}

function lockFailure(home: Pick<Home, "path" | "lockFile" | "apiFile">, error: unknown): Failure {
  const code = error instanceof Error && "errcode" in error ? error.errcode : null;
  if (code === SQLITE_BUSY) {
    const other = runningDaemon(home.apiFile);
    const who = other === null ? "" : ` (process ${other.pid}, ${other.url})`;
    return new Failure(
      "already-running",
      `Train at Home is already running with the data folder ${home.path}${who}. Use that one, stop it first, or give this one its own folder with --home.`,
      { cause: error },
    );
  }
  if (code === SQLITE_NOT_A_DATABASE) {
    return new Failure(
      "lock-damaged",
      `The lock file ${home.lockFile} is damaged. It holds no data: delete it and start again.`,
      { cause: error },
    );
  }
  return new Failure(
    "lock-failed",
    `The data folder ${home.path} could not be locked (${error instanceof Error ? error.message : String(error)}). Check that its disk supports file locks, or choose another folder with --home.`,
    { cause: error },
  );
}

function runningDaemon(path: string): { pid: number; url: string } | null {
  try {
    return apiFile.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    // It may still be starting: then there is no address to name yet.
    return null;
  }
}
