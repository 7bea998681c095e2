import { decimals, size } from "../../src-protocol/amounts.ts";
import type { ComputerHour } from "../../src-protocol/history.ts";
import { say } from "../../src-protocol/say.ts";

/** What went over the line and what was drawn; a measure that is not there is said to be missing, not to be nothing. */
export function drawnText(hours: readonly ComputerHour[]): string {
  const sum = (of: (hour: ComputerHour) => number): number =>
    hours.reduce((total, hour) => total + of(hour), 0);
  const line = say("Over your line: {sent} sent, {received} received.", {
    sent: size(sum(({ sentBytes }) => sentBytes)),
    received: size(sum(({ receivedBytes }) => receivedBytes)),
  });
  const measured = hours.filter(({ wattHours }) => wattHours !== null);
  const drawn =
    measured.length === 0
      ? say("This computer does not tell what it draws.")
      : say("Drawn while it worked: {kWh} kWh, as far as it is measured.", {
          kWh: decimals(sum(({ wattHours }) => wattHours ?? 0) / 1000, 2),
        });
  return `${line} ${drawn}`;
}
