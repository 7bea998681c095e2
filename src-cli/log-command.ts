import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { GrowingLog } from "./growing-log.ts";
import { logJson, logText } from "./log-text.ts";

const LOOK_EVERY_MS = 200;
const USUAL_LINES = 50;
const MOST_LINES = 1_000_000;

interface LogWords {
  readonly follow?: true;
  readonly lines: number;
  readonly json?: true;
  readonly home?: string;
}

/** `tah log`: what the daemon has written down, from its file, so also when it does not run. */
export function addLogCommand(program: Command, say: (text: string) => void): void {
  program
    .command("log")
    .description("the end of its log, for whoever looks for a fault; `tah history` says when it worked")
    .option("-f, --follow", "then what comes, until Ctrl-C")
    .option("-n, --lines <count>", "so many lines from its end", lines, USUAL_LINES)
    .option("--json", "each line as JSON, with all that it has")
    .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
    .action(async ({ follow, lines: most, json, home }: LogWords) => {
      const show = (line: string): void => say(json === true ? logJson(line) : logText(line));
      const log = new GrowingLog(join(folderOf(home), "daemon.log"));
      try {
        const begun = log.begin();
        if (begun === null && follow !== true) throw noLog(home);
        if (begun === null) process.stderr.write("There is no log yet: waiting for its first line.\n");
        for (const line of most === 0 ? [] : (begun ?? []).slice(-most)) show(line);
        if (follow === true) await followed(log, show);
      } finally {
        log.close();
      }
    });
}

/** Until Ctrl-C, which is how it is meant to end. */
async function followed(log: GrowingLog, show: (line: string) => void): Promise<void> {
  const end = new AbortController();
  const stop = (): void => end.abort();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, stop);
  while (!end.signal.aborted) {
    for (const line of log.more()) show(line);
    await wait(LOOK_EVERY_MS, undefined, { signal: end.signal }).catch(() => undefined);
  }
}

function folderOf(home: string | undefined): string {
  if (home !== undefined && !existsSync(home))
    throw new Failure(
      "no-data-folder",
      `There is no data folder ${resolve(home)}: look at what --home names.`,
    );
  return resolve(home ?? dataFolder(process.env, process.platform, homedir()));
}

function noLog(home: string | undefined): Failure {
  return new Failure(
    "no-log",
    `There is no log in ${folderOf(home)}: Train at Home has not run with that folder yet.`,
  );
}

function lines(text: string): number {
  const count = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  if (count <= MOST_LINES) return count;
  throw new InvalidArgumentError(`Give a whole number from 0 to ${MOST_LINES}.`);
}
