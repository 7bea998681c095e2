import { expect, it } from "vitest";
import { ALWAYS, ONLY_WHEN_ASLEEP, type Override, UNKNOWN_EVIDENCE } from "../../src-protocol/policy.ts";
import { decide } from "./decide.ts";
import { endsAt } from "./ending.ts";

const at = (clock: string): number => Date.parse(`2026-11-25T${clock}Z`);
const away = { ...UNKNOWN_EVIDENCE, power: "mains" } as const;
const start = (until: number, more: Partial<Override> = {}): Override => ({
  action: "run",
  since: at("12:00"),
  until,
  by: "cli",
  ...more,
});
const ends = (rules: typeof ALWAYS, override: Override | null, now: number) =>
  endsAt(decide(rules, away, override, now, "UTC"), override);

it("a window's end, a manual start's and an agent's are known before they come", () => {
  expect(ends(ONLY_WHEN_ASLEEP, null, at("23:30"))).toBe(at("07:00") + 86_400_000);
  expect(ends(ONLY_WHEN_ASLEEP, start(at("14:00")), at("12:30"))).toBe(at("14:00"));
  const agent = start(at("15:00"), { by: "agent", lease: { id: "a1", name: "Helper" } });
  expect(ends(ONLY_WHEN_ASLEEP, agent, at("12:30"))).toBe(at("15:00"));
});

it("a gap ends everything, also where the schedule would go on", () => {
  expect(ends(ALWAYS, start(at("14:00")), at("12:30"))).toBeNull();
  expect(ends(ALWAYS, start(at("14:00"), { thenQuit: true }), at("12:30"))).toBe(at("14:00"));
});

it("who waits has no end to announce", () => {
  expect(ends(ONLY_WHEN_ASLEEP, null, at("12:30"))).toBeNull();
});
