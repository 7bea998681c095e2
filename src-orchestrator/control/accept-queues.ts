import { createServer } from "node:net";
import type { BlockList, ListenOptions, Server, Socket } from "node:net";
import type { FastifyInstance } from "fastify";

/** Where several listeners may share a port, and the system spreads connections over them. */
const SHARES = process.platform === "linux";
const QUEUES = 64;
/** Connections that the system keeps, in all, until they are looked at: in a flood, somebody honest stands among them. */
const BACKLOG = 4_096;

export interface Listening {
  readonly url: string;
  /** Nobody new is taken. */
  end(): void;
}

/**
 * Listens. SECURITY: of each listener, one connection is taken at a turn of the event loop, whatever else that turn
 * does. In a flood one queue stays full, and whoever is honest is dropped by the system or waits for all of it; so
 * there are many queues of one port where that is possible.
 *
 * @param blockList who is closed before there is a socket; null: one queue is enough, for this computer alone
 * Rejects as `listen` does.
 */
export async function listenInQueues(
  server: FastifyInstance,
  at: { readonly host: string; readonly port: number },
  blockList: BlockList | null,
): Promise<Listening> {
  if (blockList === null || !SHARES)
    return { url: await server.listen({ ...at, backlog: BACKLOG }), end: () => undefined };
  // Who shares a port is not told that another one does.
  if (at.port !== 0) await closed(await queue(at, null, () => undefined));
  const shared = { ...at, backlog: BACKLOG / QUEUES, reusePort: true };
  const url = await server.listen(shared);
  const port = Number(new URL(url).port);
  const others: Server[] = [];
  for (let i = 1; i < QUEUES; i++)
    others.push(
      await queue({ ...shared, port }, blockList, (socket) => server.server.emit("connection", socket)),
    );
  return { url, end: () => others.forEach((other) => other.close()) };
}

function queue(
  at: ListenOptions,
  blockList: BlockList | null,
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  const options = { noDelay: true, ...(blockList !== null && { blockList }) };
  const listener = createServer(options, onConnection);
  return new Promise((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(at, () => resolve(listener));
  });
}

function closed(listener: Server): Promise<void> {
  return new Promise((resolve) => listener.close(() => resolve()));
}
