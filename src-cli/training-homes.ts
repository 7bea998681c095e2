import { createHash } from "node:crypto";
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { isAlive } from "./daemon-process.ts";

const SCRATCH = /^scratch-(\d+)-/;
const LOCK_FILE = "training.lock";
const OUTPUT_FILE = "output.json";
const SQLITE_BUSY = 5;
const REMOVE = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 } as const;
const DAEMON_LOCK_FILE = "lock.db";
const DAEMON_ENDS_MS = 20_000;

/** What a training has written outside of its home. */
const output = z.strictObject({ path: z.string(), sha256: z.string() });
/**
 * Where `tah model train` keeps the state of its trainings, one folder each, until they are finished and
 * written; and folders for what is gone when a command ends.
 */
export class TrainingHomes {
  readonly folder: string;

  /** Folders of commands that were killed are removed. */
  constructor(folder = join(dataFolder(process.env, process.platform, homedir()), "trainings")) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder)) {
      const pid = Number(SCRATCH.exec(name)?.[1] ?? process.pid);
      if (pid !== process.pid && !isAlive(pid)) rmSync(join(folder, name), REMOVE);
    }
  }

  /** A new folder, which is its caller's to remove. */
  scratch(): string {
    return mkdtempSync(join(this.folder, `scratch-${process.pid}-`));
  }

  /** Whether an unfinished training has written this file, and nobody changed it since. */
  hasWritten(path: string): boolean {
    return globSync(join("*", OUTPUT_FILE), { cwd: this.folder }).some((file) =>
      isOwn(join(this.folder, file), path),
    );
  }

  /**
   * The home of the training `id`, with what it has.
   *
   * @throws Failure `training-running` while another command works in it
   */
  async open(id: string, { fresh }: { fresh: boolean }): Promise<TrainingHome> {
    const folder = join(this.folder, id);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lock = locked(join(folder, LOCK_FILE), folder);
    try {
      await daemonEnded(folder);
      if (fresh)
        for (const name of readdirSync(folder)) if (name !== LOCK_FILE) rmSync(join(folder, name), REMOVE);
    } catch (error) {
      lock.close();
      throw error;
    }
    return new TrainingHome(folder, lock);
  }

  /** Other trainings that are not finished, and what they take on disk. */
  others(id: string): { count: number; bytes: number } {
    const names = readdirSync(this.folder).filter((name) => name !== id && !SCRATCH.test(name));
    const files = names.flatMap((name) => globSync(join(name, "**", "*"), { cwd: this.folder }));
    const sizes = files.map(
      (file) => statSync(join(this.folder, file), { throwIfNoEntry: false })?.size ?? 0,
    );
    return { count: names.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  }
}

export class TrainingHome {
  readonly folder: string;
  readonly #lock: DatabaseSync;

  constructor(folder: string, lock: DatabaseSync) {
    this.folder = folder;
    this.#lock = lock;
  }

  /** A file of a scratch folder becomes this training's, in place of an older one. */
  take(file: string): string {
    const own = join(this.folder, basename(file));
    renameSync(file, own);
    return own;
  }

  hasWritten(path: string): boolean {
    return isOwn(join(this.folder, OUTPUT_FILE), path);
  }

  /** The file or folder `path` was written: it may be replaced by what comes after. */
  remember(path: string): void {
    const text = JSON.stringify({ path, sha256: digestAt(path) } satisfies z.infer<typeof output>);
    writeFileSync(join(this.folder, OUTPUT_FILE), text, { mode: 0o600 });
  }

  /** Nothing of it is needed any more. */
  remove(): void {
    this.release();
    rmSync(this.folder, REMOVE);
  }

  release(): void {
    if (this.#lock.isOpen) this.#lock.close();
  }
}

/** The kernel drops such a lock when the process ends in whatever way: nothing stale is left behind. */
function locked(path: string, folder: string): DatabaseSync {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database?.close();
    const code = error instanceof Error && "errcode" in error ? error.errcode : null;
    throw new Failure(
      code === SQLITE_BUSY ? "training-running" : "lock-failed",
      code === SQLITE_BUSY
        ? "The same training (this model, this data, these settings) is running already. Wait for it, or stop it with Ctrl-C there."
        : `The folder ${folder} could not be locked (${error instanceof Error ? error.message : String(error)}). Check that its disk supports file locks, or name another data folder with TAH_HOME.`,
      { cause: error },
    );
  }
}

/**
 * The daemon that worked here last ends by itself when its command was killed: until then it holds its lock.
 *
 * @throws Failure `training-running`
 */
async function daemonEnded(folder: string): Promise<void> {
  const path = join(folder, DAEMON_LOCK_FILE);
  if (!existsSync(path)) return;
  const deadline = performance.now() + DAEMON_ENDS_MS;
  for (;;) {
    try {
      locked(path, folder).close();
      return;
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== "training-running") throw error;
      if (performance.now() > deadline) throw error;
      await wait(100);
    }
  }
}

function isOwn(recordFile: string, path: string): boolean {
  try {
    const record = output.parse(JSON.parse(readFileSync(recordFile, "utf8")));
    return record.path === path && existsSync(path) && digestAt(path) === record.sha256;
  } catch {
    return false;
  }
}

/** Of a file its bytes; of a folder, which may have gigabytes, what tells that a file of it was changed. */
function digestAt(path: string): string {
  const digestOf = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
  if (!statSync(path).isDirectory()) return digestOf(readFileSync(path));
  const files = readdirSync(path)
    .sort()
    .map((name) => [name, statSync(join(path, name)).size, statSync(join(path, name)).mtimeMs]);
  return digestOf(JSON.stringify(files));
}
