import { expect, test } from "vitest";
import { byOwnClock } from "./own-clock.ts";

const at = (text: string) => Date.parse(`2026-11-30T${text}Z`);
const until = (time: string) => `It is waited for until ${time} UTC.`;

test("a network's times are told by the reader's own clock, and never too early", () => {
  const now = at("21:00:00");
  expect(byOwnClock(until("21:10:33"), now, "Europe/Berlin")).toBe("It is waited for until 22:11.");
  expect(byOwnClock(until("21:10:00"), now, "Asia/Kolkata")).toBe("It is waited for until 02:40.");
  expect(byOwnClock("Auf ihn wird bis 21:10:33 UTC gewartet.", now, "Europe/Berlin")).toBe(
    "Auf ihn wird bis 22:11 gewartet.",
  );
});

test("a time after midnight is the next day's, with that day's offset", () => {
  // Berlin leaves summer time on 25 October 2026 at 01:00 UTC.
  const evening = Date.parse("2026-10-24T23:50:00Z");
  expect(byOwnClock(until("00:20:00"), evening, "Europe/Berlin")).toBe("It is waited for until 02:20.");
  expect(byOwnClock(until("01:20:00"), evening, "Europe/Berlin")).toBe("It is waited for until 02:20.");
});

test("nothing else is touched", () => {
  const now = at("21:00:00");
  for (const text of ["Until 2026-11-30 18:40:00 UTC.", "At 18:40 UTC.", "Step 21:10:33.", ""])
    expect(byOwnClock(text, now, "Europe/Berlin")).toBe(text);
});
