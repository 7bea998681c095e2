import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import { delegate, hotkey } from "../src-orchestrator/test-support/keys.test-support.ts";
import { CONTROL_PROTOCOL } from "../src-protocol/control.ts";
import { NETWORK_HEADERS } from "../src-protocol/network-card.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";

const HOST = "127.0.0.1";
/** On Linux, all of 127.0.0.0/8 is this computer. */
const ADDRESSES = 16;
const LOOK_MS = 5;

/** Of one sender. */
export interface Greetings {
  /** Connections that were begun. */
  readonly begun: number;
  /** Greetings that were said, after a handshake. */
  readonly said: number;
  readonly seconds: number;
}

/** What a node says first, with an invitation and a proof that is nobody's, in one write behind the request. */
function greeting(token: string): Buffer {
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
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16, 1).toString("base64")}\r\n` +
        `${NETWORK_HEADERS.token}: ${token}\r\n\r\n`,
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

/** Whole greetings over TLS, in a process of its own: `port first perSecond seconds token`. */
async function main(): Promise<void> {
  const [port = 0, first = 0, perSecond = 0, seconds = 0] = process.argv.slice(2, 6).map(Number);
  const words = greeting(process.argv[6] ?? "");
  const open = new Set<TLSSocket>();
  let [said, begun] = [0, 0];
  const start = performance.now();
  const passed = (): number => (performance.now() - start) / 1000;
  while (passed() < seconds) {
    for (; begun < passed() * perSecond; begun++) {
      const localAddress = process.platform === "linux" ? `127.0.2.${first + (begun % ADDRESSES)}` : HOST;
      const secure = connect({
        port,
        host: HOST,
        localAddress,
        rejectUnauthorized: false,
      } as ConnectionOptions);
      open.add(secure);
      secure.on("error", () => undefined);
      secure.on("close", () => open.delete(secure));
      secure.on("secureConnect", () => {
        said += 1;
        secure.write(words);
      });
      secure.resume();
    }
    await delay(LOOK_MS);
  }
  for (const socket of open) socket.destroy();
  const greetings: Greetings = { begun, said, seconds: passed() };
  process.send?.(greetings, undefined, undefined, () => process.exit(0));
}

await main();
