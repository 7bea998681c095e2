import { decimals, number } from "./amounts.ts";
import type { Forecast } from "./forecast.ts";
import { momentText } from "./reason-text.ts";
import { say } from "./say.ts";
import { formatTao } from "./units.ts";

export interface ForecastAsked {
  /** As if it were started now, whatever the hours say. */
  readonly ifStarted: boolean;
  readonly zone: string;
  /** Whether the rules want nobody to be here. */
  readonly onlyWhenIdle: boolean;
  /** Whether the price of electricity was entered. */
  readonly priced: boolean;
}

/** A forecast in sentences, with what it does not know. */
export function forecastText(
  { from, to, allowedHours, expectedHours, pay, electricity }: Omit<Forecast, "text">,
  { ifStarted, zone, onlyWhenIdle, priced }: ForecastAsked,
): string {
  const allowed = { hours: hoursText(allowedHours), moment: momentText(to, from, zone) };
  return [
    ifStarted
      ? say("If it is started now, it may work {hours} until {moment}.", allowed)
      : say("Until {moment} its hours allow {hours}.", allowed),
    ...(onlyWhenIdle && expectedHours < allowedHours ? [presenceText(expectedHours)] : []),
    payText(pay),
    electricityText(electricity, priced),
  ].join(" ");
}

function electricityText(electricity: Forecast["electricity"], priced: boolean): string {
  if (electricity === null)
    return priced
      ? say(
          "Electricity is not counted: nothing was measured yet of what this computer draws, and no watts were entered.",
        )
      : say("Electricity is not counted: its price was not entered.");
  const { kWh, cost, watts, measured } = electricity;
  const values = { energy: number(kWh), cost: decimals(cost, 2) };
  return measured === null
    ? say("Electricity for that: {energy} kWh, {cost}.", values)
    : say("Electricity for that: {energy} kWh, {cost}, by the {watts} W that were measured.", {
        ...values,
        watts: number(Math.round(watts)),
      });
}

function presenceText(expectedHours: number): string {
  return expectedHours === 0
    ? say("It works only while nobody is here, and when that is was not seen yet.")
    : say("By when nobody was here in the weeks before, {hours} of them are to be expected.", {
        hours: hoursText(expectedHours),
      });
}

function payText(pay: Forecast["pay"]): string {
  if (pay === null)
    return say(
      "What that earns is not known: nothing was paid yet for enough hours of work on this computer.",
    );
  const amount = (rao: string): string => formatTao(BigInt(rao) - (BigInt(rao) % 1000n), 6);
  return say(
    "By {claims, plural, one {the one paid claim} other {the # last paid claims}} ({hours} of work) that earned {range} {unit}.",
    {
      claims: pay.claims,
      hours: hoursText(pay.workedHours),
      range:
        pay.lowRao === pay.highRao
          ? amount(pay.lowRao)
          : say("{low} to {high}", { low: amount(pay.lowRao), high: amount(pay.highRao) }),
      unit: pay.asset === "test" ? say("test units, which are worth nothing") : pay.asset,
    },
  );
}

function hoursText(hours: number): string {
  return hours === 1 ? say("1 hour") : say("{hours} hours", { hours: number(Number(hours.toFixed(1))) });
}
