import { expect, test } from "vitest";
import { ManualClock } from "../links/link-clock.ts";
import { Bandwidth } from "./bandwidth.ts";
import { Throttle } from "./throttle.ts";

/** Sends pieces of bulk for as long as it gets turns. */
function bulk(bandwidth: Bandwidth, bytes: number): { sent: number; stop(): void } {
  const sender = { sent: 0, stop: () => {} };
  const turn = (): void => {
    bandwidth.spend(bytes);
    sender.sent += bytes;
    sender.stop = bandwidth.whenFree(turn);
  };
  sender.stop = bandwidth.whenFree(turn);
  return sender;
}

async function limited(mbit: number): Promise<{ clock: ManualClock; bandwidth: Bandwidth }> {
  const clock = new ManualClock();
  const bandwidth = new Bandwidth(clock);
  bandwidth.limit(mbit);
  return { clock, bandwidth };
}

for (const mbit of [0.5, 2, 20, 300])
  test(`${mbit} Mbit/s hold to 5 % over ten seconds, whatever the size of a piece`, async () => {
    for (const pieces of [0.2, 1]) {
      const { clock, bandwidth } = await limited(mbit);
      const sender = bulk(bandwidth, Math.ceil(bandwidth.pieceBytes * pieces));
      await clock.advance(10_000);
      const asked = ((mbit * 1e6) / 8) * 10;
      expect(sender.sent / asked).toBeGreaterThan(0.95);
      expect(sender.sent / asked).toBeLessThan(1.05);
      sender.stop();
    }
  });

test("who is kept from sending for half of each second gets all of the limit, and after a pause no more than a burst", async () => {
  const { clock, bandwidth } = await limited(20);
  const second = 2_500_000;
  let sent = 0;
  /** As a busy computer lets it: nothing runs in the second half of each second. */
  const run = (): void => {
    const stalled = clock.now() % 1_000 >= 500;
    if (stalled) return void clock.after(1_000 - (clock.now() % 1_000), run);
    bandwidth.spend(64 * 1024);
    sent += 64 * 1024;
    bandwidth.whenFree(run);
  };
  bandwidth.whenFree(run);
  await clock.advance(10_000);
  expect(sent / (10 * second)).toBeGreaterThan(0.95);
  expect(sent / (10 * second)).toBeLessThan(1.05);
  const idle = await limited(20);
  await idle.clock.advance(60_000);
  let atOnce = 0;
  while (idle.bandwidth.isFree) {
    idle.bandwidth.spend(64 * 1024);
    atOnce += 64 * 1024;
  }
  expect(atOnce).toBeLessThan(0.3 * second);
});

test("those that wait take turns, and what is urgent is counted and makes the others wait longer", async () => {
  const { clock, bandwidth } = await limited(8);
  const senders = [bulk(bandwidth, 50_000), bulk(bandwidth, 50_000), bulk(bandwidth, 50_000)];
  for (let second = 0; second < 10; second++) {
    bandwidth.spend(400_000);
    await clock.advance(1_000);
  }
  const sent = senders.map((sender) => sender.sent);
  expect(Math.max(...sent) - Math.min(...sent)).toBeLessThanOrEqual(50_000);
  expect(sent.reduce((sum, one) => sum + one, 0)).toBeGreaterThan(5_700_000);
  expect(bandwidth.bytes).toBeLessThan(10_500_000);
});

test("another limit holds at once, also for who waits already, and toggling it gains nothing", async () => {
  const { clock, bandwidth } = await limited(0.5);
  const sender = bulk(bandwidth, 20_000);
  await clock.advance(1_000);
  const before = sender.sent;
  bandwidth.limit(80);
  await clock.advance(1_000);
  expect(sender.sent - before).toBeGreaterThan(9_500_000);
  const toggled = sender.sent;
  for (let times = 0; times < 1_000; times++) {
    bandwidth.limit(8);
    bandwidth.limit(80);
  }
  expect(sender.sent - toggled).toBeLessThan(2_600_000);
  sender.stop();
  bandwidth.limit(null);
  expect(bandwidth.isFree).toBe(true);
});

test("a transfer that is given up while it waits leaves its turn to the next", async () => {
  const clock = new ManualClock();
  const throttle = new Throttle(clock);
  throttle.limit({ uploadMbit: 1, downloadMbit: 1 });
  await throttle.toSend(1_000_000);
  const abort = new AbortController();
  const given = throttle.toSend(64_000, abort.signal);
  let went = false;
  const next = throttle.toSend(64_000).then(() => (went = true));
  abort.abort(new Error("given up"));
  await expect(given).rejects.toThrow("given up");
  await clock.advance(7_000);
  expect(went).toBe(false);
  await clock.advance(1_000);
  await next;
  await expect(throttle.received(10, AbortSignal.abort(new Error("over")))).resolves.toBeUndefined();
  expect(throttle.takeUse()).toEqual({
    sentBytes: 1_064_000,
    receivedBytes: 10,
    uploadHeld: true,
    downloadHeld: false,
  });
  expect(throttle.takeUse().uploadHeld).toBe(false);
});
