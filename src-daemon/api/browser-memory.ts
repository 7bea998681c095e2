import { readFileSync } from "node:fs";
import { z } from "zod";
import { writePrivateFile } from "../data-folder/private-file.ts";

/** A browser that is signed in, by its public key. */
const browser = z.strictObject({ publicKey: z.string().max(88), endsAt: z.int().nonnegative() });
export type Browser = z.infer<typeof browser>;

/**
 * What must outlive the daemon so that a browser tab finds it again and is still signed in: the port
 * that the tab's address names, and public keys.
 */
const browserMemory = z.object({
  port: z.int().min(0).max(65_535),
  browsers: z.array(browser).max(64).default([]),
});
export type BrowserMemory = z.infer<typeof browserMemory>;

export function readBrowserMemory(path: string): BrowserMemory {
  try {
    return browserMemory.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return { port: 0, browsers: [] };
  }
}

export function writeBrowserMemory(path: string, memory: BrowserMemory): void {
  writePrivateFile(path, JSON.stringify(memory));
}
