import { describe, expect, it } from "vitest";
import { type Decision, REASONS, type ReasonCode } from "./policy.ts";
import { explain } from "./reason-text.ts";

const ZONE = "Europe/Berlin";
/** A Monday. */
const NOW = Date.parse("2026-11-23T12:00+01:00");

function decision(reasons: ReasonCode[], change: string | null = null): Decision {
  const first = reasons[0];
  const action = first === undefined ? "pause" : REASONS[first].verdict;
  const nextChange =
    change === null
      ? null
      : ({ at: Date.parse(change), action: action === "run" ? "pause" : "run" } as const);
  return { action, reasons, nextChange };
}
const say = (reasons: ReasonCode[], change: string | null = null, now = NOW): string =>
  explain(decision(reasons, change), now, ZONE);

/** Golden: window, tray, terminal and CLI all show exactly this. */
const GOLDEN: Record<ReasonCode, string> = {
  "not-set-up": "Waiting: you have not said yet that it may begin.",
  "manual-pause": "Waiting: you paused it.",
  "agent-pause": "Waiting: your agent paused it.",
  "battery-low": "Waiting: the battery is low.",
  "too-hot": "Waiting: the computer is too hot.",
  "data-used-up": "Waiting: this month's data is used up.",
  "disk-used-up": "Waiting: its folder is about as large as you allow.",
  finishing: "May work: it finishes this step, then it pauses.",
  "remote-session": "Waiting: somebody is using the computer from afar.",
  "screen-in-use": "Waiting: a film, a call or a game is on.",
  "app-running": "Waiting: a program that you named is running.",
  "apps-unknown": "Waiting: it cannot tell which programs are running.",
  "others-busy": "Waiting: other programs need the processor.",
  "load-unknown": "Waiting: it cannot tell whether other programs need the processor.",
  "metered-network": "Waiting: the network is metered.",
  "named-network": "Waiting: it is on a network that you named.",
  "network-unknown": "Waiting: it cannot tell what network the computer is on.",
  "often-interrupted": "Waiting: it was interrupted often in the last hour.",
  "agent-run": "May work: your agent started it.",
  "screen-locked": "May work: the screen is locked.",
  "on-battery": "Waiting: the computer is on battery.",
  "power-unknown": "Waiting: it cannot tell whether the computer is on power.",
  "manual-run": "May work: you started it.",
  "in-use": "Waiting: you are using the computer.",
  "idle-unknown": "Waiting: it cannot tell whether you are using the computer.",
  "outside-schedule": "Waiting: it is outside your schedule.",
  "not-in-use": "May work: nobody is using the computer.",
  "inside-schedule": "May work: it is inside your schedule.",
  "on-power": "May work: the computer is on power.",
  "always-allowed": "May work: your schedule allows any time.",
};

describe("the decision in words", () => {
  it.each(Object.entries(GOLDEN))("%s: %s", (code, text) => {
    expect(say([code as ReasonCode])).toBe(text);
  });

  it.each([
    ["today", "2026-11-23T23:10+01:00", "Waiting: you paused it. Starts about 23:10."],
    ["tomorrow", "2026-11-24T23:00+01:00", "Waiting: you paused it. Starts tomorrow about 23:00."],
    ["this week", "2026-11-27T23:00+01:00", "Waiting: you paused it. Starts Friday about 23:00."],
    [
      "the same weekday",
      "2026-11-30T09:00+01:00",
      "Waiting: you paused it. Starts Monday 30 November about 09:00.",
    ],
    ["next week", "2026-12-04T23:00+01:00", "Waiting: you paused it. Starts Friday 4 December about 23:00."],
  ])("a start %s", (_, change, text) => {
    expect(say(["manual-pause", "always-allowed"], change)).toBe(text);
  });

  it("an end in the coming night needs no day", () => {
    const night = Date.parse("2026-11-23T23:30+01:00");
    expect(say(["not-in-use", "inside-schedule"], "2026-11-24T07:00+01:00", night)).toBe(
      "May work: nobody is using the computer. Until 07:00.",
    );
    expect(say(["inside-schedule"], "2026-11-24T07:00+01:00")).toBe(
      "May work: it is inside your schedule. Until tomorrow 07:00.",
    );
  });

  it("without a time at which it starts, every cause is named, for each has to go", () => {
    expect(say(["manual-pause", "on-battery", "in-use", "always-allowed"])).toBe(
      "Waiting: you paused it, and the computer is on battery, and you are using the computer.",
    );
  });

  it("times are those of the reader's zone", () => {
    expect(explain(decision(["manual-pause"], "2026-11-23T23:10+01:00"), NOW, "Asia/Kathmandu")).toBe(
      "Waiting: you paused it. Starts about 03:55.",
    );
  });
});
