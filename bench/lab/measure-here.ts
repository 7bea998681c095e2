import type { Link } from "../../src-worker/links/index.ts";
import { MESSAGE, PROBE, tensorOf } from "./lab-message.ts";

/** Two links in this process: what passing through memory alone costs. */
export async function measureHere(
  a: Link,
  b: Link,
  bytes: number,
  count: number,
): Promise<{ seconds: number; cpuMs: number; pings: number[] }> {
  let received = 0;
  let enough: () => void = () => {};
  b.onMessage((meta, payload) => {
    received += payload.byteLength;
    if (payload.byteLength === PROBE.byteLength) void b.send({ ...meta }, payload).catch(() => undefined);
    if (received >= bytes) enough();
  });
  let answered: () => void = () => {};
  a.onMessage(() => answered());
  const pings: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    const back = new Promise<void>((resolve) => (answered = resolve));
    await a.send(tensorOf(PROBE, "forward"), PROBE);
    await back;
    pings.push(performance.now() - begun);
  }
  received = 0;
  const all = new Promise<void>((resolve) => (enough = resolve));
  const before = process.cpuUsage();
  const begun = performance.now();
  for (let left = bytes; left > 0; left -= MESSAGE.byteLength)
    await a.send(tensorOf(MESSAGE, "forward"), MESSAGE);
  await all;
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - begun) / 1000, cpuMs: (user + system) / 1000, pings };
}
