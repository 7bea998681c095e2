import { readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ageMs, copyWithDate, unusedName } from "../disk/dated-file.ts";
import { copyToDisk } from "./snapshot-file.ts";

/** Newest states of other histories that are kept for each stage. */
const ASIDE_LIMIT = 2;
const ASIDE = /^aside-\d+\.snapshot(-\d+)?$/;

/** A state that was kept, and when it was written: milliseconds of the wall clock. */
interface Aside {
  readonly name: string;
  readonly at: number;
}

/** Whether nothing would be lost with the state at `path`: it is gone, or the past of one that is kept. */
export async function isKeptAside(folder: string, path: string): Promise<boolean> {
  const written = await stat(path).catch(() => null);
  if (written === null) return true;
  // A copy's date is rounded. One to come says nothing: the clock was set back since.
  return (await asidesIn(folder)).some(
    ({ at }) => at >= Math.floor(written.mtimeMs) && ageMs(at) !== Infinity,
  );
}

/**
 * Takes the state of `step` out of its place, wherever that is, and keeps it in `folder`; of all that was kept so,
 * the newest stay. Gives its path there. Rejects with what `node:fs` says, and then it is where it was.
 */
export async function keepAside(folder: string, path: string, step: number): Promise<string> {
  const old = (await asidesIn(folder)).sort((a, b) => b.at - a.at).slice(ASIDE_LIMIT - 1);
  const kept = await unusedName(join(folder, `aside-${step}.snapshot`));
  if (dirname(path) === folder) await rename(path, kept);
  else {
    await copyWithDate(path, kept, copyToDisk);
    await rm(path, { force: true });
  }
  for (const { name } of old) await rm(join(folder, name), { force: true });
  return kept;
}

async function asidesIn(folder: string): Promise<Aside[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => ASIDE.test(name));
  return await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })),
  );
}
