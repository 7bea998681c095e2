import { fork } from "node:child_process";
import { join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import type { DataProgress } from "../gather-data.ts";
import { interrupted } from "../interrupted.ts";
import { preparingMessage } from "./prepare-ipc.ts";
import { preparedBefore } from "./prepared-data.ts";
import type { Preparation, PreparedData } from "./prepared-data.ts";

const SCRIPT = join(import.meta.dirname, "prepare-main.ts");

/** glibc gives each thread that encodes a heap of its own, and none gives back: two are enough. */
export const READING_ENVIRONMENT = process.platform === "linux" ? { MALLOC_ARENA_MAX: "2" } : {};

export interface ApartOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DataProgress) => void;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * `prepareData` in a process of its own: this one stays free to answer, whatever a file makes of a
 * reader; an abort ends it at once, and its memory goes with it.
 *
 * @throws as `prepareData`; `data-reader-ended` when the process ends without an answer
 */
export async function prepareApart(wanted: Preparation, options: ApartOptions = {}): Promise<PreparedData> {
  const { signal, onProgress, env = process.env } = options;
  if (signal?.aborted === true) throw interrupted();
  const known = preparedBefore(wanted);
  if (known !== null) return known;
  const child = fork(SCRIPT, [], {
    execArgv: [],
    env: { ...env, ...READING_ENVIRONMENT },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const { promise, resolve, reject } = Promise.withResolvers<PreparedData>();
  let complaint = "";
  let file = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-2_000);
  });
  const stop = (): void => {
    child.kill("SIGKILL");
    reject(interrupted());
  };
  signal?.addEventListener("abort", stop, { once: true });
  child.on("message", (words) => {
    const message = preparingMessage.parse(words);
    switch (message.type) {
      case "progress":
        ({ file } = message.progress);
        return onProgress?.(message.progress);
      case "failed":
        return reject(new Failure(message.code, message.message));
      case "done":
        return resolve(message.data as PreparedData);
    }
  });
  child.once("error", reject);
  child.once("close", (code, by) =>
    reject(
      new Failure(
        "data-reader-ended",
        `The process that reads the data ended before it was done (${by ?? code})${file === "" ? "" : `, at or after the file ${file}`}. What it had read is kept: start again, and it goes on from there; leave a file that it ends at again out with --exclude. ${complaint.trim()}`.slice(
          0,
          2000,
        ),
      ),
    ),
  );
  child.send(wanted);
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
