import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import pino from "pino";
import { Failure } from "../../src-protocol/failure.ts";

export type Log = pino.Logger;

export const LOG_BYTES = 4 * 1024 * 1024;

/** SECURITY: whatever an object that is logged carries, these never reach the disk. */
const SECRETS = [
  "token",
  "secret",
  "cookie",
  "authorization",
  "mnemonic",
  "seed",
  "privateKey",
  "secretPhrase",
  "password",
];

/**
 * `daemon.log`, readable by its owner only, and the one before it: twice `limitBytes` at most. A
 * full disk loses log lines and nothing else.
 */
export function openLog(path: string, limitBytes = LOG_BYTES): { log: Log; close: () => void } {
  let file = openToAppend(path);
  let bytes = fstatSync(file).size;
  let open = true;

  const stream = {
    write(line: string): void {
      if (!open) return;
      try {
        if (bytes > limitBytes) startNext();
        bytes += writeSync(file, line);
      } catch {
        // The disk is full or gone: training is worth more than its log.
      }
    },
  };
  const log = pino(
    {
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: "[removed]" },
    },
    stream,
  );
  return {
    log,
    close() {
      if (open) closeSync(file);
      open = false;
    },
  };

  function startNext(): void {
    renameSync(path, `${path}.1`);
    closeSync(file);
    file = openSync(path, "a", 0o600);
    bytes = 0;
  }
}

function openToAppend(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new Failure(
      "log-unusable",
      `The log file ${path} cannot be written (${code}). Move it away or change its permissions, then start again.`,
      { cause: error },
    );
  }
}
