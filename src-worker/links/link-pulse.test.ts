import { expect, test } from "vitest";
import { ManualClock } from "./link-clock.ts";
import { LinkPulse } from "./link-pulse.ts";

const timing = { heartbeatMs: 2_000, deadAfterMs: 6_000 };

function pulse(deaf = () => false) {
  const clock = new ManualClock();
  const seen = { beats: 0, silentAt: null as number | null };
  const watched = new LinkPulse(clock, timing, {
    beat: () => void (seen.beats += 1),
    deaf,
    silent: () => void (seen.silentAt = clock.now()),
  });
  return { clock, seen, watched };
}

test("asks every 2 s and gives up 6 s after the last byte", async () => {
  const { clock, seen, watched } = pulse();
  await clock.advance(5_000);
  watched.heard();
  await clock.advance(5_999);
  expect(seen).toEqual({ beats: 5, silentAt: null });
  await clock.advance(1);
  expect(seen.silentAt).toBe(11_000);
});

test("a process that was itself stopped reads its sockets before it judges the peer", async () => {
  const { clock, seen, watched } = pulse();
  // Due at the same time as the verdict, but after it in line: as sockets are, after timers.
  clock.after(6_000, () => watched.heard());
  await clock.advance(6_000);
  expect(seen.silentAt).toBeNull();
  await clock.advance(6_000);
  expect(seen.silentAt).toBe(12_000);
});

test("silence does not count while nothing is read on purpose", async () => {
  let deaf = true;
  const { clock, seen } = pulse(() => deaf);
  await clock.advance(60_000);
  expect(seen.silentAt).toBeNull();
  deaf = false;
  await clock.advance(6_000);
  expect(seen.silentAt).not.toBeNull();
});

test("answers are matched to questions in order", async () => {
  const { clock, watched } = pulse();
  watched.answered();
  expect(watched.roundTripMs).toBeNull();
  watched.asked();
  await clock.advance(10);
  watched.asked();
  await clock.advance(5);
  watched.answered();
  expect(watched.roundTripMs).toBe(15);
  watched.answered();
  expect(watched.roundTripMs).toBe(5);
  watched.stop();
});

test("a peer that hears nothing of us is silent too, however much it says, until it answers", async () => {
  const { clock, watched } = pulse();
  await clock.advance(900);
  watched.heard();
  watched.unheard(800);
  await clock.advance(100);
  watched.heard();
  expect([watched.quietMs, watched.silentMs]).toEqual([0, 900]);
  watched.asked();
  watched.answered();
  expect(watched.silentMs).toBe(0);
  watched.stop();
});
