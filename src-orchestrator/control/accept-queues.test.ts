import { BlockList, connect } from "node:net";
import Fastify from "fastify";
import { expect, test } from "vitest";
import { until } from "../test-support/fake-node.test-support.ts";
import { listenInQueues } from "./accept-queues.ts";

const HOST = "127.0.0.1";

test("whichever queue a connection comes by, the one server answers; who is listed is closed; the end ends all", async () => {
  const server = Fastify({ forceCloseConnections: true });
  server.get("/", () => "here");
  const listed = new BlockList();
  const { url, end } = await listenInQueues(server, { host: HOST, port: 0 }, listed);
  const answers = await Promise.all(Array.from({ length: 40 }, async () => await (await fetch(url)).text()));
  expect(answers).toEqual(Array.from({ length: 40 }, () => "here"));
  const port = Number(new URL(url).port);
  const second = listenInQueues(Fastify(), { host: HOST, port }, listed);
  await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
  // The first queue is the server's own, with its own list.
  listed.addAddress(HOST);
  let refused = 0;
  for (let i = 0; i < 40; i++)
    connect(port, HOST)
      .on("error", () => undefined)
      .on("close", () => (refused += 1));
  await until("most are closed", () => refused >= 20);
  end();
  await server.close();
  await expect(fetch(url)).rejects.toThrow("fetch failed");
});
