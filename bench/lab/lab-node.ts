import { createServer, connect } from "node:net";
import type { Socket } from "node:net";
import { sessionKey } from "../../src-protocol/keys.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { dialable, LinkStation, otherAddresses } from "../../src-worker/links/index.ts";
import type { Link } from "../../src-worker/links/index.ts";
import type { LabAnswer, LabCall } from "./lab-call.ts";
import { Throttle } from "../../src-worker/limits/throttle.ts";
import { MESSAGE, PROBE, tensorOf } from "./lab-message.ts";

/**
 * One node's links in a process of their own, by the product's own dialler: it is told whom to reach
 * and what to send, and says what it saw.
 */

const signer = createSessionSigner();
let link: Link | null = null;
let socket: Socket | null = null;
let received = 0;
/** Why the last link ended; null: it lives. */
let ended: string | null = null;
const throttle = new Throttle();
let answered: () => void = () => {};

const station = await LinkStation.open({
  host: process.argv[2] ?? "127.0.0.1",
  signer,
  hyperdhtOff: null,
  onLink: (next) => take(next),
});

function take(next: Link): void {
  link = next;
  ended = null;
  next.onClose((reason) => {
    if (link === next) ended = reason;
  });
  next.onMessage((meta, payload) => {
    received += payload.byteLength;
    if (payload.byteLength !== PROBE.byteLength) return;
    // A probe goes back as it came; its answer is for whoever waits.
    if (meta.type === "tensor" && meta.pass === "backward") return answered();
    void next.send(tensorOf(PROBE, "backward"), payload).catch(() => undefined);
  });
}

function takeSocket(next: Socket): void {
  socket = next;
  next.setNoDelay(true);
  next.on("error", () => undefined);
}

/** Raw TCP, for comparison: the side that listens counts, or sends back what it gets. */
const raw = createServer((next) => {
  takeSocket(next);
  let mode: "count" | "echo" | null = null;
  next.on("data", (bytes) => {
    mode ??= bytes[0] === 9 ? "echo" : "count";
    received += bytes.byteLength;
    if (mode === "echo") next.write(bytes);
  });
});
await new Promise<void>((resolve) => raw.listen(0, process.argv[2] ?? "127.0.0.1", resolve));

async function answer(call: LabCall): Promise<LabAnswer> {
  switch (call.do) {
    case "who": {
      const { port } = raw.address() as { port: number };
      return {
        key: signer.publicKey,
        address: dialable(station.address),
        others: otherAddresses(station.address),
        rawPort: port,
      };
    }
    case "offer":
      station.offered(call.services);
      return {};
    case "name":
      station.name(new Set(call.keys.map((key) => sessionKey.parse(key))));
      return {};
    case "router":
      return { router: station.router };
    case "dial": {
      const begun = performance.now();
      const { link: next } = await station.dial(call.peer, call.withinMs, AbortSignal.timeout(call.withinMs));
      take(next);
      return { ms: performance.now() - begun, ...next.path };
    }
    case "wait at relay": {
      const waiting = station.take(sessionKey.parse(call.key), AbortSignal.timeout(call.withinMs));
      waiting.then(take, () => undefined);
      return {};
    }
    case "path":
      return { ...link?.path };
    case "ended":
      return { ended };
    case "frames":
      return { bytes: link?.stats.bytesReceived ?? 0, roundTripMs: link?.stats.roundTripMs ?? null };
    case "received":
      return { bytes: received, at: performance.now(), cpuMs: cpuMs() };
    case "send":
      return await send(call.bytes);
    case "ping":
      return { ms: await ping(call.count) };
    case "limit":
      throttle.limit(call.limits);
      link?.limitBy(throttle);
      return {};
    case "saturate":
      return await saturate(call.forMs);
    case "raw dial": {
      const begun = performance.now();
      await new Promise<void>((resolve, reject) => {
        const next = connect(call.port, call.host, resolve).once("error", reject);
        takeSocket(next);
      });
      return { ms: performance.now() - begun };
    }
    case "raw send": {
      const before = cpuMs();
      for (let left = call.bytes; left > 0; left -= MESSAGE.byteLength)
        await new Promise<void>((resolve, reject) =>
          socket?.write(MESSAGE, (error) => (error ? reject(error) : resolve())),
        );
      return { cpuMs: cpuMs() - before };
    }
    case "raw ping":
      return { ms: await rawPing(call.count) };
    case "hang up":
      link?.close("done");
      socket?.destroy();
      link = null;
      socket = null;
      return {};
  }
}

/** Two messages under way at once, as a stage has them. */
async function send(bytes: number): Promise<LabAnswer> {
  const before = cpuMs();
  const under: Promise<void>[] = [];
  for (let left = bytes; left > 0; left -= MESSAGE.byteLength) {
    const one = link?.send(tensorOf(MESSAGE, "forward"), MESSAGE) ?? Promise.reject(new Error("no link"));
    // Told when its turn comes; a link that is hung up meanwhile must not end this process.
    one.catch(() => undefined);
    under.push(one);
    if (under.length > 1) await under.shift();
  }
  await Promise.all(under);
  return { cpuMs: cpuMs() - before };
}

/** Two messages under way at once. `closed`: why the link broke meanwhile; null: it did not. */
async function saturate(forMs: number): Promise<LabAnswer> {
  const until = performance.now() + forMs;
  const closed: string[] = [];
  link?.onClose((reason) => closed.push(reason));
  const one = async (): Promise<void> => {
    while (performance.now() < until && closed.length === 0)
      await link?.send(tensorOf(MESSAGE, "forward"), MESSAGE).catch(() => undefined);
  };
  one().catch(() => undefined);
  one().catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, forMs));
  return { closed: closed[0] ?? null };
}

async function ping(count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    const back = new Promise<void>((resolve) => (answered = resolve));
    await link?.send(tensorOf(PROBE, "forward"), PROBE);
    await back;
    times.push(performance.now() - begun);
  }
  return times;
}

async function rawPing(count: number): Promise<number[]> {
  const times: number[] = [];
  let back = 0;
  let enough: () => void = () => {};
  socket?.on("data", (bytes) => {
    back += bytes.byteLength;
    if (back >= PROBE.byteLength) enough();
  });
  for (let i = 0; i < count; i++) {
    back = 0;
    const begun = performance.now();
    const all = new Promise<void>((resolve) => (enough = resolve));
    socket?.write(PROBE);
    await all;
    times.push(performance.now() - begun);
  }
  return times;
}

/** User and system, all threads. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

process.on("message", (call: LabCall & { id: number }) => {
  answer(call).then(
    (value) => process.send?.({ id: call.id, value }),
    (error: unknown) =>
      process.send?.({ id: call.id, error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.("ready");
