import { describe, expect, it } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import { OwnLoad } from "./own-load.ts";

const [one, other] = ["1", "2"].map((digit) => sessionKey.parse(digit.repeat(64))) as [
  ReturnType<typeof sessionKey.parse>,
  ReturnType<typeof sessionKey.parse>,
];

function measured() {
  const clock = { now: 0 };
  const load = new OwnLoad(() => clock.now);
  load.begins("forward")(100);
  load.begins("backward")(200);
  return { clock, load };
}

describe("what a replica tells those who send it work", () => {
  it("is its pace, all that waits for its passes, and the rest of the one that runs", () => {
    const { clock, load } = measured();
    expect(load.of(one, { forward: 2, backward: 1 })).toEqual({ workMs: 300, backlogMs: 400, taken: 0 });
    load.begins("backward");
    clock.now = 150;
    expect(load.of(one, { forward: 0, backward: 0 }).backlogMs).toBe(50);
    clock.now = 999;
    expect(load.of(one, { forward: 0, backward: 0 }).backlogMs).toBe(0);
  });

  it("counts all of a pass that was given ahead, until the one before it has ended", () => {
    const { clock, load } = measured();
    const backlog = (): number => load.of(one, { forward: 1, backward: 0 }).backlogMs;
    const first = load.begins("forward");
    const second = load.begins("backward");
    clock.now = 60;
    expect(backlog()).toBe(40 + 200 + 100);
    first(100);
    first(null);
    expect(backlog()).toBe(200 + 100);
    clock.now = 110;
    expect(backlog()).toBe(150 + 100);
    second(null);
    expect(backlog()).toBe(100);
  });

  it("says to each sender how much of it was there, in this step", () => {
    const { load } = measured();
    load.took(one);
    load.took(one);
    load.took(other);
    const taken = () => [one, other].map((key) => load.of(key, { forward: 0, backward: 0 }).taken);
    expect(taken()).toEqual([2, 1]);
    load.emptied();
    expect(taken()).toEqual([0, 0]);
  });

  it("is due at most twice a second, and not before there is anything to tell", () => {
    expect(new OwnLoad(() => 0).isDue()).toBe(false);
    const { clock, load } = measured();
    expect(load.isDue()).toBe(true);
    clock.now = 499;
    expect(load.isDue()).toBe(false);
    clock.now = 500;
    expect(load.isDue()).toBe(true);
  });

  it("keeps no time of a pass that came to nothing", () => {
    const { load } = measured();
    load.begins("forward")(null);
    expect(load.workMs).toBe(300);
  });
});
