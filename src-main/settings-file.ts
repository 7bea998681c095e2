import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { shellSettings } from "../src-protocol/shell-settings.ts";

const kept = z.strictObject({
  notifications: shellSettings.shape.notifications.default(true),
  language: shellSettings.shape.language.default("system"),
  atQuit: shellSettings.shape.atQuit.default("ask"),
});
export type KeptSettings = z.infer<typeof kept>;

const AS_NEW = kept.parse({});

/** `shell.json` in the app's own folder. What cannot be read is as new. */
export function readSettings(path: string): KeptSettings {
  try {
    return kept.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return AS_NEW;
  }
}

/** Whole or not at all. Throws what writing throws. */
export function writeSettings(path: string, settings: KeptSettings): void {
  writeFileSync(`${path}.new`, JSON.stringify(settings));
  renameSync(`${path}.new`, path);
}
