import { expect, test } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { Effect } from "./network-state.ts";
import { toldOnce } from "./told-once.ts";

const A = sessionKey.parse("a".repeat(64));
const B = sessionKey.parse("b".repeat(64));

/** `near`: how many are near, by which one word is told from another. */
function members(to: typeof A, near: number, generation = 1): Effect {
  const own = Array.from({ length: near }, () => ({
    sessionKey: B,
    address: { host: "127.0.0.1", port: 1 },
    live: true,
  }));
  return { type: "send", to, message: { type: "members", generation, previous: [], own, next: [] } };
}

/** Only its kind matters here. */
function assign(to: typeof A): Effect {
  return { type: "send", to, message: { type: "assign", generation: 1 } } as unknown as Effect;
}

const halt = (to: typeof A): Effect => ({
  type: "send",
  to,
  message: { type: "halt", generation: 1, reason: "over" },
});

test("who is near is said once to each, where it was first, as it is in the end", () => {
  expect(toldOnce([members(A, 1), members(B, 1), halt(A), members(A, 2)])).toEqual([
    members(A, 2),
    members(B, 1),
    halt(A),
  ]);
  expect(toldOnce([members(A, 1, 1), members(A, 2, 2)])).toEqual([members(A, 1, 1), members(A, 2, 2)]);
});

test("whoever is given another stage in between hears it after that: with a stage it forgets who was near before", () => {
  expect(toldOnce([members(A, 1), members(B, 1), assign(A), members(A, 2), halt(A), members(A, 3)])).toEqual([
    members(B, 1),
    assign(A),
    members(A, 3),
    halt(A),
  ]);
  expect(toldOnce([members(A, 1), assign(B), members(A, 2)])).toEqual([members(A, 2), assign(B)]);
});
