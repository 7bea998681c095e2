import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { once } from "node:events";

/** As dht-rpc writes them: version 3, a request. */
const REQUEST = 0x03;
const [HAS_TOKEN, INTERNAL, HAS_TARGET, HAS_VALUE] = [2, 4, 8, 16];

/** Parts of a request to a DHT node; what it says is nobody's. */
interface Request {
  readonly flags: number;
  readonly command: number;
  readonly value?: number;
}

const REQUESTS: readonly Request[] = [
  { flags: INTERNAL, command: 0 },
  // Who are the nodes near this key, which nobody has?
  { flags: INTERNAL | HAS_TARGET, command: 2 },
  // Answer me in a while: four bytes say when.
  { flags: INTERNAL | HAS_VALUE, command: 4, value: 4 },
  // A handshake, a hole, a search for a node, a search, an announcement; two things to keep.
  { flags: HAS_TARGET | HAS_VALUE, command: 0, value: 200 },
  { flags: HAS_TARGET | HAS_VALUE, command: 1, value: 200 },
  { flags: HAS_TARGET, command: 2 },
  { flags: HAS_TARGET, command: 3 },
  { flags: HAS_TOKEN | HAS_TARGET | HAS_VALUE, command: 4, value: 250 },
  { flags: HAS_TOKEN | HAS_TARGET | HAS_VALUE, command: 6, value: 250 },
  { flags: HAS_TOKEN | HAS_TARGET | HAS_VALUE, command: 8, value: 250 },
];

/** The datagram number `index` of a flood: every tenth is noise, the others are requests of every kind. */
export function oddDatagram(index: number, random: (bytes: number) => Buffer): Buffer {
  if (index % 10 === 9) return random(1 + (index % 1_200));
  const { flags, command, value = 0 } = REQUESTS[index % REQUESTS.length] ?? { flags: 0, command: 0 };
  return Buffer.concat([
    Buffer.of(REQUEST, flags),
    // Its number, and the address it was sent to.
    random(8),
    ...((flags & HAS_TOKEN) === 0 ? [] : [random(32)]),
    Buffer.of(command),
    ...((flags & HAS_TARGET) === 0 ? [] : [random(32)]),
    ...(value === 0 ? [] : [Buffer.of(value), random(value)]),
  ]);
}

/** Sends as fast as this process can, or `perSecond`, from many ports, until `signal`. @returns how many were sent */
export async function floodDatagrams(
  ports: readonly number[],
  random: (bytes: number) => Buffer,
  { count, perSecond = Infinity }: { readonly count: number; readonly perSecond?: number },
): Promise<number> {
  const sockets: Socket[] = [];
  for (let i = 0; i < 8; i++) {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    socket.on("error", () => undefined);
    await once(socket, "listening");
    sockets.push(socket);
  }
  const begun = performance.now();
  let sent = 0;
  while (sent < count) {
    const due = Math.min(count, ((performance.now() - begun) / 1000) * perSecond + 1);
    for (let burst = 0; sent < due && burst < 64; burst++, sent++)
      sockets[sent % sockets.length]?.send(
        oddDatagram(sent, random),
        ports[sent % ports.length] ?? 0,
        "127.0.0.1",
        () => undefined,
      );
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const socket of sockets) socket.close();
  return sent;
}
