import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ApiClient } from "../../src-cli/api-client.ts";
import { readProvidersFile } from "./providers-file.ts";

/** A real daemon that finds out what this computer has, while its worker trains. */
let home: string;
let child: ChildProcess | null = null;
beforeEach(() => (home = mkdtempSync(join(tmpdir(), "tah providers "))));
afterEach(async () => {
  // Politely: it takes its children with it before the folder goes.
  child?.kill("SIGTERM");
  await ended();
  rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

function start(): void {
  child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, "..", "main.ts"),
      "--home",
      home,
      "--model",
      "tiny",
      "--no-neighbours",
      "--yes",
      "--port",
      "0",
    ],
    { stdio: "ignore" },
  );
}

async function ended(): Promise<void> {
  if (child !== null && child.exitCode === null && child.signalCode === null)
    await new Promise((resolve) => child?.once("exit", resolve));
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await wait(20);
}

it("a first start finds out what this computer trains fastest with; the next one knows it", async () => {
  const file = join(home, "providers.json");
  start();
  await until(() => existsSync(join(home, "api.json")));
  const first = await ApiClient.connect(join(home, "api.json"));
  await until(() => existsSync(file));
  const report = await first.call("providers.get", {});
  expect(report.phase).toBe("tested");
  expect(report.results.map(({ provider }) => provider)).toEqual(["cpu", "webgpu", "cuda", "coreml", "dml"]);
  expect(report.results[0]?.outcome).toMatchObject({ kind: "right", error: 0 });
  expect(
    report.results.find(({ outcome }) => outcome.kind === "hang" || outcome.kind === "crash"),
  ).toBeUndefined();
  // Windows has no such modes.
  expect(process.platform === "win32" ? 0o600 : statSync(file).mode & 0o777).toBe(0o600);
  child?.kill("SIGTERM");
  await ended();

  start();
  await until(() => existsSync(join(home, "api.json")));
  const second = await ApiClient.connect(join(home, "api.json"));
  expect(await second.call("providers.get", {})).toEqual(report);
  expect(readProvidersFile(file)?.at).toBe(report.at);
  second.close();
}, 60_000);
