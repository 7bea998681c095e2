import { readFileSync } from "node:fs";
import { z } from "zod";
import { writePrivateFile } from "../data-folder/private-file.ts";

/**
 * What must outlive the daemon so that a browser tab finds it again: the port that the tab's
 * address names.
 */
const browserMemory = z.object({
  port: z.int().min(0).max(65_535),
});
export type BrowserMemory = z.infer<typeof browserMemory>;

export function readBrowserMemory(path: string): BrowserMemory {
  try {
    return browserMemory.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return { port: 0 };
  }
}

export function writeBrowserMemory(path: string, memory: BrowserMemory): void {
  writePrivateFile(path, JSON.stringify(memory));
}
