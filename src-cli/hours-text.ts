import { decimals, number } from "../src-protocol/amounts.ts";
import type { ComputerHour, WorkedHour } from "../src-protocol/history.ts";
import { assetWord, formatTao } from "../src-protocol/units.ts";
import { localTime, ownTimeZone } from "../src-protocol/zone.ts";

/** By the hour, newest first: one line for each hour in which something was worked, sent or drawn. */
export function hoursText(
  worked: readonly WorkedHour[],
  computer: readonly ComputerHour[],
  zone = ownTimeZone(),
): string {
  const times = [...new Set([...worked, ...computer].map(({ at }) => at))].sort((a, b) => b - a);
  if (times.length === 0) return "Nothing was worked in that time.";
  return times
    .map((at) => {
      const moment = new Date(localTime(zone, at)).toISOString().slice(0, 16).replace("T", " ");
      const parts = [
        ...worked.filter((hour) => hour.at === at).map(workedPart),
        ...computer.filter((hour) => hour.at === at).map(computerPart),
      ];
      return `${moment}  ${parts.filter((part) => part !== "").join("; ")}`;
    })
    .join("\n");
}

function workedPart({ asset, earnedRao, workedMs, tokens }: WorkedHour): string {
  return `${Math.round(workedMs / 60_000)} min worked, ${number(tokens)} tokens, ${formatTao(BigInt(earnedRao))} ${assetWord(asset)}`;
}

function computerPart({ sentBytes, receivedBytes, wattHours, measured }: ComputerHour): string {
  const line =
    sentBytes + receivedBytes === 0
      ? []
      : [`${megabytes(sentBytes)} MB sent, ${megabytes(receivedBytes)} MB received`];
  const drawn = wattHours === null ? [] : [`${decimals(wattHours, 1)} Wh drawn (${measured})`];
  return [...line, ...drawn].join(", ");
}

function megabytes(bytes: number): string {
  return decimals(bytes / 1e6, 1);
}
