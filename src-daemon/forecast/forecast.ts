import type { Forecast, PresenceHour } from "../../src-protocol/forecast.ts";
import { forecastText } from "../../src-protocol/forecast-text.ts";
import { type ComputerHour, HOUR_MS, type WorkedHour } from "../../src-protocol/history.ts";
import type { Rules } from "../../src-protocol/policy.ts";
import type { ClaimRow } from "../../src-protocol/state.ts";
import { allowedBetween, hoursOfRules, type Interval } from "../../src-protocol/windows.ts";
import { awayShare } from "../presence/away-share.ts";

/** Below this a claim says nothing about an hour's pay. */
const LEAST_HOURS = 0.25;
const MOST_CLAIMS = 20;

export interface ForecastInput {
  readonly from: number;
  readonly to: number;
  /** As if it were started now, whatever the hours say. */
  readonly ifStarted: boolean;
  readonly rules: Rules;
  readonly zone: string;
  readonly presence: readonly PresenceHour[];
  readonly claims: readonly ClaimRow[];
  readonly worked: readonly WorkedHour[];
  readonly asset: WorkedHour["asset"];
  /** What this computer sent and drew by the hour. */
  readonly computer: readonly ComputerHour[];
}

/** When it will run, and what such hours were paid so far: from settled pay alone, never a ceiling. */
export function forecastOf(input: ForecastInput): Forecast {
  const { from, to, ifStarted, rules, zone, asset } = input;
  const hours = ifStarted ? [{ start: from, end: to }] : allowedBetween(hoursOfRules(rules), zone, from, to);
  const allowedHours = hoursIn(hours);
  const expectedHours = rules.onlyWhenIdle ? expected(hours, input.presence, zone) : allowedHours;
  const rates = paidRates(input);
  const pay = rates === null ? null : payFor(expectedHours, rates, asset);
  const electricity = electricityFor(expectedHours, rules.electricity, input.computer);
  const known = { from, to, hours, allowedHours, expectedHours, pay, electricity };
  return {
    ...known,
    text: forecastText(known, {
      ifStarted,
      zone,
      onlyWhenIdle: rules.onlyWhenIdle,
      priced: rules.electricity !== null,
    }),
  };
}

/** Below this, what was drawn says nothing of an hour. */
const LEAST_MEASURED_MS = 10 * 60_000;

/** By the watts that its owner entered, else by those that were measured while it worked. */
function electricityFor(
  hours: number,
  price: Rules["electricity"],
  computer: readonly ComputerHour[],
): Forecast["electricity"] {
  if (price === null) return null;
  const known = price.watts === null ? measuredWatts(computer) : { watts: price.watts, measured: null };
  if (known === null) return null;
  const kWh = (hours * known.watts) / 1000;
  return { kWh: rounded(kWh), cost: rounded(kWh * price.pricePerKwh), ...known };
}

function measuredWatts(computer: readonly ComputerHour[]): { watts: number; measured: string } | null {
  const last = computer.findLast(({ measured }) => measured !== null)?.measured ?? null;
  // Of another measure (a battery's, before the mains) the figures do not add up.
  const alike = computer.filter(({ measured }) => measured === last);
  const ms = alike.reduce((sum, { measuredMs }) => sum + measuredMs, 0);
  if (last === null || ms < LEAST_MEASURED_MS) return null;
  const wattHours = alike.reduce((sum, hour) => sum + (hour.wattHours ?? 0), 0);
  return { watts: rounded((wattHours * HOUR_MS) / ms), measured: last };
}

interface Rates {
  readonly low: number;
  readonly high: number;
  readonly claims: number;
  readonly workedHours: number;
}

/** Rao an hour of each paid claim: what has arrived, by the hours that were worked since the claim before. */
function paidRates({ claims, worked, asset }: ForecastInput): Rates | null {
  const paid = claims
    .filter((row) => row.asset === asset && row.status === "paid" && row.payment !== null)
    .toSorted((a, b) => a.at - b.at)
    .slice(-MOST_CLAIMS - 1);
  const rates: number[] = [];
  let workedHours = 0;
  for (const [index, row] of paid.entries()) {
    const since = paid[index - 1]?.at ?? 0;
    const hours =
      worked
        .filter((hour) => hour.asset === asset && hour.at + HOUR_MS > since && hour.at < row.at)
        .reduce((sum, { workedMs }) => sum + workedMs, 0) / HOUR_MS;
    if (hours < LEAST_HOURS) continue;
    rates.push(Number(row.payment?.creditedRao ?? "0") / hours);
    workedHours += hours;
  }
  if (rates.length === 0) return null;
  return { low: Math.min(...rates), high: Math.max(...rates), claims: rates.length, workedHours };
}

function payFor(hours: number, rates: Rates, asset: WorkedHour["asset"]): Forecast["pay"] {
  const rao = (perHour: number): string => BigInt(Math.floor(perHour * hours)).toString();
  const { claims, workedHours } = rates;
  return {
    asset,
    lowRao: rao(rates.low),
    highRao: rao(rates.high),
    claims,
    workedHours: rounded(workedHours),
  };
}

/** Hour by hour, the share of that hour of the week in which nobody was here. */
function expected(hours: readonly Interval[], presence: readonly PresenceHour[], zone: string): number {
  const share = awayShare(presence, zone);
  let sum = 0;
  for (const { start, end } of hours)
    for (let at = start; at < end;) {
      const next = Math.min(end, (Math.floor(at / HOUR_MS) + 1) * HOUR_MS);
      // Of an hour that was never seen nothing is promised.
      sum += ((next - at) / HOUR_MS) * (share(at) ?? 0);
      at = next;
    }
  return rounded(sum);
}

function hoursIn(hours: readonly Interval[]): number {
  return rounded(hours.reduce((sum, { start, end }) => sum + end - start, 0) / HOUR_MS);
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
