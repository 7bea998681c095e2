import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as wait } from "node:timers/promises";
import { interrupted } from "../interrupted.ts";
import { writeFailure } from "./data-room.ts";

const SQLITE_BUSY = 5;
const ASK_EVERY_MS = 300;

/**
 * The same data is read by one process at a time; others wait for what it makes. SQLite's file lock:
 * the kernel drops it when the process ends, in whatever way.
 */
export async function lockReading(path: string, signal?: AbortSignal): Promise<{ release(): void }> {
  for (;;) {
    const held = tryLock(path);
    if (held !== null)
      return {
        release() {
          held.close();
          rmSync(path, { force: true });
        },
      };
    await wait(ASK_EVERY_MS, undefined, signal ? { signal } : {}).catch(() => {
      throw interrupted();
    });
  }
}

function tryLock(path: string): DatabaseSync | null {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) return null;
    throw writeFailure(error, path);
  }
}
