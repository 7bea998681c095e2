import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { COMPILE_CACHE_ENVIRONMENT } from "../compile-cache.ts";

/** A process that the daemon has started. It speaks plain JSON values over Node's IPC channel. */
export interface Child {
  readonly pid: number | null;
  send(message: object): void;
  kill(signal: NodeJS.Signals): void;
}

export interface ChildEvents {
  onMessage(message: unknown): void;
  /** One line that it wrote to its standard output or error. */
  onLine(line: string): void;
  /** Called once, also when it could not be started at all. */
  onExit(code: number | null, signal: NodeJS.Signals | null): void;
}

/**
 * ONNX Runtime writes a persistent device id unless it is told not to before it loads.
 * glibc hands big arrays back to the kernel at every free and faults them in again at the next
 * allocation; tensors of a training step are exactly such arrays, so it is told to keep them, and to
 * have one heap for all threads: what one frees, another takes (a tenth less memory at 100 M parameters).
 */
export function childEnvironment(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): NodeJS.ProcessEnv {
  return {
    ...env,
    ...COMPILE_CACHE_ENVIRONMENT,
    ORT_DISABLE_TELEMETRY: "1",
    ...(platform === "linux"
      ? {
          MALLOC_MMAP_THRESHOLD_: "4294967296",
          MALLOC_TRIM_THRESHOLD_: "8589934592",
          MALLOC_ARENA_MAX: "1",
          MALLOC_TOP_PAD_: "16777216",
        }
      : {}),
  };
}

const LONGEST_LINE = 2_000;

/** Starts a script under this process's own Node. It must end by itself when the channel closes. */
export function startChild(script: string, events: ChildEvents): Child {
  const child = fork(script, [], {
    execPath: process.execPath,
    // Neither a debugger's nor a test runner's flags are for the children.
    execArgv: [],
    env: childEnvironment(),
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "json",
  });
  let ended = false;
  const end = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (ended) return;
    ended = true;
    events.onExit(code, signal);
  };
  child.on("message", (message) => events.onMessage(message));
  child.on("exit", end);
  child.on("error", (error) => {
    events.onLine(`process error: ${error.message}`);
    if (child.pid === undefined) end(null, null);
  });
  readLines(child.stdout, events.onLine);
  readLines(child.stderr, events.onLine);
  return {
    pid: child.pid ?? null,
    send: (message) => deliver(child, message),
    kill: (signal) => void child.kill(signal),
  };
}

function deliver(child: ChildProcess, message: object): void {
  if (!child.connected) return;
  // It may be ending just now: then its exit says so, and the message needs no reader.
  child.send(message, () => {});
}

function readLines(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream === null) return;
  createInterface({ input: stream, crlfDelay: Infinity }).on("line", (line) =>
    onLine(line.slice(0, LONGEST_LINE)),
  );
}
