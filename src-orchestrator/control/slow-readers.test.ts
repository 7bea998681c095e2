import { createServer } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { SlowReaders } from "./slow-readers.ts";

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

/** A server with an answer that no system's buffers hold, and how many of its answers are under way. */
async function serve(readMs: number): Promise<(words: string) => Socket> {
  const slow = new SlowReaders(readMs);
  const answer = Buffer.alloc(100_000_000);
  const server = createServer((request, response) => {
    slow.watch(request.socket, response, request.url === "/long");
    response.end(request.url === "/short" ? "here" : answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(
    () => server.close(),
    () => server.closeAllConnections(),
  );
  const { port } = server.address() as AddressInfo;
  return (words) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined).write(words);
    ends.push(() => socket.destroy());
    return socket;
  };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`;
const closed = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once("close", resolve));

test("an answer that is not read in time is ended; one that may take as long as it takes is not", async () => {
  const dial = await serve(300);
  const deaf = dial(get("/"));
  const long = dial(get("/long"));
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  for (const socket of [deaf, long]) socket.resume();
  await closed(deaf);
  let bytes = 0;
  long.on("data", (piece) => (bytes += piece.length));
  await expect.poll(() => bytes, { timeout: 20_000 }).toBeGreaterThan(60_000_000);
});

test("who asks one after the other goes on; who asks without reading is ended", async () => {
  const dial = await serve(60_000);
  const polite = dial("");
  let heard = "";
  polite.on("data", (piece) => (heard += String(piece)));
  for (let count = 1; count <= 30; count++) {
    polite.write(get("/short"));
    await expect.poll(() => heard.split("here").length - 1).toBe(count);
  }
  const rude = dial(get("/").repeat(30));
  rude.resume();
  await closed(rude);
});
