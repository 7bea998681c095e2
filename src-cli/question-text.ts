import { number, plural } from "../src-protocol/amounts.ts";
import type { GoBackQuestion } from "../src-protocol/go-back.ts";
import { dateTime } from "./date-time.ts";

/** What an operator decides about, who would bring it back, and how it is answered. */
export function questionText({ resumeStep, lostSteps, awaited = [] }: GoBackQuestion): string {
  const who = awaited.map(
    ({ hotkey, stage, goneAt }) => `  ${hotkey}  slice ${stage + 1}, gone since ${dateTime(goneAt)}`,
  );
  return [
    `Wait for the computers that have step ${number(resumeStep + lostSteps)}, or give ${plural(lostSteps, "step", "steps")} up ` +
      "with `tah network go-back --yes`. What those computers have is kept on their disks either way.",
    ...(who.length === 0 ? [] : ["They are:", ...who]),
  ].join("\n");
}
