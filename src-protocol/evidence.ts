import { z } from "zod";

/**
 * What is known about the computer and its owner; `null` and `unknown`: it cannot be told. A rule that
 * needs what is unknown keeps it waiting, a guard (battery, heat) acts on what is known alone.
 */
export const evidence = z.strictObject({
  /** Seconds since the last input. */
  idleSeconds: z.number().nonnegative().nullable(),
  power: z.enum(["mains", "battery", "unknown"]),
  /** 0–100; null where there is no battery. */
  batteryPercent: z.number().min(0).max(100).nullable(),
  screenLocked: z.boolean().nullable().default(null),
  /** Somebody has a desktop here from afar. */
  remoteSession: z.boolean().nullable().default(null),
  /** A film, a call or a game keeps the screen on: the computer is used though no key is pressed. */
  screenInUse: z.boolean().nullable().default(null),
  /** Of the hottest part that can be read. */
  celsius: z.number().min(-50).max(200).nullable().default(null),
  /** What the system itself says of its heat. */
  thermal: z.enum(["nominal", "fair", "serious", "critical"]).nullable().default(null),
  /** Percent of the whole processor, Train at Home left out. */
  othersLoad: z.number().min(0).max(100).nullable().default(null),
  /** Of the programs that the rules name, those that run. */
  appsRunning: z.array(z.string()).nullable().default(null),
  metered: z.boolean().nullable().default(null),
  /** Names of the networks that the computer is on. */
  networks: z.array(z.string()).nullable().default(null),
  /** Sent and received since this month began. */
  monthBytes: z.number().nonnegative().nullable().default(null),
  /** What the data folder and all in it take. */
  folderBytes: z.number().nonnegative().nullable().default(null),
});
export type Evidence = z.infer<typeof evidence>;
/** As a shell writes it, which leaves out what it does not know. */
export type EvidenceReport = z.input<typeof evidence>;

/** What holds before anybody has said anything. */
export const UNKNOWN_EVIDENCE: Evidence = evidence.parse({
  idleSeconds: null,
  power: "unknown",
  batteryPercent: null,
});
