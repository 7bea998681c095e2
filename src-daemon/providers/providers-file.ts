import { readFileSync } from "node:fs";
import { providersFile } from "../../src-protocol/providers.ts";
import type { ProvidersFile } from "../../src-protocol/providers.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

/** Null when there is none that can be read: it is a cache, and the test is taken again. */
export function readProvidersFile(path: string): ProvidersFile | null {
  try {
    return providersFile.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}

export function writeProvidersFile(path: string, file: ProvidersFile): void {
  try {
    writePrivateFile(path, `${JSON.stringify(file, null, 2)}\n`);
  } catch {
    // A full disk costs one more test at the next start, and other parts tell of it.
  }
}
