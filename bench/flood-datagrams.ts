import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startRelay } from "../src-orchestrator/relay/index.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";
import { DhtNode } from "../src-worker/links/hyperdht/dht-node.ts";
import { dialThroughRelay, takeThroughRelay } from "../src-worker/links/relay/relayed-link.ts";
import type { Progress } from "./bench.ts";

const HOST = "127.0.0.1";
const PER_SECOND = 20_000;
const SECONDS = 10;
const never = new AbortController().signal;

export interface DatagramFlood {
  readonly datagramsPerSecond: number;
  /** Two nodes look for each other by the address book again and again while it is flooded. */
  readonly dials: number;
  readonly failedDials: number;
  readonly worstDialMs: number;
  /** Of a link that the byte relay carries, in the same process: must be 0. */
  readonly lostLinks: number;
  readonly relayCrashes: number;
  readonly relayRssMBBefore: number | null;
  readonly relayRssMB: number | null;
}

/** Datagrams of every kind, and noise, at the ports of the network's DHT and relay. */
export async function floodOfDatagrams(progress: Progress): Promise<DatagramFlood> {
  const [signerA, signerB] = [createSessionSigner(), createSessionSigner()];
  const relay = await startRelay({ host: HOST, publicHost: HOST });
  relay.allow([[signerA.publicKey, signerB.publicKey]]);
  const { byteRelay, bootstrap, datagramRelay } = relay.services;
  if (byteRelay === null || datagramRelay === null) throw new Error("there is no relay");
  const [a, b] = [signerA, signerB].map(
    (signer) => new DhtNode({ services: relay.services, signer, host: HOST, onLink: () => undefined }),
  ) as [DhtNode, DhtNode];
  const ports = [...bootstrap, datagramRelay.address].map(({ port }) => String(port));
  const words = [String(PER_SECOND), String(SECONDS), ...ports];
  let lostLinks = 0;
  try {
    await Promise.all([a.listen(), b.listen()]);
    b.admit(new Set([signerA.publicKey]));
    const end = { relay: byteRelay.address, signal: never };
    const ends = await Promise.all([
      dialThroughRelay({ ...end, signer: signerA, peer: signerB.publicKey }).then((found) => found.choose()),
      takeThroughRelay({ ...end, signer: signerB, peer: signerA.publicKey }),
    ]);
    ends[0].onClose(() => (lostLinks += 1));
    const relayRssMBBefore = rssMB(relay.pid);
    progress(`${PER_SECOND} datagrams a second for ${SECONDS} s`);
    const sender = fork(join(import.meta.dirname, "flood-datagram-sender.ts"), words, { execArgv: [] });
    const over = new AbortController();
    const sending = once(sender, "message").finally(() => over.abort());
    const times: number[] = [];
    let failedDials = 0;
    while (!over.signal.aborted) {
      const at = performance.now();
      await a.dial(signerB.publicKey, AbortSignal.timeout(5_000)).then(
        (found) => {
          times.push(performance.now() - at);
          found.drop();
        },
        () => (failedDials += 1),
      );
      await delay(100);
    }
    const [said] = await sending;
    const { sent, seconds } = said as { sent: number; seconds: number };
    const result = {
      datagramsPerSecond: Math.round(sent / seconds),
      dials: times.length + failedDials,
      failedDials,
      worstDialMs: Math.round(Math.max(0, ...times)),
      lostLinks,
      relayCrashes: relay.crashes,
      relayRssMBBefore,
      relayRssMB: rssMB(relay.pid),
    };
    for (const link of ends) link.close("done");
    return result;
  } finally {
    await Promise.all([a.close(), b.close()]);
    await relay.close();
  }
}

function rssMB(pid: number | null): number | null {
  if (process.platform !== "linux" || pid === null) return null;
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024);
}
