import { expect, test } from "vitest";
import { Throttle } from "../limits/throttle.ts";
import { ManualClock } from "./link-clock.ts";
import { signerA, signerB, tensor } from "./link-conformance.ts";
import { memoryLinks } from "./memory/memory-link.ts";

const KEYS = { a: signerA.publicKey, b: signerB.publicKey };
const MBIT = 8;
const LIMIT = { uploadMbit: null, downloadMbit: MBIT };

test("under a full download limit heartbeats come back in half a second, and the limit is used", async () => {
  const clock = new ManualClock();
  const { a, b } = memoryLinks(KEYS, { clock, delayMs: 15 });
  const throttle = new Throttle(clock);
  throttle.limit(LIMIT);
  b.limitBy(throttle);
  b.onMessage(() => undefined);
  await clock.advance(50);
  void a.send(tensor(1), new Uint8Array(8 * 1024 * 1024)).catch(() => undefined);
  let mostUnderWay = 0;
  const trips: number[] = [];
  for (let i = 0; i < 100; i++) {
    await clock.advance(50);
    a.ask();
    mostUnderWay = Math.max(mostUnderWay, a.stats.bytesSent - b.stats.bytesReceived);
    if (a.stats.roundTripMs !== null) trips.push(a.stats.roundTripMs);
  }
  expect(mostUnderWay).toBeLessThan(MBIT * 125_000 * 0.35);
  expect(Math.max(...trips)).toBeLessThan(500);
  const used = (b.stats.bytesReceived * 8) / 1e6 / 5 / MBIT;
  expect(used).toBeGreaterThan(0.9);
  expect(used).toBeLessThan(1.1);
  a.close("done");
  b.close("done");
});

test("a limit that is lifted holds nothing back any more", async () => {
  const clock = new ManualClock();
  const { a, b } = memoryLinks(KEYS, { clock, delayMs: 15 });
  const throttle = new Throttle(clock);
  throttle.limit(LIMIT);
  b.limitBy(throttle);
  b.onMessage(() => undefined);
  const sent = a.send(tensor(1), new Uint8Array(8 * 1024 * 1024));
  await clock.advance(500);
  throttle.limit({ uploadMbit: null, downloadMbit: null });
  await clock.advance(2_000);
  await sent;
  expect(b.stats.messagesReceived).toBe(1);
  a.close("done");
  b.close("done");
});
