import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ApiClient } from "./api-client.ts";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-client-"));
  path = join(folder, "api.json");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function remember(port: number): void {
  const file = { url: `http://127.0.0.1:${port}`, token: "0".repeat(64), pid: process.pid };
  writeFileSync(path, JSON.stringify(file));
}

it("F14: a daemon without a place for one more is not called one that is not running", async () => {
  const full = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => full.listen(0, "127.0.0.1", resolve));
  const { port } = full.address() as AddressInfo;
  remember(port);
  await expect(ApiClient.connect(path)).rejects.toMatchObject({ code: "daemon-busy" });
  await new Promise((resolve) => full.close(resolve));
  await expect(ApiClient.connect(path)).rejects.toMatchObject({ code: "daemon-not-running" });
});
