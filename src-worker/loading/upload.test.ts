import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openOrchestrator } from "../../src-orchestrator/orchestrator.test-support.ts";
import { until } from "../../src-orchestrator/test-support/fake-node.test-support.ts";
import { Blobs as Store } from "../../src-orchestrator/stores/blobs.ts";
import { DEFAULT_MODEL } from "../../src-protocol/model.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { OrchestratorRoute } from "../control/orchestrator-route.ts";
import { Blobs } from "./blobs.ts";

/** A checkpoint on its way to a real orchestrator, over a line that breaks. */

const MIB = 1024 * 1024;
const content = randomBytes(6 * MIB + 1000);
const digest = sha256(content);

let folder = "";
let line: Line | null = null;
afterEach(async () => {
  await line?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Passes everything on, and cuts connection number `n` after `cuts[n]` bytes towards the orchestrator. */
class Line {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  bytes = 0;
  connections = 0;

  constructor(to: number, cuts: readonly number[]) {
    this.#server = createServer((client) => {
      const cut = cuts[this.connections++] ?? Infinity;
      const server = connect(to, "127.0.0.1");
      let passed = 0;
      client.on("data", (piece) => {
        passed += piece.length;
        this.bytes += piece.length;
        if (passed > cut) {
          client.destroy();
          server.end();
        } else if (!server.write(piece)) {
          client.pause();
          server.once("drain", () => client.resume());
        }
      });
      server.pipe(client);
      for (const socket of [client, server]) this.#sockets.add(socket);
      client.on("error", () => undefined);
      // A line hides no broken end from the other one, paused or not.
      server.on("error", () => client.destroy());
      server.on("close", () => client.resume());
      client.on("close", () => server.end());
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => {
      this.#server.close(resolve);
    });
    // One that was paused when the other side went hears of nothing any more.
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

test("a connection that breaks twice costs what was under way, not what has arrived, and neither does a new process", async () => {
  folder = mkdtempSync(join(tmpdir(), "tah-upload-"));
  const path = join(folder, "checkpoint");
  writeFileSync(path, content);
  const { orchestrator, net, folder: home } = await openOrchestrator({ model: DEFAULT_MODEL, steps: null });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("training", () => orchestrator.host.view().phase === "training");
  const [holder] = net.nodes;
  if (holder === undefined) throw new Error("there is no node");
  line = new Line(Number(new URL(orchestrator.url).port), [2 * MIB, 2 * MIB, 2.5 * MIB]);
  const route = new OrchestratorRoute(await line.open(), null, null);

  const abort = new AbortController();
  const first = new Blobs(route, holder.signer).put(digest, path, content.length, abort.signal);
  await until("the second connection has begun", () => (line?.bytes ?? 0) > 2.5 * MIB);
  abort.abort();
  await expect(first).rejects.toThrow(/abort/i);
  // The worker's process has ended; the one after it sends the same file.
  await new Blobs(route, holder.signer).put(digest, path, content.length);

  const stored = await new Store(join(home, "blobs")).read(digest);
  expect(sha256(stored)).toBe(digest);
  // Of each break at most what was on the way is sent twice.
  expect(line.bytes).toBeLessThan(content.length + 3 * MIB);
}, 30_000);
