import { z } from "zod";

/**
 * The system's keychain keeps a random passphrase for the app, sealed; the hotkey's file is locked with it. The
 * desktop app hands the passphrase to the daemon that it starts, over its standard input: never in words of a
 * command line or in the environment, which other programs of the computer can read.
 */

/** Why there is no keychain that could keep it. */
export const NO_KEYCHAIN = {
  "no-app": "Train at Home was not started by its desktop app, which alone can ask this system's keychain",
  unavailable: "this system has no keychain that can be used now",
  "plain-text":
    "this desktop has no keyring (GNOME Keyring or KWallet), so whatever was kept there would not be protected",
  unreadable: "this system's keychain does not give back what was kept in it, or did not take it",
} as const;
export type NoKeychain = keyof typeof NO_KEYCHAIN;

/** 32 random bytes in base64url: nobody types it. */
const passphrase = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

/** One line of JSON, the first thing on the daemon's standard input. */
export const handedOver = z.discriminatedUnion("keychain", [
  z.strictObject({ keychain: z.literal("here"), passphrase }),
  z.strictObject({
    keychain: z.literal("none"),
    why: z.enum(["no-app", "unavailable", "plain-text", "unreadable"]),
  }),
]);
export type HandedOver = z.infer<typeof handedOver>;

/** The daemon's option that says that such a line comes. */
export const HAND_OVER_OPTION = "--keychain-on-stdin";

/** How the hotkey in use is kept on the disk. */
export const keyAtRest = z.strictObject({
  /** `keychain`: locked, and the system's keychain keeps what opens it. `open`: its file's mode alone protects it. */
  how: z.enum(["keychain", "password", "open"]),
  /** For its owner. */
  text: z.string(),
  /** Why no keychain can keep it; null: one can, or does. */
  missing: z.string().nullable(),
});
export type KeyAtRest = z.infer<typeof keyAtRest>;

/** `<data folder>/keychain.json`: which key files are locked with a passphrase of the keychain. No secret is in it. */
export const keptKeys = z.strictObject({
  keys: z.array(
    z.strictObject({
      path: z.string().min(1),
      /** Of the passphrase, by which another one is known without trying it. */
      id: z.string().regex(/^[0-9a-f]{32}$/),
      /** What the passphrase comes to after seconds of work, locked with the passphrase itself. */
      derived: z.base64(),
    }),
  ),
});
export const KEPT_KEYS_FILE = "keychain.json";
