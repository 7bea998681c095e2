import { describe, expect, it } from "vitest";
import { CallWatch } from "./call-watch.ts";

const LOOK_MS = 1_000;

/** Looks each second until it counts as hanging; ms. */
function hangsAfter(watch: CallWatch, limitMs = 3_600_000): number | null {
  for (let at = 0; at <= limitMs; at += LOOK_MS) if (watch.look(at) !== null) return at;
  return null;
}

function passes(watch: CallWatch, times: readonly number[]): void {
  for (const ms of times) {
    watch.began("forward");
    watch.answered("forward", ms);
    watch.began(null);
  }
}

describe("a compute thread", () => {
  it("hangs when a pass that takes half a second gives no answer for a minute, and says what it was", () => {
    const watch = new CallWatch();
    passes(watch, [400, 500, 450]);
    watch.began("forward");
    expect(hangsAfter(watch)).toBe(61_000);
    expect(watch.look(62_000)).toMatch(/forward, and never took more than 0\.5 s before/);
  });

  it("that gets slower bit by bit does not hang: it is given longer with each pass", () => {
    const watch = new CallWatch();
    for (let ms = 100; ms < 600_000; ms *= 1.5) {
      watch.began("forward");
      expect(hangsAfter(watch, ms), `a pass of ${ms} ms`).toBeNull();
      watch.answered("forward", ms);
    }
    watch.began("forward");
    expect(hangsAfter(watch, 36_000_000)).not.toBeNull();
  });

  it("that has nothing to do, or was stopped with its computer, does not hang", () => {
    const watch = new CallWatch();
    passes(watch, [100]);
    expect(hangsAfter(watch)).toBeNull();
    watch.began("forward");
    watch.look(0);
    expect(watch.look(8 * 3_600_000), "a night with the lid closed").toBeNull();
  });

  it("has half an hour for what was never measured, and for models of any size", () => {
    const watch = new CallWatch();
    watch.answered("load", 10);
    for (const call of ["load", "backward"] as const) {
      watch.began(call);
      expect(hangsAfter(watch)).toBe(30 * 60_000 + LOOK_MS);
    }
  });
});
