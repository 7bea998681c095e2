import { z } from "zod";
import { lineLimits, NO_LIMITS } from "./line-limits.ts";
import { isTimeZone } from "./zone.ts";

/** Days on which a window starts; an overnight window belongs to the day it starts on. */
export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export const day = z.enum(DAYS);
export type Day = z.infer<typeof day>;

/** Local wall-clock time, `HH:MM`; as an end, `24:00` is allowed. */
export const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, "a time like 23:00");

/** A window cannot start at 24:00: that is 00:00 of the next day, and which day owns it must be plain. */
const startTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "a time from 00:00 to 23:59");

/** Work is allowed from `from` until `to`; when `to` is not later than `from` it ends on the next day. */
export const weeklyWindow = z.strictObject({
  days: z.array(day).min(1).max(7),
  from: startTime,
  to: clockTime,
});
export type WeeklyWindow = z.infer<typeof weeklyWindow>;

export const rules = z.strictObject({
  /** `always`: the schedule does not restrict. `windows`: only inside `windows`. */
  schedule: z.enum(["always", "windows"]),
  windows: z.array(weeklyWindow).max(64),
  onlyOnPower: z.boolean(),
  onlyWhenIdle: z.boolean(),
  /** Minutes without input after which nobody is using the computer. */
  idleMinutes: z.int().min(1).max(240),
  /** IANA zone that windows are read in; null: the computer's own. */
  timeZone: z
    .string()
    .max(64)
    .refine(isTimeZone, "a time zone like Europe/Berlin that this computer knows")
    .nullable(),
  limits: lineLimits.default(NO_LIMITS),
});
export type Rules = z.infer<typeof rules>;

/** The embedded network's default: a newcomer sees it work at once. */
export const ALWAYS: Rules = {
  schedule: "always",
  windows: [],
  onlyOnPower: false,
  onlyWhenIdle: false,
  idleMinutes: 10,
  timeZone: null,
  limits: NO_LIMITS,
};

/** "Only when I'm asleep": what the dashboard offers. */
export const ONLY_WHEN_ASLEEP: Rules = {
  ...ALWAYS,
  schedule: "windows",
  windows: [{ days: [...DAYS], from: "23:00", to: "07:00" }],
  onlyOnPower: true,
};

/** A manual decision. It always has an end, and it survives a restart. */
export const override = z.strictObject({
  action: z.enum(["pause", "run"]),
  /** Unix milliseconds. */
  since: z.int().nonnegative(),
  until: z.int().nonnegative(),
  by: z.enum(["dashboard", "cli", "tray", "agent"]),
});
export type Override = z.infer<typeof override>;

/** What is known about the computer and its owner. Unknown idle time counts as "in use". */
export const evidence = z.strictObject({
  /** Seconds since the last input; null: cannot tell. */
  idleSeconds: z.number().nonnegative().nullable(),
  power: z.enum(["mains", "battery", "unknown"]),
  /** 0–100; null where there is no battery. */
  batteryPercent: z.number().min(0).max(100).nullable(),
});
export type Evidence = z.infer<typeof evidence>;

/** What holds before anybody has said anything. */
export const UNKNOWN_EVIDENCE: Evidence = { idleSeconds: null, power: "unknown", batteryPercent: null };

/**
 * Every reason there is, strongest first: of those that apply, the first one decides. Before the
 * owner's first yes nothing runs; then a manual pause beats all, power (a safety rule) beats a manual start, and a manual start beats the rest.
 * Texts for window, tray, CLI and agents come from this one table.
 */
export const REASONS = {
  "not-set-up": { verdict: "pause", text: "you have not said yet that it may begin" },
  "manual-pause": { verdict: "pause", text: "you paused it" },
  "on-battery": { verdict: "pause", text: "the computer is on battery" },
  "power-unknown": { verdict: "pause", text: "it cannot tell whether the computer is on power" },
  "manual-run": { verdict: "run", text: "you started it" },
  "in-use": { verdict: "pause", text: "you are using the computer" },
  "idle-unknown": { verdict: "pause", text: "it cannot tell whether you are using the computer" },
  "outside-schedule": { verdict: "pause", text: "it is outside your schedule" },
  "not-in-use": { verdict: "run", text: "nobody is using the computer" },
  "inside-schedule": { verdict: "run", text: "it is inside your schedule" },
  "on-power": { verdict: "run", text: "the computer is on power" },
  "always-allowed": { verdict: "run", text: "your schedule allows any time" },
} as const satisfies Record<string, { verdict: "pause" | "run"; text: string }>;
export type ReasonCode = keyof typeof REASONS;
export const reasonCode = z.enum(Object.keys(REASONS) as [ReasonCode, ...ReasonCode[]]);

/** `decide`'s answer. The first reason is the one to say when there is room for one. */
export const decision = z.strictObject({
  action: z.enum(["run", "pause"]),
  /** All that apply, most important first; those with the verdict of `action` come before the others. */
  reasons: z.array(reasonCode).min(1),
  /** The next moment at which time alone changes the action; null: never by time alone. */
  nextChange: z.strictObject({ at: z.int().nonnegative(), action: z.enum(["run", "pause"]) }).nullable(),
});
export type Decision = z.infer<typeof decision>;
