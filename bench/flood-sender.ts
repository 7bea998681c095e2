import { connect } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { delegate, hotkey } from "../src-orchestrator/test-support/keys.test-support.ts";
import { CONTROL_PROTOCOL } from "../src-protocol/control.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";

/** This computer has only so many ports and files. */
const MOST_OPEN = 2_000;
/** On Linux, all of 127.0.0.0/8 is this computer: ports are counted by address. */
const ADDRESSES = 8;

/** What a node says first, with a proof that is nobody's, in one write behind the request. */
function greeting(): Buffer {
  const hello = {
    type: "hello",
    protocol: CONTROL_PROTOCOL,
    delegation: delegate(hotkey(9), createSessionSigner().publicKey),
    capabilities: { platform: "x", threads: 1, memoryBytes: 1e9, executionProvider: "cpu" },
    linkAddress: { host: "127.0.0.1", port: 9 },
    restorable: [],
  };
  return Buffer.concat([
    Buffer.from(
      "GET /v1/control HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16, 1).toString("base64")}\r\n\r\n`,
    ),
    frame(hello),
    frame({ type: "proof", signature: "0".repeat(128) }),
  ]);
}

/** One masked text frame of a WebSocket's client; the mask is zero (RFC 6455, 5.2). */
function frame(message: object): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  const head = Buffer.from([0x81, 0x80 | 126, text.length >> 8, text.length & 255, 0, 0, 0, 0]);
  return Buffer.concat([head, text]);
}

/** A process of its own, so that it takes no time of the honest nodes: `port number perSecond seconds`. */
async function main(): Promise<void> {
  const [port = 0, number = 0, perSecond = 0, seconds = 0] = process.argv.slice(2).map(Number);
  const words = greeting();
  const open = new Set<Socket>();
  let sent = 0;
  let dialled = 0;
  const start = performance.now();
  const passed = (): number => (performance.now() - start) / 1000;
  while (passed() < seconds) {
    const due = passed() * perSecond - dialled;
    for (let i = 0; i < Math.min(due, 200) && open.size < MOST_OPEN; i++, dialled++) {
      const last = 2 + number * ADDRESSES + (dialled % ADDRESSES);
      const localAddress = process.platform === "linux" ? `127.0.0.${last}` : "127.0.0.1";
      const socket = connect({ port, host: "127.0.0.1", localAddress });
      open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => open.delete(socket));
      socket.on("connect", () => (sent += 1));
      socket.write(words);
      socket.resume();
    }
    await delay(1);
  }
  for (const socket of open) socket.resetAndDestroy();
  process.send?.({ sent, seconds: passed() }, undefined, undefined, () => process.exit(0));
}

await main();
