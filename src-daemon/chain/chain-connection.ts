import { Worker } from "node:worker_threads";
import { Failure } from "../../src-protocol/failure.ts";
import { ObservedChainState } from "./chain.ts";
import type { ChainAccount, ChainClock } from "./chain.ts";
import { chainEvent } from "./chain-events.ts";
import { parseChainUrl, probeChain } from "./chain-probe.ts";

export interface ChainTiming {
  /** Reaching the node, and from there to its first block. */
  readonly connectTimeoutMs: number;
  /** A node that shows no new block for this long (five block times) counts as lost. */
  readonly silentAfterMs: number;
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
}

const TIMING: ChainTiming = {
  connectTimeoutMs: 15_000,
  silentAfterMs: 60_000,
  firstRetryMs: 1_000,
  longestRetryMs: 60_000,
};

/**
 * The clock of a real chain, and the free balance of `payout` there. It connects by itself and
 * again whenever the connection is lost; what went wrong stands in `state().detail`, and the last
 * known block and balance stay. Throws only for an address that is none (`chain-bad-address`).
 */
export function chainClock(account: ChainAccount, timing: Partial<ChainTiming> = {}): ChainClock {
  const url = parseChainUrl(account.url);
  const times = { ...TIMING, ...timing };
  const observed = new ObservedChainState({
    source: "chain",
    url,
    connected: false,
    block: 0,
    balanceRao: null,
    detail: "Connecting to the chain.",
  });
  const stopping = new AbortController();
  const done = keepConnected({ ...account, url }, times, observed, stopping.signal);
  return {
    state: () => observed.get(),
    onChange: (handler) => observed.onChange(handler),
    async stop() {
      observed.close();
      stopping.abort();
      await done;
    },
  };
}

async function keepConnected(
  account: ChainAccount,
  times: ChainTiming,
  observed: ObservedChainState,
  signal: AbortSignal,
): Promise<void> {
  let retryMs = times.firstRetryMs;
  while (!signal.aborted) {
    const startedAt = performance.now();
    const reason = await connectOnce(account, times, observed, signal);
    if (signal.aborted) return;
    // Only a connection that lasted was a good one: a node that fails after each first block must
    // not be asked for its half megabyte of metadata every second.
    if (performance.now() - startedAt > times.longestRetryMs) retryMs = times.firstRetryMs;
    observed.set({ connected: false, detail: `${reason} Trying again in ${Math.ceil(retryMs / 1000)} s.` });
    await pause(retryMs, signal);
    retryMs = Math.min(retryMs * 2, times.longestRetryMs);
  }
}

/** Resolves with the reason when the connection could not be made or has ended; never rejects. */
async function connectOnce(
  account: ChainAccount,
  times: ChainTiming,
  observed: ObservedChainState,
  signal: AbortSignal,
): Promise<string> {
  try {
    const { name } = await probeChain(account.url, times.connectTimeoutMs, signal);
    return await watch(account, name, times, observed, signal);
  } catch (error) {
    return error instanceof Failure
      ? error.message
      : `The connection to the chain failed (${String(error)}).`;
  }
}

function watch(
  account: ChainAccount,
  name: string,
  times: ChainTiming,
  observed: ObservedChainState,
  signal: AbortSignal,
): Promise<string> {
  const worker = new Worker(new URL("./chain-thread.ts", import.meta.url), {
    name: "chain",
    workerData: { url: account.url, payout: account.payout } satisfies ChainAccount,
    // Its library prints what a person cannot use; `detail` says what matters.
    stdout: true,
    stderr: true,
    // A node cannot take the daemon's memory: beyond this the thread ends, and only the thread.
    resourceLimits: { maxOldGenerationSizeMb: 384, maxYoungGenerationSizeMb: 16 },
  });
  worker.stdout.resume();
  worker.stderr.resume();
  worker.unref();
  return new Promise((resolve) => {
    let ended = false;
    const end = (reason: string) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      void worker.terminate().then(() => resolve(reason));
    };
    const onAbort = () => end("Stopped.");
    const silent = () =>
      end(
        observed.get().connected
          ? `The chain node showed no new block for ${Math.round(times.silentAfterMs / 1000)} s.`
          : "The chain node answers, but it sent no block in time.",
      );
    let timer = setTimeout(silent, times.connectTimeoutMs).unref();
    signal.addEventListener("abort", onAbort, { once: true });
    worker.on("message", (message: unknown) => {
      const event = chainEvent.safeParse(message);
      if (!event.success || ended) return;
      switch (event.data.type) {
        case "head":
          clearTimeout(timer);
          timer = setTimeout(silent, times.silentAfterMs).unref();
          observed.set({
            connected: true,
            block: event.data.block,
            detail: `Connected to ${printable(name)}.`,
          });
          return;
        case "balance":
          observed.set({ balanceRao: event.data.rao });
          return;
        case "lost":
          end(printable(event.data.reason));
      }
    });
    worker.on("error", (error) => {
      end(
        `There is a server at that address, but no Bittensor chain this version understands (${lineOf(error)}).`,
      );
    });
    worker.on("exit", () => end("The connection to the chain ended."));
    if (signal.aborted) onAbort();
  });
}

function lineOf(error: unknown): string {
  return printable(
    (error instanceof Error ? error.message : String(error)).split("\n")[0]?.slice(0, 200) ?? "",
  );
}

/** SECURITY: a node's words end up in terminals: no control sequences, no reversed text. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, "");
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, ms).unref();
    signal.addEventListener("abort", finish, { once: true });
    if (signal.aborted) finish();
  });
}
