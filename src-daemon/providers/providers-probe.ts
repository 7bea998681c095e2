import { join } from "node:path";
import { probeToDaemon } from "../../src-protocol/providers.ts";
import type { DaemonToProbe, ExecutionProvider, ProviderOutcome } from "../../src-protocol/providers.ts";
import { startChild } from "../children/child.ts";
import type { Child } from "../children/child.ts";

/** Started by path, as every child is: the daemon itself loads no runtime. */
export const PROBE_SCRIPT = join(
  import.meta.dirname,
  "..",
  "..",
  "src-worker",
  "compute",
  "provider-probe.ts",
);
/** Compiling its shaders for the first time takes a graphics driver seconds; a busy computer makes it several times as long. */
export const PROBE_MS = 90_000;

/** What one probe process has found out. */
export interface Probed {
  readonly outcome: ProviderOutcome;
  /** The providers that this build of ONNX Runtime has; null when it could not say. */
  readonly bundled: readonly string[] | null;
}

export interface ProbeOptions {
  /** The module that the process runs. */
  readonly script: string;
  readonly provider: ExecutionProvider;
  readonly threads: number;
  /** A driver that has not answered by then never will. */
  readonly timeoutMs: number;
  onLine(line: string): void;
}

/**
 * Lets a process of its own try one provider: its driver may crash or hang there, and harms nothing.
 * Rejects only with the signal's reason, with no process left.
 */
export function probeProvider(options: ProbeOptions, signal: AbortSignal): Promise<Probed> {
  const { script, provider, threads, timeoutMs, onLine } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Probed>();
  if (signal.aborted) return Promise.reject(signal.reason);
  let answer: Probed | null = null;
  const child: Child = startChild(script, {
    onLine,
    onMessage(message) {
      answer ??= understood(message);
      // What it said counts; how a driver takes its leave does not.
      child.kill("SIGKILL");
    },
    onExit(code, killedBy) {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) return reject(signal.reason);
      if (code === null && killedBy === null)
        return resolve(
          answer ?? { outcome: { kind: "refused", detail: "its test could not be started" }, bundled: null },
        );
      const ending = killedBy === null ? `exit-${code}` : `signal-${killedBy}`;
      resolve(answer ?? { outcome: { kind: "crash", ending, during: "test" }, bundled: null });
    },
  });
  const timer = setTimeout(() => {
    answer ??= { outcome: { kind: "hang", seconds: timeoutMs / 1000 }, bundled: null };
    child.kill("SIGKILL");
  }, timeoutMs);
  const onAbort = (): void => child.kill("SIGKILL");
  signal.addEventListener("abort", onAbort);
  child.send({ type: "probe", provider, threads } satisfies DaemonToProbe);
  return promise;
}

function understood(message: unknown): Probed {
  const parsed = probeToDaemon.safeParse(message);
  if (parsed.success) return { outcome: parsed.data.outcome, bundled: parsed.data.bundled };
  const detail = "its test answered in a way that cannot be understood";
  return { outcome: { kind: "refused", detail }, bundled: null };
}
