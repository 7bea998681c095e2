import { describe, expect, test } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { testHotkey } from "./fleet.test-support.ts";
import { place } from "./placement.ts";
import type { Candidate, Vacancy } from "./placement.ts";

const key = (digit: number): SessionKey => sessionKey.parse(`${digit}`.repeat(64));

function node(digit: number, change: Partial<Candidate> = {}): [SessionKey, Candidate] {
  const candidate: Candidate = {
    sessionKey: key(digit),
    owner: testHotkey(digit),
    restorable: new Map(),
    failures: 0,
    arrival: digit,
    isTrusted: false,
    memoryBytes: 8e9,
    reach: "unknown",
    ...change,
  };
  return [candidate.sessionKey, candidate];
}

const stage = (holder: number | null): Vacancy => ({
  holder: holder === null ? null : key(holder),
  stored: new Set<number>(),
  needBytes: 1,
});

describe("a node that others cannot dial", () => {
  test("becomes the head, whom nobody dials, where there is no other", () => {
    const nodes = new Map([node(1), node(2, { reach: "unreachable" }), node(3)]);
    const placed = place([stage(1), stage(2), stage(3)], nodes);
    expect(placed?.holders[0]).toBe(key(2));
    expect(new Set(placed?.holders)).toEqual(new Set([1, 2, 3].map(key)));
  });

  test("gives its stage to one that is to spare, and nobody else moves", () => {
    const nodes = new Map([node(1), node(2, { reach: "unreachable" }), node(3), node(4)]);
    expect(place([stage(1), stage(2), stage(3)], nodes)?.holders).toEqual([1, 4, 3].map(key));
  });

  test("stays the head when it is", () => {
    const nodes = new Map([node(1, { reach: "unreachable" }), node(2), node(3)]);
    expect(place([stage(1), stage(2), stage(3)], nodes)?.holders).toEqual([1, 2, 3].map(key));
  });

  test("is tried all the same when no order would do: what was true may be so no more", () => {
    const nodes = new Map([node(1, { reach: "unreachable" }), node(2, { reach: "unreachable" })]);
    expect(place([stage(1), stage(2)], nodes)?.holders).toEqual([1, 2].map(key));
  });
});

describe("a node that has loaded a part of a model", () => {
  const two = [stage(null), stage(null)];
  const begun = (index: number): Partial<Candidate> => ({ restorable: new Map([[index, []]]) });

  test("is given the same slice again, in whatever order they come back", () => {
    expect(place(two, new Map([node(1, begun(1)), node(2, begun(0))]))?.holders).toEqual([key(2), key(1)]);
    expect(place(two, new Map([node(1), node(2, begun(0))]))?.holders).toEqual([key(2), key(1)]);
    // Two for one slice: one of them begins anew.
    expect(place(two, new Map([node(1, begun(1)), node(2, begun(1))]))?.holders).toEqual([key(1), key(2)]);
  });

  test("gets no place by saying so that somebody of better standing has", () => {
    const known = node(3, { isTrusted: true });
    const sound = node(4);
    const stranger = node(1, { ...begun(0), failures: 1 });
    expect(place([stage(null)], new Map([node(2, begun(0)), known]))?.holders).toEqual([key(3)]);
    expect(place([stage(null)], new Map([stranger, sound]))?.holders).toEqual([key(4)]);
  });
});
