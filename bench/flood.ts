import { connect } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { FakeNet, until } from "../src-orchestrator/test-support/fake-node.test-support.ts";
import { delegate, hotkey } from "../src-orchestrator/test-support/keys.test-support.ts";
import { CONTROL_PROTOCOL } from "../src-protocol/control.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";
import type { Progress } from "./bench.ts";
import { startFlooded } from "./flood-orchestrator.ts";

const SILENT = 5_000;
const HELLOS_PER_SECOND = 10_000;
const SECONDS = 10;
const QUIET_MS = 3_000;
/** This computer has only so many ports. */
const MOST_OPEN = 12_000;

export interface FloodResult {
  readonly silentSockets: number;
  readonly hellosSent: number;
  readonly seconds: number;
  /** Honest nodes that were lost: must be 0. */
  readonly lostHeartbeats: number;
  readonly stepsPerSecondBefore: number;
  readonly stepsPerSecondDuring: number;
  readonly orchestratorRssMB: number | null;
  /** Over a connection that was there before. */
  readonly worstPingMs: number;
}

/** What a node says first, with a proof that is nobody's, in one write behind the request. */
const GREETING = Buffer.concat([
  Buffer.from(
    "GET /v1/control HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16, 1).toString("base64")}\r\n\r\n`,
  ),
  frame(forgedHello()),
  frame({ type: "proof", signature: "0".repeat(128) }),
]);

function forgedHello(): object {
  const { publicKey } = createSessionSigner();
  return {
    type: "hello",
    protocol: CONTROL_PROTOCOL,
    delegation: delegate(hotkey(9), publicKey),
    capabilities: { platform: "x", threads: 1, memoryBytes: 1e9, executionProvider: "cpu" },
    linkAddress: { host: "127.0.0.1", port: 9 },
    restorable: [],
  };
}

/** One masked text frame of a WebSocket's client; the mask is zero (RFC 6455, 5.2). */
function frame(message: object): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  const head = Buffer.from([0x81, 0x80 | 126, text.length >> 8, text.length & 255, 0, 0, 0, 0]);
  return Buffer.concat([head, text]);
}

/** 5,000 sockets that never speak, and as many greetings a second as this computer can send, up to 10,000: against three honest nodes. */
export async function benchFlood(progress: Progress): Promise<FloodResult> {
  const orchestrator = await startFlooded();
  const sockets = new Set<Socket>();
  try {
    const net = new FakeNet();
    for (const number of [0, 1, 2]) {
      const node = net.node(orchestrator.url, number);
      // Attackers and nodes share this thread: training at full speed would leave the attack nothing.
      node.onGrant = (grant) => void setTimeout(() => net.run(grant), 20);
    }
    await until("training", () => orchestrator.view().step >= 5, 60_000);
    const before = orchestrator.view();
    await delay(QUIET_MS);
    const quiet = ((orchestrator.view().step - before.step) * 1000) / QUIET_MS;
    progress(`${quiet.toFixed(1)} steps/s before`);
    const { hostname, port } = new URL(orchestrator.url);
    const dial = (greeting: Buffer | null): void => {
      const socket = connect(Number(port), hostname);
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
      if (greeting !== null) socket.write(greeting);
      socket.resume();
    };
    for (let i = 0; i < SILENT; i++) {
      dial(null);
      if (i % 100 === 99) await delay(1);
    }
    progress("5,000 silent sockets are dialled");
    let hellos = 0;
    let worstPingMs = 0;
    let pinging = false;
    const start = performance.now();
    const first = orchestrator.view();
    while (performance.now() - start < SECONDS * 1000) {
      const due = ((performance.now() - start) / 1000) * HELLOS_PER_SECOND - hellos;
      for (let i = 0; i < Math.min(due, 200) && sockets.size < MOST_OPEN; i++, hellos++) dial(GREETING);
      if (!pinging) {
        pinging = true;
        void orchestrator.pingMs().then((ms) => {
          worstPingMs = Math.max(worstPingMs, ms);
          pinging = false;
        });
      }
      await delay(1);
    }
    const seconds = (performance.now() - start) / 1000;
    const last = orchestrator.view();
    return {
      silentSockets: SILENT,
      hellosSent: hellos,
      seconds,
      lostHeartbeats: net.nodes.filter(({ closeCode }) => closeCode !== null).length,
      stepsPerSecondBefore: quiet,
      stepsPerSecondDuring: (last.step - first.step) / seconds,
      orchestratorRssMB: orchestrator.rssMB(),
      worstPingMs,
    };
  } finally {
    for (const socket of sockets) socket.destroy();
    await orchestrator.stop();
  }
}
