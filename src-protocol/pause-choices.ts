import { say } from "./say.ts";
export interface PauseChoice {
  readonly label: string;
  readonly minutes: number;
}

const MORNING_HOUR = 7;

/** What every menu offers for a pause from now. */
export function pauseChoices(now: number): PauseChoice[] {
  return [
    { label: say("For 30 minutes"), minutes: 30 },
    { label: say("For 2 hours"), minutes: 120 },
    untilMorning(now),
  ];
}

/** Until the next 07:00 on this computer's clock, rounded up so that it never ends before. */
export function untilMorning(now: number): PauseChoice {
  const morning = new Date(now);
  morning.setHours(MORNING_HOUR, 0, 0, 0);
  const today = morning.getTime() > now;
  if (!today) morning.setDate(morning.getDate() + 1);
  return {
    label: today ? say("Until 07:00 this morning") : say("Until 07:00 tomorrow morning"),
    minutes: Math.max(1, Math.ceil((morning.getTime() - now) / 60_000)),
  };
}
