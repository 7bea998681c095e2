import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { afterAwake } from "./awake-timer.ts";

let now = 0;
let ended = 0;

beforeEach(() => {
  now = ended = 0;
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setImmediate", "clearImmediate"] });
});
afterEach(() => vi.useRealTimers());

/** A second of a process that runs. */
function second(): void {
  for (let i = 0; i < 10; i++) {
    now += 100;
    vi.advanceTimersByTime(100);
  }
}

const wait = (ms: number): (() => void) =>
  afterAwake(
    ms,
    () => (ended += 1),
    () => now,
  );

it("a wait ends after so much time in which the process ran, once", () => {
  wait(3_000);
  for (let i = 0; i < 2; i++) second();
  expect(ended).toBe(0);
  for (let i = 0; i < 5; i++) second();
  expect(ended).toBe(1);
});

it("whoever was stopped meanwhile has the whole time again: what came then is still to be read", () => {
  wait(3_000);
  for (let i = 0; i < 2; i++) second();
  // Stopped for an hour: nothing runs, and the clock goes on.
  now += 3_600_000;
  for (let i = 0; i < 2; i++) second();
  expect(ended).toBe(0);
  for (let i = 0; i < 2; i++) second();
  expect(ended).toBe(1);
});

it("a wait that is ended before does nothing", () => {
  const end = wait(1_000);
  end();
  for (let i = 0; i < 2; i++) second();
  expect(ended).toBe(0);
});
