import type { Dirent } from "node:fs";
import { readdirSync, realpathSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";

export interface TextCandidate {
  /** Relative to the folder, with `/`: the same on every platform, so that the order is too. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

export interface FoundFiles {
  readonly files: readonly TextCandidate[];
  /** Folders and files below that could not be looked into. */
  readonly unreadable: number;
}

/**
 * All plain files below a folder, sorted by name. Links are followed, each folder is entered once
 * (so a link back up ends), and what starts with a dot (`.git`, `.DS_Store`) is left out.
 */
export function findFiles(folder: string): FoundFiles {
  const files: TextCandidate[] = [];
  const entered = new Set<string>();
  let unreadable = 0;

  const walk = (path: string, entries: readonly Dirent[]): void => {
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      const child = join(path, entry.name);
      try {
        const status = entry.isSymbolicLink() ? statSync(child) : null;
        if (entry.isDirectory() || status?.isDirectory() === true) {
          enter(child);
        } else if (entry.isFile() || status?.isFile() === true) {
          const { size, mtimeMs } = status ?? statSync(child);
          const name = relative(folder, child).split(sep).join("/");
          files.push({ name, path: child, bytes: size, modifiedMs: mtimeMs });
        }
      } catch {
        unreadable += 1;
      }
    }
  };
  const enter = (path: string): void => {
    const real = realpathSync(path);
    if (entered.has(real)) return;
    entered.add(real);
    walk(path, readdirSync(path, { withFileTypes: true }));
  };

  enter(folder);
  // By code unit, not by locale: every computer must cut the same text.
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { files, unreadable };
}
