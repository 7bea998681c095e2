import type { Dirent } from "node:fs";
import { readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { Failure } from "../src-protocol/failure.ts";

export interface FoundFile {
  /** Relative to the folder, with `/`: the same on every platform, so that the order is too. */
  readonly name: string;
  /** Where it really lies. */
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

export interface LeftOut {
  readonly name: string;
  readonly why: string;
}

export interface FoundFiles {
  /** What the data is called. */
  readonly name: string;
  /** Whether one file was named, not a folder: then it is taken whatever it is called. */
  readonly isOneFile: boolean;
  readonly files: readonly FoundFile[];
  /** What cannot be looked into. */
  readonly leftOut: readonly LeftOut[];
  readonly hidden: number;
}

/**
 * A file, or all plain files below a folder, sorted by name; what starts with a dot is only counted.
 * A file that a link inside the folder names a second time is taken once.
 *
 * @throws Failure `data-missing`, `data-no-permission`, `data-unreadable`, `data-empty`
 */
export function findFiles(given: string): FoundFiles {
  const path = resolve(given);
  const root = look(path, () => realpathSync(path));
  const status = look(path, () => statSync(root));
  const name = (basename(path) || "data").slice(0, 200);
  if (status.isFile()) {
    const file = { name: basename(path), path: root, bytes: status.size, modifiedMs: status.mtimeMs };
    return { name, isOneFile: true, files: [file], leftOut: [], hidden: 0 };
  }
  if (!status.isDirectory())
    throw new Failure(
      "data-unreadable",
      `${path} is neither a folder nor a file. Choose another with --data.`,
    );
  const walk = new Walk(root);
  walk.enter(root, "");
  const { files, leftOut, hidden } = walk;
  if (files.length === 0 && leftOut.length === 0) throw empty(path, hidden);
  // By code unit, not by locale: every computer must make the same data of it.
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
  return { name, isOneFile: false, files: files.sort(byName), leftOut: leftOut.sort(byName), hidden };
}

class Walk {
  readonly files: FoundFile[] = [];
  readonly leftOut: LeftOut[] = [];
  hidden = 0;
  readonly #root: string;
  readonly #blobs: string | null;
  readonly #seen = new Set<string>();

  constructor(root: string) {
    this.#root = root;
    this.#blobs = hubBlobs(root);
  }

  enter(folder: string, prefix: string): void {
    let entries: Dirent[];
    try {
      entries = readdirSync(folder, { withFileTypes: true });
    } catch (error) {
      // The folder that was named must be there; one below it costs itself.
      if (prefix === "") throw unreadable(folder, error);
      this.leftOut.push({ name: prefix, why: `cannot be read (${codeOf(error)})` });
      return;
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith(".")) this.hidden += 1;
      else this.#take(join(folder, entry.name), `${prefix}${entry.name}`, entry.isSymbolicLink());
    }
  }

  #take(path: string, name: string, isLink: boolean): void {
    try {
      const real = isLink ? realpathSync(path) : path;
      // SECURITY: a folder that somebody passed on must not make us train on, and show, other files of this computer.
      if (isLink && !isInside(this.#root, real) && (this.#blobs === null || !isInside(this.#blobs, real))) {
        this.leftOut.push({
          name,
          why: `a link to ${real}, outside of the folder; copy the file there to have it read`,
        });
        return;
      }
      if (this.#seen.has(real)) return;
      this.#seen.add(real);
      const status = statSync(real);
      if (status.isDirectory()) this.enter(real, `${name}/`);
      else if (status.isFile())
        this.files.push({ name, path: real, bytes: status.size, modifiedMs: status.mtimeMs });
      else this.leftOut.push({ name, why: "no plain file" });
    } catch (error) {
      const code = codeOf(error);
      const isDead = isLink && (code === "ENOENT" || code === "ELOOP");
      this.leftOut.push({ name, why: isDead ? "a link that leads nowhere" : `cannot be read (${code})` });
    }
  }
}

/** A snapshot in the hub's cache is links into `blobs` beside `snapshots`. */
function hubBlobs(root: string): string | null {
  const parts = root.split(sep);
  const at = parts.lastIndexOf("snapshots");
  const owner = parts[at - 1] ?? "";
  if (at < 1 || !/^(datasets|models|spaces)--/.test(owner)) return null;
  return join(parts.slice(0, at).join(sep), "blobs");
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function empty(path: string, hidden: number): Failure {
  const only = hidden === 0 ? "" : ` but hidden ones (${hidden}, whose names begin with a dot)`;
  return new Failure(
    "data-empty",
    `There are no files in ${path}${only}. Put text or token files there, or choose other data with --data.`,
  );
}

function look<Result>(path: string, how: () => Result): Result {
  try {
    return how();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}

/** What a person is told of data that cannot be read. */
export function unreadable(path: string, cause: unknown): Failure {
  const code = codeOf(cause);
  if (code === "ENOENT" || code === "ENOTDIR")
    return new Failure(
      "data-missing",
      `There is no ${path}. Check the name that was given to --data (in ${dirname(path)}).`,
      { cause },
    );
  if (code === "EACCES" || code === "EPERM")
    return new Failure(
      "data-no-permission",
      `You have no permission to read ${path}. Change its permissions, or choose other data with --data.`,
      { cause },
    );
  return new Failure("data-unreadable", `${path} cannot be read (${code}). Choose other data with --data.`, {
    cause,
  });
}
