import { describe, expect, it } from "vitest";
import { instantsOf, isTimeZone, localTime, ownTimeZone } from "./zone.ts";

const utc = (text: string): number => Date.parse(`${text}Z`);
const shown = (zone: string, text: string): string =>
  new Date(localTime(zone, utc(text))).toISOString().slice(0, 16);

describe("wall-clock time", () => {
  it.each([
    ["Asia/Kathmandu", "2026-11-23T18:30", "2026-11-24T00:15"],
    ["America/New_York", "2026-07-01T03:59", "2026-06-30T23:59"],
    ["Europe/Berlin", "2026-03-29T00:59", "2026-03-29T01:59"],
    ["Europe/Berlin", "2026-03-29T01:00", "2026-03-29T03:00"],
    ["Australia/Lord_Howe", "2026-04-04T14:59", "2026-04-05T01:59"],
    ["Australia/Lord_Howe", "2026-04-04T15:00", "2026-04-05T01:30"],
    ["Pacific/Apia", "2011-12-30T09:59", "2011-12-29T23:59"],
    ["Pacific/Apia", "2011-12-30T10:00", "2011-12-31T00:00"],
    ["UTC", "1969-12-31T23:59", "1969-12-31T23:59"],
  ])("in %s at %s UTC clocks show %s", (zone, at, local) => {
    expect(shown(zone, at)).toBe(local);
  });

  it("has two instants for a time in the doubled hour, and the jump for one in the skipped hour", () => {
    expect(instantsOf("Europe/Berlin", utc("2026-10-25T02:30"))).toEqual({
      first: utc("2026-10-25T00:30"),
      last: utc("2026-10-25T01:30"),
    });
    expect(instantsOf("Europe/Berlin", utc("2026-03-29T02:30"))).toEqual({
      first: utc("2026-03-29T01:00"),
      last: utc("2026-03-29T01:00"),
    });
    expect(instantsOf("Europe/Berlin", utc("2026-03-29T03:30")).first).toBe(utc("2026-03-29T01:30"));
  });

  it("survives a whole day that a country skipped", () => {
    expect(instantsOf("Pacific/Apia", utc("2011-12-30T12:00")).first).toBe(utc("2011-12-30T10:00"));
  });

  it("tells a zone from other text", () => {
    expect(["Europe/Berlin", "UTC", ownTimeZone()].map(isTimeZone)).toEqual([true, true, true]);
    expect(["", "Mars/Olympus", "../etc/passwd"].map(isTimeZone)).toEqual([false, false, false]);
  });
});
