import { randomBytes } from "node:crypto";
import { link, lstat, mkdir, open, readdir, readlink, rename, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";

/** Files that must never be half-written, replaced or readable by others. */
const KEY_FILE_LIMIT_BYTES = 64 * 1024;
const TEMPORARY = /^\.key-[0-9a-f]{16}\.tmp$/;

export interface KeyFileRead {
  readonly bytes: Uint8Array;
  /** What the owner should know about the file; empty when all is well. */
  readonly warnings: readonly string[];
}

/** Reads a file of keys; null when there is none. `secret`: others' access to it is taken away. */
export async function readKeyFile(
  path: string,
  { secret }: { secret: boolean },
): Promise<KeyFileRead | null> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const { size, mode } = await file.stat();
    if (size > KEY_FILE_LIMIT_BYTES) {
      throw new Failure(
        "wallet-corrupt",
        `${path} is far too large for a key file (${size} bytes). It was left untouched: check what it is.`,
      );
    }
    const bytes = await file.readFile();
    return { bytes, warnings: secret ? await takeAwayOthersAccess(file, mode, path) : [] };
  } catch (error) {
    if (errorCode(error) === "ENOENT") {
      await refuseDanglingLink(path);
      return null;
    }
    throw error instanceof Failure ? error : unreadable(path, error);
  } finally {
    await file?.close();
  }
}

/** A link to a file or folder that is not there: a new key in its place would be another one than its owner means. */
async function refuseDanglingLink(path: string): Promise<void> {
  for (let at = path; dirname(at) !== at; at = dirname(at)) {
    const found = await lstat(at).catch(() => null);
    if (found === null) continue;
    if (!found.isSymbolicLink()) return;
    const target = await readlink(at).catch(() => "?");
    throw new Failure(
      "wallet-unreadable",
      `${at} is a link to ${target}, which is not there (a disk that is not connected?). No key was made: connect it, or remove the link.`,
    );
  }
}

/**
 * Creates `path` with this content, or returns false when it exists already. Whatever happens, the
 * file is either whole or not there, it was never readable by others, and an existing one stays.
 *
 * `temporaryFolder` has to be on the same file system; it is apart from the target's folder so that
 * tools which list the keys of a wallet never see the unfinished file.
 */
export async function createKeyFile(
  path: string,
  temporaryFolder: string,
  content: string | Uint8Array,
): Promise<boolean> {
  const temporary = join(temporaryFolder, `.key-${randomBytes(8).toString("hex")}.tmp`);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeWhole(temporary, content);
    const created = await linkExclusively(temporary, path, content);
    if (created) await syncFolder(dirname(path));
    return created;
  } catch (error) {
    throw notWritable(path, error);
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

/**
 * Puts another form of the same key in the place of a file, whole or not at all. What is to be there is looked at
 * with `check` as it lies on the disk, before the file of before goes.
 */
export async function replaceKeyFile(
  path: string,
  temporaryFolder: string,
  content: string | Uint8Array,
  check: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const temporary = join(temporaryFolder, `.key-${randomBytes(8).toString("hex")}.tmp`);
  try {
    await writeWhole(temporary, content);
    const written = await readKeyFile(temporary, { secret: true });
    await check(written?.bytes ?? new Uint8Array());
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw error instanceof Failure ? error : notWritable(path, error);
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

/** Removes what a creation that was cut off by a crash left behind. Only safe once the key exists. */
export async function removeTemporaryKeys(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (TEMPORARY.test(name)) await unlink(join(folder, name)).catch(() => undefined);
  }
}

async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A hard link is the one way to give a finished file its name that fails when the name is taken. */
async function linkExclusively(
  temporary: string,
  path: string,
  content: string | Uint8Array,
): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") return false;
    // The other process that won has cleaned up after us: the key exists.
    if (code === "ENOENT") return false;
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS" && code !== "EMLINK") throw error;
  }
  // FAT and some network shares have no hard links: create exclusively under the name itself.
  try {
    await writeWhole(path, content);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** So that the name survives a power cut, too. Windows cannot open folders, and does not need it. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => null);
  if (folder === null) return;
  await folder.sync().catch(() => undefined);
  await folder.close();
}

async function takeAwayOthersAccess(file: FileHandle, mode: number, path: string): Promise<string[]> {
  if (process.platform === "win32" || (mode & 0o077) === 0) return [];
  try {
    await file.chmod(0o600);
    return [
      `Other users of this computer could read the key file ${path}; now only you can. If you do not trust them, make a new hotkey.`,
    ];
  } catch {
    return [
      `Other users of this computer can read the key file ${path}, and its permissions could not be changed. Run: chmod 600 "${path}"`,
    ];
  }
}

function unreadable(path: string, error: unknown): Failure {
  return new Failure(
    "wallet-unreadable",
    `The key file ${path} cannot be read (${reason(error)}). It was left untouched: check what is there and who may read it.`,
  );
}

function notWritable(path: string, error: unknown): Failure {
  return new Failure(
    "wallet-not-writable",
    `The key file ${path} cannot be written (${reason(error)}), so no key was made. Make room or allow writing there, then start again.`,
  );
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "not permitted",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is a file",
  ELOOP: "its links go round in circles",
  ENOSPC: "the disk is full",
  EDQUOT: "your disk quota is used up",
  EROFS: "the disk is read-only",
};

function reason(error: unknown): string {
  const code = errorCode(error) ?? "";
  return REASONS[code] ?? (code === "" ? "unknown error" : code);
}

function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
