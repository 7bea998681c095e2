import { z } from "zod";
import { country } from "./countries.ts";
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

/** A day of the calendar, `YYYY-MM-DD`, that exists. */
export const calendarDate = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}$/, "a date like 2026-12-24")
  .refine((text) => {
    const date = new Date(`${text}T00:00Z`);
    return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
  }, "a date that exists, like 2026-12-24");

/** Of all that computes together, in MB (1e6 bytes); null: what the computer has. */
const memoryLimit = z.int().min(400).max(1e8).nullable();

/** Where `null`, nothing is limited. Of several that hold at a time, the strictest of each counts. */
export const workLimits = z.strictObject({
  /** Processor cores for all processes that compute. */
  cores: z.int().min(1).max(1024).nullable(),
  /** Whether a graphics card may be used. */
  gpu: z.boolean(),
  /** Half of the cores, at the lowest priority: fans stay slow. */
  quiet: z.boolean(),
  memoryMegabytes: memoryLimit.default(null),
});
export type WorkLimits = z.infer<typeof workLimits>;
export const NO_WORK_LIMITS: WorkLimits = {
  cores: null,
  gpu: true,
  quiet: false,
  memoryMegabytes: null,
};

/** All that can be limited: by the rules for always, by a window for its hours. */
export const limits = workLimits.extend(lineLimits.shape);
export type Limits = z.infer<typeof limits>;
// Not partial alone: a default would be written into every window.
const windowLimits = limits.partial().extend({ memoryMegabytes: memoryLimit.optional() });
export type WindowLimits = z.infer<typeof windowLimits>;

/** The question a window with start = end leaves open; it is asked, never guessed. */
export const ALL_DAY_OR_NEVER =
  "it starts when it ends: is that all day (write 00:00 to 24:00) or never (leave the window out)?";

const hours = { from: startTime, to: clockTime, limits: windowLimits.exactOptional() };
const isTwo = ({ from, to }: { from: string; to: string }): boolean => from !== to;

/** Work is allowed from `from` until `to`; when `to` is earlier than `from` it ends on the next day. */
export const weeklyWindow = z
  .strictObject({ days: z.array(day).min(1).max(7), ...hours })
  .refine(isTwo, { error: ALL_DAY_OR_NEVER, path: ["to"] });
export type WeeklyWindow = z.infer<typeof weeklyWindow>;

/** What starts on one date, in place of the week's windows; none: not on that day. */
export const dateException = z.strictObject({
  date: calendarDate,
  windows: z.array(z.strictObject(hours).refine(isTwo, { error: ALL_DAY_OR_NEVER, path: ["to"] })).max(24),
});
export type DateException = z.infer<typeof dateException>;

/** Two thresholds, so that a value which wavers around one does not switch work on and off. */
const percent = z.int().min(0).max(100);
export const batteryGuard = z
  .strictObject({ stopBelow: percent, startFrom: percent })
  .refine(({ stopBelow, startFrom }) => stopBelow < startFrom, "it stops below less than it starts from");
export const heatGuard = z
  .strictObject({ stopFrom: z.int().min(40).max(120), startBelow: z.int().min(20).max(119) })
  .refine(({ stopFrom, startBelow }) => startBelow < stopFrom, "it starts below less than it stops from");
export const loadGuard = z
  .strictObject({ stopFrom: z.int().min(1).max(100), startBelow: z.int().min(0).max(99) })
  .refine(({ stopFrom, startBelow }) => startBelow < stopFrom, "it starts below less than it stops from");

const name = z.string().trim().min(1).max(80);

export const rules = z.strictObject({
  /** `always`: the schedule does not restrict. `windows`: only inside `windows`. */
  schedule: z.enum(["always", "windows"]),
  windows: z.array(weeklyWindow).max(64),
  /** One for a date at most; they hold for `always` too. */
  exceptions: z
    .array(dateException)
    .max(366)
    .refine((list) => new Set(list.map(({ date }) => date)).size === list.length, "a date stands there twice")
    .default([]),
  onlyOnPower: z.boolean(),
  onlyWhenIdle: z.boolean(),
  /** Minutes without input after which nobody is using the computer. */
  idleMinutes: z.int().min(1).max(240),
  /** On battery, where that is allowed at all; percent. Null: down to nothing. */
  battery: batteryGuard.nullable().default({ stopBelow: 20, startFrom: 30 }),
  /** Degrees Celsius of the hottest part that can be read; some processors work at 95 all day. Null: whatever the computer itself allows. */
  heat: heatGuard.nullable().default({ stopFrom: 100, startBelow: 85 }),
  /** Percent of the whole processor that others than Train at Home use. Null: never mind them. */
  load: loadGuard.nullable().default(null),
  /** It waits while one of these programs runs (their names as the system lists them). */
  apps: z.array(name).max(64).default([]),
  notOnMetered: z.boolean().default(false),
  /** It waits while the computer is on one of these networks (by the name that the system shows). */
  notOnNetworks: z.array(name).max(64).default([]),
  /** Sent and received in a calendar month, in MB (1e6 bytes). Null: no cap. */
  monthlyMegabytes: z.int().min(1).max(1e9).nullable().default(null),
  /** The data folder and all in it, in MB (1e6 bytes). Null: no quota. */
  diskMegabytes: z.int().min(100).max(1e9).nullable().default(null),
  /** IANA zone that windows are read in; null: the computer's own. */
  timeZone: z
    .string()
    .max(64)
    .refine(isTimeZone, "a time zone like Europe/Berlin that this computer knows")
    .nullable(),
  limits: lineLimits.default(NO_LIMITS),
  work: workLimits.default(NO_WORK_LIMITS),
  /** While it works on mains, the computer does not go to sleep by itself; the screen may. */
  keepAwake: z.boolean().default(true),
  /** Learn when nobody is there, to offer hours: kept on this computer alone. */
  learnHours: z.boolean().default(true),
  /** Told to the network, which counts computers by country on its public page; null: it is not said. */
  country: country.nullable().default(null),
  /** For what is left after electricity; null: not known. */
  electricity: z
    .strictObject({
      /** In the currency that the owner thinks in. */
      pricePerKwh: z.number().min(0).max(100),
      /** More than at rest, while it works; null: as it was measured. */
      watts: z.number().min(0).max(10_000).nullable(),
    })
    .nullable()
    .default(null),
});
export type Rules = z.infer<typeof rules>;

/** The embedded network's default: a newcomer sees it work at once. */
export const ALWAYS: Rules = rules.parse({
  schedule: "always",
  windows: [],
  onlyOnPower: false,
  onlyWhenIdle: false,
  idleMinutes: 10,
  timeZone: null,
});

/** "Only when I'm asleep": what the dashboard offers. */
export const ONLY_WHEN_ASLEEP: Rules = {
  ...ALWAYS,
  schedule: "windows",
  windows: [{ days: [...DAYS], from: "23:00", to: "07:00" }],
  onlyOnPower: true,
};

/**
 * Rules as an earlier version stored them. There, a window with start = end was a whole day from that
 * time on; here it is written as what it meant. Anything else is left for the schema to judge.
 */
export function migratedRules(stored: unknown): unknown {
  if (typeof stored !== "object" || stored === null || !("windows" in stored)) return stored;
  if (!Array.isArray(stored.windows)) return stored;
  return { ...stored, windows: stored.windows.flatMap(wholeDay) };
}

const wholeDayWindow = z.strictObject({ days: z.array(day).min(1).max(7), from: startTime, to: startTime });

function wholeDay(window: unknown): unknown[] {
  const parsed = wholeDayWindow.safeParse(window);
  if (!parsed.success || parsed.data.from !== parsed.data.to) return [window];
  const { days, from } = parsed.data;
  if (from === "00:00") return [{ days, from, to: "24:00" }];
  const next = days.map((name) => DAYS[(DAYS.indexOf(name) + 1) % DAYS.length]);
  return [
    { days, from, to: "24:00" },
    { days: next, from: "00:00", to: from },
  ];
}
