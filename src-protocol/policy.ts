import { phrase } from "./say.ts";
import { z } from "zod";
import { evidence } from "./evidence.ts";
import { limits } from "./rules.ts";

export * from "./evidence.ts";
export * from "./rules.ts";

/** A manual decision. It has an end or says that it has none, and it survives a restart. */
export const override = z.strictObject({
  /** `finish`: the step in hand is finished, then it is a pause. */
  action: z.enum(["pause", "run", "finish"]),
  /** Unix milliseconds. */
  since: z.int().nonnegative(),
  /** Null: until somebody ends it; a `run` always has an end. */
  until: z.int().nonnegative().nullable(),
  by: z.enum(["dashboard", "cli", "tray", "agent"]),
  /** Of the agent whose it is: it ends when that agent is gone. */
  lease: z.strictObject({ id: z.string().max(64), name: z.string().max(64) }).exactOptional(),
  /** The daemon ends with it, and frees all that it holds. */
  thenQuit: z.literal(true).exactOptional(),
});
export type Override = z.infer<typeof override>;

/** A step that is not finished by then is dropped: every other computer repeats only that. */
export const FINISH_WITHIN_MS = 10 * 60_000;

/**
 * Every reason there is, strongest first: of those that apply, the first one decides. Before
 * the owner's first yes nothing runs; then a manual pause beats all, safety rules (power, battery, heat, data, disk) beat a manual start, a manual start beats
 * the rest, and an agent's start beats nothing but the hours of the schedule.
 * Texts for window, tray, CLI and agents come from this one table.
 */
export const REASONS = {
  "not-set-up": { verdict: "pause", text: phrase("you have not said yet that it may begin") },
  "manual-pause": { verdict: "pause", text: phrase("you paused it") },
  "agent-pause": { verdict: "pause", text: phrase("your agent paused it") },
  "on-battery": { verdict: "pause", text: phrase("the computer is on battery") },
  "power-unknown": { verdict: "pause", text: phrase("it cannot tell whether the computer is on power") },
  "battery-low": { verdict: "pause", text: phrase("the battery is low") },
  "too-hot": { verdict: "pause", text: phrase("the computer is too hot") },
  "data-used-up": { verdict: "pause", text: phrase("this month's data is used up") },
  "disk-used-up": { verdict: "pause", text: phrase("its folder is about as large as you allow") },
  finishing: { verdict: "run", text: phrase("it finishes this step, then it pauses") },
  "manual-run": { verdict: "run", text: phrase("you started it") },
  "remote-session": { verdict: "pause", text: phrase("somebody is using the computer from afar") },
  "in-use": { verdict: "pause", text: phrase("you are using the computer") },
  "screen-in-use": { verdict: "pause", text: phrase("a film, a call or a game is on") },
  "idle-unknown": { verdict: "pause", text: phrase("it cannot tell whether you are using the computer") },
  "app-running": { verdict: "pause", text: phrase("a program that you named is running") },
  "apps-unknown": { verdict: "pause", text: phrase("it cannot tell which programs are running") },
  "others-busy": { verdict: "pause", text: phrase("other programs need the processor") },
  "load-unknown": {
    verdict: "pause",
    text: phrase("it cannot tell whether other programs need the processor"),
  },
  "metered-network": { verdict: "pause", text: phrase("the network is metered") },
  "named-network": { verdict: "pause", text: phrase("it is on a network that you named") },
  "network-unknown": { verdict: "pause", text: phrase("it cannot tell what network the computer is on") },
  "often-interrupted": { verdict: "pause", text: phrase("it was interrupted often in the last hour") },
  "agent-run": { verdict: "run", text: phrase("your agent started it") },
  "outside-schedule": { verdict: "pause", text: phrase("it is outside your schedule") },
  "not-in-use": { verdict: "run", text: phrase("nobody is using the computer") },
  "screen-locked": { verdict: "run", text: phrase("the screen is locked") },
  "inside-schedule": { verdict: "run", text: phrase("it is inside your schedule") },
  "on-power": { verdict: "run", text: phrase("the computer is on power") },
  "always-allowed": { verdict: "run", text: phrase("your schedule allows any time") },
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

/** What else the policy says of now. */
export const policyState = z.strictObject({
  /** The zone that windows are read in. */
  zone: z.string(),
  /** What is asked of it now: the rules' limits and those of the windows that are open. */
  limits,
  /** What a rule needs and nobody can tell, and what to do about it. */
  missing: z.array(z.strictObject({ what: evidence.keyof(), text: z.string() })),
  /** Whether the computer is kept from going to sleep; `held`: by what. Null: it is not. */
  awake: z.strictObject({ wanted: z.boolean(), held: z.string().nullable(), text: z.string() }),
  /** How well the worker is held apart from the rest of the computer, in a sentence. */
  sandbox: z.string().default(""),
});
export type PolicyView = z.infer<typeof policyState>;
