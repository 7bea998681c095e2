import { closeSync, openSync, readdirSync, readSync, realpathSync, statSync } from "node:fs";
import type { Dirent } from "node:fs";
import { basename, join, relative, resolve, sep } from "node:path";
import { isInside } from "../src-engine/import/external-data.ts";
import { Failure } from "../src-protocol/failure.ts";

export interface DataFile {
  /** Relative to the folder, with `/`: the same on every platform, so that the order is too. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/**
 * All plain files below a folder, sorted by name; what starts with a dot is left out. A file that a
 * link inside the folder names a second time is taken once.
 *
 * @throws Failure `data-missing`, `data-not-a-folder`, `data-no-permission`, `data-link-outside`, `data-empty`
 */
export function dataFiles(folder: string): DataFile[] {
  const path = resolve(folder);
  const root = look(path, () => realpathSync(path));
  if (!look(path, () => statSync(root)).isDirectory())
    throw new Failure(
      "data-not-a-folder",
      `${path} is a file, and --data needs a folder. Name the folder that it is in.`,
    );
  const files: DataFile[] = [];
  const seen = new Set<string>();
  const enter = (inside: string): void => {
    for (const entry of look(inside, () => readdirSync(inside, { withFileTypes: true }))) {
      const found = entry.name.startsWith(".") ? null : target(root, inside, entry);
      if (found === null || seen.has(found)) continue;
      seen.add(found);
      const status = look(found, () => statSync(found));
      if (status.isDirectory()) enter(found);
      else if (status.isFile()) {
        const name = relative(root, found).split(sep).join("/");
        files.push({ name, path: found, bytes: status.size });
      }
    }
  };
  enter(root);
  if (files.length === 0)
    throw new Failure(
      "data-empty",
      `There are no files in ${path}. Put text or token files there, or choose another folder with --data.`,
    );
  // By code unit, not by locale: every computer must make the same data of it.
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Where an entry really lies. */
function target(root: string, folder: string, entry: Dirent): string {
  const path = join(folder, entry.name);
  if (!entry.isSymbolicLink()) return path;
  const real = look(path, () => realpathSync(path));
  // SECURITY: a folder that somebody passed on must not make us train on, and show, other files of this computer.
  if (real === root || isInside(root, real, sep === "/" ? "/" : "\\")) return real;
  throw new Failure(
    "data-link-outside",
    `${basename(path)} in the data folder is a link to ${real}, outside of the folder, so it is not read. Copy the file there, or remove the link.`,
  );
}

function look<Result>(path: string, how: () => Result): Result {
  try {
    return how();
  } catch (error) {
    throw unreadable(path, error);
  }
}

const CHUNK_BYTES = 1024 * 1024;

/** What a file holds, piece by piece: all but the last have the same even length. */
export function* chunksOf(file: DataFile): Generator<Buffer> {
  let descriptor: number;
  try {
    descriptor = openSync(file.path, "r");
  } catch (error) {
    throw unreadable(file.path, error);
  }
  try {
    for (let position = 0; position < file.bytes;) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, file.bytes - position));
      const count = readSync(descriptor, chunk, 0, chunk.length, position);
      if (count < chunk.length)
        throw new Failure("data-changed", `${file.path} became shorter while it was read. Try again.`);
      position += count;
      yield chunk;
    }
  } finally {
    closeSync(descriptor);
  }
}

function unreadable(path: string, cause: unknown): Failure {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
  if (code === "ENOENT" || code === "ENOTDIR")
    return new Failure("data-missing", `There is no ${path}. Check the name that was given to --data.`, {
      cause,
    });
  if (code === "EACCES" || code === "EPERM")
    return new Failure(
      "data-no-permission",
      `You have no permission to read ${path}. Change its permissions, or choose another folder with --data.`,
      { cause },
    );
  return new Failure(
    "data-unreadable",
    `${path} cannot be read (${code}). Choose another folder with --data.`,
    { cause },
  );
}
