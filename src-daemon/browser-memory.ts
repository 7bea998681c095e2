import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { writePrivateFile } from "./private-file.ts";

/**
 * What must outlive the daemon so that a browser tab finds it again: the port that the tab's
 * address names, and the secret that its cookie was made with. Losing it costs one new login.
 */
const browserMemory = z.strictObject({
  port: z.int().min(0).max(65_535),
  cookieSecret: z.string().regex(/^[0-9a-f]{64}$/),
});
export type BrowserMemory = z.infer<typeof browserMemory>;

export function readBrowserMemory(path: string): BrowserMemory {
  try {
    return browserMemory.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return { port: 0, cookieSecret: randomBytes(32).toString("hex") };
  }
}

export function writeBrowserMemory(path: string, memory: BrowserMemory): void {
  writePrivateFile(path, JSON.stringify(memory));
}
