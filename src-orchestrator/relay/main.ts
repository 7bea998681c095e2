import { failureBody } from "../../src-protocol/failure.ts";
import { sessionKey } from "../../src-protocol/keys.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { ByteRelay } from "./byte-relay.ts";
import { DatagramRelay } from "./datagram-relay.ts";
import { PairList } from "./pair-list.ts";
import { DHT_NODES, toRelay } from "./relay-ipc.ts";
import type { FromRelay, RelaySettings } from "./relay-ipc.ts";
import { RelayRates } from "./relay-rates.ts";

/** The relays as a child process of the orchestrator: what flows here costs its event loop nothing. */

const STATUS_EVERY_MS = 1_000;
/** The orchestrator kills after that. */
const CLOSE_MS = 500;

let allow: (pairs: PairList) => void = () => {};
let close: () => Promise<void> = async () => {};

process.on("SIGINT", () => {});
process.on("SIGTERM", () => void stop());
process.on("disconnect", () => process.exit(0));
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
process.on("message", (value) => {
  const parsed = toRelay.safeParse(value);
  if (!parsed.success) return fail(new Error(`unknown message: ${parsed.error.message}`));
  switch (parsed.data.type) {
    case "start":
      return void start(parsed.data.settings).catch(fail);
    case "pairs":
      return allow(new PairList(parsed.data.pairs));
    case "stop":
      return void stop();
  }
});

if (process.send === undefined) {
  process.stderr.write("The relay is started by the orchestrator.\n");
  process.exit(2);
}

async function start(settings: RelaySettings): Promise<void> {
  const { host, publicHost, udpPorts: ports, tcpPort, seed, connections } = settings;
  const { nodeMbitPerSecond: mbitPerSecond, totalMbitPerSecond } = settings;
  const rates = new RelayRates(mbitPerSecond, totalMbitPerSecond, performance.now());
  const byteRelay = new ByteRelay({ host, port: tcpPort, connections, rates });
  const { refused } = byteRelay;
  const datagramRelay = new DatagramRelay({
    host,
    publicHost,
    ports,
    seed,
    streams: connections,
    rates,
    refused: (code) => void refused.set(code, (refused.get(code) ?? 0) + 1),
  });
  const [bytePort, udpPorts] = await Promise.all([byteRelay.listen(), datagramRelay.listen()]);
  allow = (pairs) => {
    byteRelay.allow(pairs);
    datagramRelay.allow(pairs);
  };
  close = async () => {
    byteRelay.close();
    await datagramRelay.close();
  };
  const key = createSessionSigner(Buffer.from(seed, "hex")).publicKey;
  const at = (port: number): { host: string; port: number } => ({ host: publicHost, port });
  tell({
    type: "listening",
    services: {
      bootstrap: udpPorts.slice(0, DHT_NODES).map(at),
      datagramRelay: { key: sessionKey.parse(key), address: at(udpPorts[DHT_NODES] ?? 0), mbitPerSecond },
      byteRelay: { address: at(bytePort), mbitPerSecond },
      refusal: "",
    },
    udpPorts,
  });
  setInterval(() => {
    tell({
      type: "status",
      status: {
        byteStreams: byteRelay.streams,
        datagramStreams: Math.floor(datagramRelay.streams),
        waiting: byteRelay.waiting + datagramRelay.waiting,
        bytes: rates.bytes,
        refused: Object.fromEntries(refused),
      },
    });
  }, STATUS_EVERY_MS);
}

async function stop(): Promise<void> {
  setTimeout(() => process.exit(0), CLOSE_MS);
  await close().catch(() => {});
  process.exit(0);
}

function fail(error: unknown): void {
  tell({ type: "failed", ...failureBody(error) }, () => process.exit(1));
  setTimeout(() => process.exit(1), 500);
}

function tell(message: FromRelay, sent: () => void = () => {}): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent);
  else sent();
}
