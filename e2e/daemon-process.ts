import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";
import { ensureRenderer } from "../scripts/renderer.ts";
import {
  apiFile,
  apiMessage,
  METHODS,
  type MethodName,
  type MethodParams,
  type MethodResult,
} from "../src-protocol/methods.ts";

const ROOT = join(import.meta.dirname, "..");
const START_WITHIN_MS = 60_000;
const END_WITHIN_MS = 8_000;

/** A real daemon with a data folder of its own, and a second client of its API. */
export interface DaemonProcess {
  readonly url: string;
  /** Its data folder, until it is stopped. */
  readonly home: string;
  call<Name extends MethodName>(method: Name, params: MethodParams<Name>): Promise<MethodResult<Name>>;
  /** An address that signs one browser in. */
  loginUrl(): Promise<string>;
  stop(): Promise<void>;
}

/** Starts a daemon that trains a small model, with further options. Whoever starts it must stop it. */
export function startDaemon(
  model: "tiny" | "default",
  ...options: readonly string[]
): Promise<DaemonProcess> {
  return startNewDaemon(model, "--no-probe", "--yes", ...options);
}

/** As a new user's: it waits for its owner's first yes. */
export async function startNewDaemon(
  model: "tiny" | "default",
  ...options: readonly string[]
): Promise<DaemonProcess> {
  await ensureRenderer(ROOT, () => {});
  const home = mkdtempSync(join(tmpdir(), "tah e2e "));
  const child = spawn(
    process.execPath,
    [join(ROOT, "src-daemon", "main.ts"), "--model", model, "--exit-with-parent", ...options],
    {
      cwd: ROOT,
      // The channel tells the daemon when this process is gone, however it goes.
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, TAH_HOME: home, ORT_DISABLE_TELEMETRY: "1" },
    },
  );
  const stop = async () => {
    await ended(child);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    await dashboardAddress(child);
    const { url, token } = apiFile.parse(JSON.parse(readFileSync(join(home, "api.json"), "utf8")));
    const call: DaemonProcess["call"] = (method, params) => ask(url, token, method, params);
    return { url, home, call, loginUrl: async () => (await call("session.newLogin", {})).url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Waits for the line that names the dashboard: from then on it can be opened. */
async function dashboardAddress(child: ChildProcess): Promise<void> {
  let said = "";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const hear = (data: unknown) => {
    said += String(data);
    if (/^Dashboard: +http/m.test(said)) resolve();
  };
  child.stdout?.on("data", hear);
  child.stderr?.on("data", hear);
  child.on("exit", (code) =>
    reject(new Error(`The daemon ended with ${code} before it was ready:\n${said}`)),
  );
  const timer = setTimeout(
    () => reject(new Error(`The daemon is not ready in time:\n${said}`)),
    START_WITHIN_MS,
  );
  await promise.finally(() => clearTimeout(timer));
}

/** Politely first; a daemon that does not end is killed, and its children end with it. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<"gone">((resolve) => child.once("exit", () => resolve("gone")));
  child.kill("SIGTERM");
  const limit = new AbortController();
  const late = sleep(END_WITHIN_MS, "late" as const, { signal: limit.signal }).catch(() => "late" as const);
  if ((await Promise.race([gone, late])) === "late") child.kill("SIGKILL");
  limit.abort();
  await gone;
}

async function ask<Name extends MethodName>(
  url: string,
  token: string,
  method: Name,
  params: MethodParams<Name>,
): Promise<MethodResult<Name>> {
  const address = new URL("/rpc", url);
  address.protocol = "ws:";
  const socket = new WebSocket(address, { headers: { Authorization: `Bearer ${token}` } });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    socket.on("error", reject);
    socket.on("open", () => socket.send(JSON.stringify({ id: 1, method, params })));
    socket.on("message", (data) => {
      const message = apiMessage.parse(JSON.parse(String(data)));
      if (message.type === "result") resolve(message.result);
      else if (message.type === "error") reject(new Error(`${message.error.code}: ${message.error.message}`));
    });
    return METHODS[method].result.parse(await promise) as MethodResult<Name>;
  } finally {
    socket.close();
  }
}
