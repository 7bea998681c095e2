import { describe, expect, it } from "vitest";
import type { PresenceHour } from "../../src-protocol/forecast.ts";
import { HOUR_MS, type WorkedHour } from "../../src-protocol/history.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import { ALWAYS, ONLY_WHEN_ASLEEP, type Rules } from "../../src-protocol/policy.ts";
import type { ClaimRow } from "../../src-protocol/state.ts";
import { forecastOf, type ForecastInput } from "./forecast.ts";

const NOON = Date.parse("2026-11-23T12:00Z");
const address = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");

function claim(hoursAgo: number, rao: string, status: ClaimRow["status"] = "paid"): ClaimRow {
  const at = NOON - hoursAgo * HOUR_MS;
  return {
    claimId: "a".repeat(64),
    amountRao: rao,
    asset: "test",
    payoutColdkey: address,
    receipts: 1,
    status,
    detail: null,
    payment: status === "paid" ? { block: 1, blockHash: null, extrinsic: "", creditedRao: rao, at } : null,
    at,
  };
}
const worked = (hoursAgo: number, minutes: number): WorkedHour => ({
  at: NOON - hoursAgo * HOUR_MS,
  asset: "test",
  earnedRao: "9999999999",
  workedMs: minutes * 60_000,
  tokens: 1,
});
const ask = (change: Partial<ForecastInput> = {}) =>
  forecastOf({
    from: NOON,
    to: NOON + 5 * HOUR_MS,
    ifStarted: false,
    rules: ALWAYS,
    zone: "UTC",
    presence: [],
    claims: [],
    worked: [],
    computer: [],
    asset: "test",
    ...change,
  });

describe("what would I earn until 17:00?", () => {
  it("nothing was paid: it does not know, whatever is credited", () => {
    const said = ask({ worked: [worked(3, 60)], claims: [claim(2, "5000000", "accepted")] });
    expect(said).toMatchObject({ pay: null, allowedHours: 5, expectedHours: 5, electricity: null });
    expect(said.text).toBe(
      "Until 17:00 its hours allow 5 hours. What that earns is not known: nothing was paid yet for enough hours of work on this computer. " +
        "Electricity is not counted: its price was not entered.",
    );
  });

  it("a range by the worst and the best paid claim, of what arrived in the hours that were worked", () => {
    const said = ask({
      worked: [worked(40, 60), worked(39, 60), worked(20, 30)],
      claims: [claim(30, "4000000"), claim(10, "3000000")],
    });
    // 2 hours for 4,000,000 and half an hour for 3,000,000: 2 to 6 million an hour.
    expect(said.pay).toEqual({
      asset: "test",
      lowRao: "10000000",
      highRao: "30000000",
      claims: 2,
      workedHours: 2.5,
    });
    expect(said.text).toContain(
      "By the 2 last paid claims (2.5 hours of work) that earned 0.010000 to 0.030000 test units, which are worth nothing.",
    );
  });

  it("a few minutes of work say nothing of an hour's pay", () => {
    expect(ask({ worked: [worked(20, 5)], claims: [claim(10, "3000000")] }).pay).toBeNull();
  });

  it("electricity by the owner's own figures", () => {
    const rules: Rules = { ...ALWAYS, electricity: { pricePerKwh: 0.4, watts: 150 } };
    expect(ask({ rules })).toMatchObject({ electricity: { kWh: 0.75, cost: 0.3 } });
  });

  it("electricity by what was measured while it worked, where no watts were entered", () => {
    const rules: Rules = { ...ALWAYS, electricity: { pricePerKwh: 0.4, watts: null } };
    expect(ask({ rules }).text).toMatch(/nothing was measured yet of what this computer draws/);
    const hour = { at: NOON - HOUR_MS, sentBytes: 0, receivedBytes: 0 };
    const computer = [
      { ...hour, wattHours: 90, measuredMs: HOUR_MS, measured: "the whole computer, from its battery" },
      { ...hour, wattHours: 20, measuredMs: HOUR_MS / 2, measured: "the processor alone" },
    ];
    const said = ask({ rules, computer });
    expect(said.electricity).toEqual({ kWh: 0.2, cost: 0.08, watts: 40, measured: "the processor alone" });
    expect(said.text).toContain("Electricity for that: 0.2 kWh, 0.08, by the 40 W that were measured.");
  });

  it("outside the hours there are none, unless it is started", () => {
    expect(ask({ rules: ONLY_WHEN_ASLEEP })).toMatchObject({ hours: [], allowedHours: 0 });
    expect(ask({ rules: ONLY_WHEN_ASLEEP, ifStarted: true })).toMatchObject({ allowedHours: 5 });
  });

  it("a week of nights", () => {
    const week = ask({ rules: ONLY_WHEN_ASLEEP, to: NOON + 7 * 24 * HOUR_MS });
    expect([week.hours.length, week.allowedHours]).toEqual([7, 56]);
  });

  it("of hours in which somebody is here half of the time, half is to be expected; of those never seen, none", () => {
    const rules: Rules = { ...ALWAYS, onlyWhenIdle: true };
    const lastWeek = (hour: number, awayMs: number): PresenceHour => ({
      at: NOON - 7 * 24 * HOUR_MS + hour * HOUR_MS,
      awayMs,
      seenMs: HOUR_MS,
    });
    const presence = [lastWeek(0, HOUR_MS), lastWeek(1, HOUR_MS / 2)];
    expect(ask({ rules, presence })).toMatchObject({ allowedHours: 5, expectedHours: 1.5 });
    expect(ask({ rules }).text).toContain("when that is was not seen yet");
  });
});
