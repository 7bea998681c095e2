import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { awayText } from "../../src-protocol/network-text.ts";
import type { NetworkAway, NetworkView } from "../../src-protocol/networks.ts";
import { NetworkWatch } from "./network-watch.ts";
import { LOOPBACK, remoteRetryMs } from "./reach.ts";

let heard: (NetworkAway | null | boolean)[];
let watch: NetworkWatch;
let waiting: (() => void)[];
beforeEach(() => {
  heard = [];
  waiting = [];
  watch = new NetworkWatch(
    {
      onConnected: (connected) => tell(connected),
      onAway: (away) => tell(away),
      onRun: () => undefined,
      onPoint: () => undefined,
    },
    { ...LOOPBACK, retryMs: (failures) => 20 * (failures + 1) },
    () => 1_000,
  );
});
afterEach(() => watch.follow(null));

function tell(what: NetworkAway | null | boolean): void {
  heard.push(what);
  for (const check of waiting.splice(0)) check();
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise<void>((resolve) => waiting.push(resolve));
}

const away = () => heard.filter((each) => each !== null && typeof each === "object");

it("says since when a network is away and when it is tried again, and that it is back", async () => {
  const http = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => http.once("listening", resolve));
  const { port } = http.address() as AddressInfo;
  await new Promise((resolve) => http.close(resolve));

  watch.follow(`http://127.0.0.1:${port}`);
  await until(() => away().length >= 3);
  const [first, second, third] = away();
  expect(first).toEqual({ since: 1_000, nextTryAt: 1_020, why: "nothing answers there" });
  expect(second).toEqual({ ...first, nextTryAt: null });
  expect(third).toEqual({ ...first, nextTryAt: 1_040 });

  const back = createServer().listen(port, "127.0.0.1");
  const sockets = new WebSocketServer({ server: back });
  await until(() => heard.includes(true));
  expect(heard.slice(-2)).toEqual([null, true]);
  for (const socket of sockets.clients) socket.terminate();
  await until(() => heard.at(-1) === false);
  expect(away().at(-1)).toMatchObject({ why: "the connection was closed" });
  watch.follow(null);
  sockets.close();
  await new Promise((resolve) => back.close(resolve));
});

it("what a network says to whom it does not let in is told as the reason", async () => {
  const message = "The network's operator has withdrawn this invitation. Ask for a new one.";
  const http = createServer();
  http.on("upgrade", (_, socket) =>
    socket.end(
      `HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n${JSON.stringify({ code: "invitation-revoked", message })}`,
    ),
  );
  http.listen(0, "127.0.0.1");
  await new Promise((resolve) => http.once("listening", resolve));
  watch.follow(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
  await until(() => away().length >= 3);
  expect(away().map(({ why }) => why)).toEqual([message, message, message]);
  const network = { name: "Elm Row", url: "https://10.0.0.2:1", away: away()[0] } as NetworkView;
  expect(awayText(network, 1_000, "UTC")).toBe(
    `Waiting: Elm Row has not let this computer in since 00:00; tries again in 1 s. ${message}`,
  );
  watch.follow(null);
  await new Promise((resolve) => http.close(resolve));
});

it("a network that is gone from one of its addresses is found at another, which is the first to be tried from then on", async () => {
  const [one, other] = [createServer(), createServer()];
  const sockets = [one, other].map((server) => new WebSocketServer({ server }));
  const moved: string[] = [];
  const following = new NetworkWatch(
    {
      onConnected: (connected) => tell(connected),
      onAway: () => undefined,
      onAddress: (url) => void moved.push(url),
      onRun: () => undefined,
      onPoint: () => undefined,
    },
    { ...LOOPBACK, retryMs: () => 20 },
  );
  const urls: string[] = [];
  for (const server of [one, other]) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
  const [first = "", second = ""] = urls;
  following.follow(first, urls);
  await until(() => heard.at(-1) === true);
  expect(moved).toEqual([]);
  const { port } = one.address() as AddressInfo;
  for (const client of sockets[0]?.clients ?? []) client.terminate();
  await new Promise((resolve) => one.close(resolve));
  await until(() => heard.at(-1) === false);
  await until(() => heard.at(-1) === true);
  expect(moved).toEqual([second]);
  await new Promise<void>((resolve) => one.listen(port, "127.0.0.1", resolve));
  for (const client of sockets[1]?.clients ?? []) client.terminate();
  await new Promise((resolve) => other.close(resolve));
  await until(() => heard.at(-1) === false);
  await until(() => heard.at(-1) === true);
  expect(moved).toEqual([second, first]);
  following.follow(null);
  for (const server of sockets) server.close();
  await new Promise((resolve) => one.close(resolve));
});

it("knocks more and more slowly, never all at once, and never slower than every 40 s", () => {
  expect([0, 1, 2, 3].map((failures) => remoteRetryMs(failures, 0.5))).toEqual([500, 1_000, 2_000, 4_000]);
  expect([0, 0.999].map((random) => remoteRetryMs(50, random))).toEqual([22_500, 37_485]);
});
