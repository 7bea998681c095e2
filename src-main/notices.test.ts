import { expect, it } from "vitest";
import type { DaemonState } from "../src-protocol/state.ts";
import { Notices } from "./notices.ts";
import { someState } from "./testing/daemon-double.ts";

const at = (hour: number, minute = 0, day = 23) => new Date(2026, 10, day, hour, minute).getTime();
const NO_UPDATE = { kind: "none" } as const;
const earned = (rao: string): DaemonState["earnings"] => ({ ...someState().earnings, accruedRao: rao });
const working = (rao = "0") => someState({ earnings: earned(rao) });
const resting = (rao = "0") =>
  someState({
    decision: { action: "pause", reasons: ["outside-schedule"], nextChange: null },
    node: { ...someState().node, phase: "paused", detail: "Paused." },
    earnings: earned(rao),
  });
const broken = () => someState({ problem: { code: "disk-full", message: "The disk is full." } });

it("a night's work is told in the morning, and not while its owner sleeps", () => {
  const notices = new Notices();
  notices.follow(working("1000000000"), NO_UPDATE, at(23));
  expect(notices.follow(resting("3500000000"), NO_UPDATE, at(6, 30, 24))).toEqual([]);
  expect(notices.follow(resting("3500000000"), NO_UPDATE, at(7, 59, 24))).toEqual([]);
  const [report, ...others] = notices.follow(resting("3500000000"), NO_UPDATE, at(8, 0, 24));
  expect(others).toEqual([]);
  expect(report).toMatchObject({ title: "It worked for 7 h 30 min", action: null });
  expect(report?.body).toMatch(/^2\.5 test units \(worth nothing\) pending\. Waiting: /);
  expect(notices.follow(resting("3500000000"), NO_UPDATE, at(9, 0, 24))).toEqual([]);
});

it("a short stretch is no report, and a lost neighbour ends none", () => {
  const notices = new Notices();
  notices.follow(working(), NO_UPDATE, at(10));
  expect(notices.follow(resting(), NO_UPDATE, at(10, 29))).toEqual([]);
  notices.follow(working(), NO_UPDATE, at(11));
  const waits = someState({ node: { ...someState().node, phase: "waiting", detail: "Waiting." } });
  expect(notices.follow(waits, NO_UPDATE, at(11, 20))).toEqual([]);
  notices.follow(working(), NO_UPDATE, at(11, 21));
  expect(notices.follow(resting(), NO_UPDATE, at(12))).toMatchObject([{ title: "It worked for 1 h" }]);
});

it("trouble is told when it stays, once a day, and not when it is over by the morning", () => {
  const notices = new Notices();
  expect(notices.follow(broken(), NO_UPDATE, at(12))).toEqual([]);
  expect(notices.follow(broken(), NO_UPDATE, at(12, 2))).toEqual([]);
  expect(notices.follow(broken(), NO_UPDATE, at(12, 3))).toMatchObject([{ body: "The disk is full." }]);
  expect(notices.follow(broken(), NO_UPDATE, at(15))).toEqual([]);
  expect(notices.follow(broken(), NO_UPDATE, at(23, 0))).toEqual([]);
  expect(notices.follow(broken(), NO_UPDATE, at(12, 4, 24))).toHaveLength(1);
  const other = new Notices();
  other.follow(broken(), NO_UPDATE, at(1));
  other.follow(broken(), NO_UPDATE, at(1, 5));
  other.follow(working(), NO_UPDATE, at(2));
  expect(other.follow(working(), NO_UPDATE, at(9))).toEqual([]);
});

it("a decision that only its owner can take is told once, in the morning, and not when it is over by then", () => {
  const asked = { id: "ab".repeat(8), network: "Maple Street", resumeStep: 0, lostSteps: 40 };
  const asks = () => someState({ asked });
  const notices = new Notices();
  expect(notices.follow(asks(), NO_UPDATE, at(23))).toEqual([]);
  expect(notices.follow(asks(), NO_UPDATE, at(8, 0, 24))).toMatchObject([
    { title: "Maple Street waits for your decision", action: null },
  ]);
  expect(notices.follow(asks(), NO_UPDATE, at(9, 0, 24))).toEqual([]);
  notices.follow(someState(), NO_UPDATE, at(10, 0, 24));
  notices.follow(asks(), NO_UPDATE, at(23, 0, 24));
  notices.follow(someState(), NO_UPDATE, at(2, 0, 25));
  expect(notices.follow(someState(), NO_UPDATE, at(9, 0, 25))).toEqual([]);
});

it("a decision that was not asked for a moment is told no second time; another one is", () => {
  const asked = { id: "ab".repeat(8), network: "Maple Street", resumeStep: 0, lostSteps: 40 };
  const notices = new Notices();
  const follow = (of: typeof asked | null, hour: number, minute = 0) =>
    notices.follow(someState(of === null ? {} : { asked: of }), NO_UPDATE, at(hour, minute)).length;
  expect(follow(asked, 12)).toBe(1);
  expect(follow(null, 12, 1), "as while the daemon is started again").toBe(0);
  expect(follow(asked, 12, 2)).toBe(0);
  expect(follow(null, 12, 3)).toBe(0);
  expect(follow({ ...asked, resumeStep: 20, lostSteps: 20 }, 12, 4)).toBe(1);
  expect(follow(null, 12, 5)).toBe(0);
  expect(follow({ ...asked, resumeStep: 20, lostSteps: 20 }, 13)).toBe(1);
});

it("one that nobody was told of, since it was night, is told when it comes back", () => {
  const asked = { id: "ab".repeat(8), network: "Maple Street", resumeStep: 0, lostSteps: 40 };
  const notices = new Notices();
  notices.follow(someState({ asked }), NO_UPDATE, at(7, 55));
  notices.follow(someState(), NO_UPDATE, at(7, 58));
  expect(notices.follow(someState({ asked }), NO_UPDATE, at(8, 1))).toHaveLength(1);
});

it("an update is told once, with a button that puts it in place", () => {
  const notices = new Notices();
  const ready = { kind: "ready", version: "1.2.3" } as const;
  expect(notices.follow(null, ready, at(12))).toMatchObject([
    { title: "Version 1.2.3 is here", action: { action: { kind: "update" } } },
  ]);
  expect(notices.follow(null, ready, at(13))).toEqual([]);
});
