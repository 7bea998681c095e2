import { DAYS, ONLY_WHEN_ASLEEP, type Rules } from "../../src-protocol/policy.ts";

/** The three ways to say when; they are one and the same rules underneath. */
export type ScheduleMode = "any" | "asleep" | "own";

export function modeOf(rules: Rules): ScheduleMode {
  if (rules.schedule === "always") return "any";
  return nightOf(rules.windows) === null ? "own" : "asleep";
}

/** The hours of sleep that these windows are: every night the same, over midnight. Null: they are something else. */
export function nightOf(windows: Rules["windows"]): { from: string; to: string } | null {
  const [night, ...more] = windows;
  if (night === undefined || more.length > 0 || night.days.length !== DAYS.length) return null;
  const isOverMidnight = night.from > night.to && night.to !== "00:00";
  return isOverMidnight ? { from: night.from, to: night.to } : null;
}

export function withNight(rules: Rules, { from, to }: { from: string; to: string }): Rules {
  return { ...rules, schedule: "windows", windows: [{ days: [...DAYS], from, to }] };
}

/** `rules` after choosing a mode. Hours painted before are kept, so that going back finds them. */
export function inMode(rules: Rules, mode: ScheduleMode): Rules {
  if (mode === "any") return { ...rules, schedule: "always" };
  const { windows, onlyOnPower } = ONLY_WHEN_ASLEEP;
  // An empty week would never run: whoever paints begins with the nights.
  if (mode === "own")
    return { ...rules, schedule: "windows", windows: rules.windows.length === 0 ? windows : rules.windows };
  // Somebody's own nights are kept.
  return {
    ...rules,
    schedule: "windows",
    windows: nightOf(rules.windows) === null ? windows : rules.windows,
    onlyOnPower,
  };
}

/** Whether both allow the same, however their fields are ordered. */
export function sameRules(a: Rules, b: Rules): boolean {
  return JSON.stringify(a, inOrder) === JSON.stringify(b, inOrder);
}

/** Fields in one order, for `JSON.stringify`. */
function inOrder(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => one.localeCompare(other)));
}
