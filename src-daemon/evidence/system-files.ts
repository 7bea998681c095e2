import { readdir, readFile } from "node:fs/promises";

/** What stands in a folder of the system (`/proc`, `/sys`); nothing, where it is not there or not to be read. */
export async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}

/** A file of the system; empty, where it is not there or not to be read. */
export async function text(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}
