import { expect, it } from "vitest";
import { DeclaredEnd } from "./declared-end.ts";

it("an end that was said comes nearer with the clock, is told when it changes, and may be taken back", () => {
  let now = 1_000;
  const told: (number | null)[] = [];
  const end = new DeclaredEnd(() => now);
  expect(end.inMs).toBeNull();
  end.onChange = (inMs) => told.push(inMs);
  end.set(5_000);
  now = 3_000;
  expect(end.inMs).toBe(3_000);
  now = 60_000;
  expect(end.inMs).toBe(0);
  end.set(null);
  expect(end.inMs).toBeNull();
  expect(told).toEqual([5_000, null]);
});
