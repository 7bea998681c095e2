import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { watchStandstill } from "./standstill.ts";

let now: number;
let wall: number;
let stood: number[];
let continued: () => void;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval"] });
  [now, wall, stood] = [0, 1_000_000, []];
  watchStandstill((ms) => stood.push(ms), {
    now: () => now,
    wall: () => wall,
    onContinued: (heard) => (continued = heard),
  });
});
afterEach(() => vi.useRealTimers());

function runs(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    now += 100;
    wall += 100;
    vi.advanceTimersByTime(100);
  }
}

it("a process that was stopped says for how long, whether its timers or the signal came first", () => {
  runs(300);
  now += 4_000;
  wall += 4_000;
  continued();
  runs(500);
  expect(stood).toEqual([4_000]);
  now += 3_900;
  wall += 3_900;
  runs(100);
  continued();
  expect(stood).toEqual([4_000, 4_000]);
});

it("a process that is starved, or stopped for moments only, says nothing", () => {
  runs(300);
  now += 4_000;
  wall += 4_000;
  runs(1_000);
  for (let slice = 0; slice < 20; slice++) {
    runs(100);
    continued();
  }
  expect(stood).toEqual([]);
});

it("a computer that slept says so by its wall clock", () => {
  runs(300);
  wall += 3_600_000;
  runs(100);
  expect(stood).toEqual([3_600_000]);
});
