import { fork, spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { endingInBox } from "./box.ts";
import { readBoundedLines } from "./bounded-lines.ts";
import { CHANNEL_ENVIRONMENT, openChannel } from "./child-channel.ts";
import type { ChannelEvents, ChildChannel } from "./child-channel.ts";
import { leash } from "./util-linux.ts";
import { type Confinement, confined, type Sandbox } from "./sandbox.ts";
import { COMPILE_CACHE_ENVIRONMENT } from "../compile-cache.ts";

export type { Sandbox } from "./sandbox.ts";

/** A process that the daemon has started. It speaks plain JSON values over Node's IPC channel. */
export interface Child {
  readonly pid: number | null;
  send(message: object): void;
  /** And with it every process that it has started. */
  kill(signal: NodeJS.Signals): void;
}

export interface ChildEvents {
  onMessage(message: unknown): void;
  /** One line that it wrote to its standard output or error. */
  onLine(line: string): void;
  /** Its channel carried something that is no message: it is being ended. */
  onGarbage?(): void;
  /** Called once, also when it could not be started at all. */
  onExit(code: number | null, signal: NodeJS.Signals | null): void;
}

/**
 * ONNX Runtime writes a persistent device id unless it is told not to before it loads.
 * glibc hands big arrays back to the kernel at every free and faults them in again at the next
 * allocation; tensors of a training step are exactly such arrays, so it is told to keep them, and to
 * have one heap for all threads: what one frees, another takes (a tenth less memory at 100 M parameters).
 * Where Linux gives large pages only to who asks (`madvise`), it asks: a pass over a stage takes 2 to 25 % less
 * time, by where its pages happen to lie.
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
          GLIBC_TUNABLES: withLargePages(env["GLIBC_TUNABLES"]),
        }
      : {}),
  };
}

/** Unless something is said of them already. */
function withLargePages(tunables = ""): string {
  if (tunables.includes("glibc.malloc.hugetlb")) return tunables;
  return ["glibc.malloc.hugetlb=1", ...(tunables === "" ? [] : [tunables])].join(":");
}

const LINE_LIMITS = {
  lineBytes: 2_000,
  linesPerSecond: 200,
  bytesPerSecond: 2 * 1024 * 1024,
  excess: "skip",
} as const;
/** Its last words are heard before its end is told; who inherited its channel may hold it open. */
const LAST_WORDS_MS = 200;
const isWindows = process.platform === "win32";

/**
 * Starts a script under this process's own Node, in a process group of its own. It must end by itself when
 * the channel closes; where the system can do it, it is ended with this process in any case. `besides`: of its
 * environment.
 */
export function startChild(
  script: string,
  events: ChildEvents,
  sandbox: Sandbox | null = null,
  besides: Readonly<Record<string, string>> = {},
): Child {
  const plain: Confinement = sandbox === null ? free() : confined(sandbox, childEnvironment());
  const how = { ...plain, env: { ...plain.env, ...besides } };
  const child = isWindows ? windowsProcess(script, how) : posixProcess(script, how);
  let ended = false;
  const kill = (signal: NodeJS.Signals): void => killAll(child, signal);
  const channelEvents: ChannelEvents = {
    onMessage: (message) => events.onMessage(message),
    onGarbage() {
      events.onGarbage?.();
      kill("SIGKILL");
    },
  };
  const channel = isWindows ? windowsChannel(child, channelEvents) : openChannel(child, channelEvents);
  const end = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (ended) return;
    ended = true;
    events.onExit(...(how.boxed ? endingInBox(code, signal) : ([code, signal] as const)));
  };
  child.on("exit", (code, signal) => {
    // What it had started has nobody to work for.
    kill("SIGKILL");
    const timer = setTimeout(() => end(code, signal), LAST_WORDS_MS);
    void channel.drained.then(() => {
      clearTimeout(timer);
      end(code, signal);
    });
  });
  child.on("error", (error) => {
    events.onLine(`process error: ${error.message}`);
    if (child.pid === undefined) end(null, null);
  });
  readText(child.stdout, events.onLine);
  readText(child.stderr, events.onLine);
  return { pid: child.pid ?? null, send: channel.send, kill };
}

function free(): Confinement {
  const [first = process.execPath, ...more] = [...leash(), process.execPath];
  return { command: [first, ...more], env: childEnvironment(), boxed: false };
}

function posixProcess(script: string, { command: [program, ...words], env }: Confinement): ChildProcess {
  return spawn(program, [...words, script], {
    detached: true,
    env: { ...env, ...CHANNEL_ENVIRONMENT },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
}

/** There, Node's channel has a form of its own, and processes have no groups. */
function windowsProcess(script: string, { command: [execPath, ...flags], env }: Confinement): ChildProcess {
  return fork(script, [], {
    execPath,
    // Neither a debugger's nor a test runner's flags are for the children.
    execArgv: flags,
    env,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "json",
  });
}

function windowsChannel(child: ChildProcess, { onMessage }: ChannelEvents): ChildChannel {
  child.on("message", (message) => onMessage(message));
  return {
    send(message) {
      // It may be ending just now: then its exit says so, and the message needs no reader.
      if (child.connected) child.send(message, () => {});
    },
    drained: Promise.resolve(),
  };
}

function killAll(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  if (isWindows) {
    if (signal === "SIGKILL") spawnSync("taskkill", ["/T", "/F", "/PID", String(child.pid)]);
    child.kill(signal);
    return;
  }
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Nobody is left.
  }
}

function readText(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream === null) return;
  readBoundedLines(stream, LINE_LIMITS, {
    onLine: (text) => onLine(text),
    onSkipped: (lines) => onLine(`(${lines} lines were left out: it writes too fast)`),
  });
}
