import { z } from "zod";
import { LANGUAGE_CHOICES } from "./languages.ts";

const language = z.enum(LANGUAGE_CHOICES);
const atQuit = z.enum(["ask", "stop", "go-on"]);

/** What the desktop app itself keeps: it belongs to this window and this computer, and not to the daemon. */
export const shellSettings = z.strictObject({
  /** Whether it starts, without a window, when its owner signs in; null: this copy of it cannot be started so. */
  startAtLogin: z.boolean().nullable(),
  /** Whether it tells by itself what a night brought, and what needs its owner. */
  notifications: z.boolean(),
  /** Of tray, menus and notices; the dashboard's own is chosen with it. */
  language,
  /** What Quit means for the work: it asks, or it was told once. */
  atQuit,
});
export type ShellSettings = z.infer<typeof shellSettings>;

export const shellChange = z.strictObject({
  startAtLogin: z.boolean().optional(),
  notifications: z.boolean().optional(),
  language: language.optional(),
  atQuit: atQuit.optional(),
});
export type ShellChange = z.infer<typeof shellChange>;

/** Calls of the page that the shell answers itself. Result: `shellSettings`. */
export const SHELL_METHODS = { get: "shell.settings", change: "shell.change" } as const;
