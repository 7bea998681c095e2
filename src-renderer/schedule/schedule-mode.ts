import { ONLY_WHEN_ASLEEP, type Rules } from "../../src-protocol/policy.ts";
import { hoursOf } from "./week-hours.ts";

/** The three ways to say when; they are one and the same rules underneath. */
export type ScheduleMode = "any" | "asleep" | "own";

const ASLEEP_HOURS = JSON.stringify(hoursOf(ONLY_WHEN_ASLEEP.windows));

export function modeOf(rules: Rules): ScheduleMode {
  if (rules.schedule === "always") return "any";
  return JSON.stringify(hoursOf(rules.windows)) === ASLEEP_HOURS ? "asleep" : "own";
}

/** `rules` after choosing a mode. Hours painted before are kept, so that going back finds them. */
export function inMode(rules: Rules, mode: ScheduleMode): Rules {
  if (mode === "any") return { ...rules, schedule: "always" };
  if (mode === "own") return { ...rules, schedule: "windows" };
  const { windows, onlyOnPower } = ONLY_WHEN_ASLEEP;
  return { ...rules, schedule: "windows", windows, onlyOnPower };
}

export function sameRules(a: Rules, b: Rules): boolean {
  return JSON.stringify(inOrder(a)) === JSON.stringify(inOrder(b));
}

function inOrder(rules: Rules): unknown[] {
  const { schedule, windows, onlyOnPower, onlyWhenIdle, idleMinutes, timeZone, limits } = rules;
  return [
    schedule,
    windows.map(({ days, from, to }) => [days, from, to]),
    onlyOnPower,
    onlyWhenIdle,
    idleMinutes,
    timeZone,
    limits.uploadMbit,
    limits.downloadMbit,
  ];
}
