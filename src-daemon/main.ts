import { createInterface } from "node:readline";
import type { Interface } from "node:readline";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { offerRows } from "../src-protocol/network-text.ts";
import { useCompileCache } from "./compile-cache.ts";
import type { Daemon } from "./daemon.ts";
import { HELP, parseOptions } from "./options.ts";
import type { DaemonOptions } from "./options.ts";
import { LiveLine } from "./state/live-line.ts";
import { ANOTHER_RUN, situation, statusLine } from "./state/status-line.ts";
import { VERSION } from "./version.ts";

const STATUS_EVERY_MS = 3_000;
const PARENT_CHECK_MS = 500;
const SECOND_SIGINT_AFTER_MS = 300;
const EXIT_BAD_OPTION = 2;
const EXIT_INTERRUPTED = 130;

/** The daemon in the foreground, from command-line words to the exit code. */
export async function main(
  words: readonly string[],
  onReady: (daemon: Daemon) => void = () => {},
): Promise<number> {
  // The reader of our lines may go away (`| head`): training goes on without it.
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
  if (words.includes("--version")) {
    say(VERSION);
    return 0;
  }
  let options: DaemonOptions | null;
  try {
    options = parseOptions(words);
  } catch (error) {
    return complain(error, EXIT_BAD_OPTION);
  }
  if (options === null) {
    say(HELP.trimEnd());
    return 0;
  }
  useCompileCache();
  try {
    return await runForeground(options, onReady);
  } catch (error) {
    return complain(error, 1);
  }
}

/** Runs until it is asked to end; Ctrl-C ends everything, and a second one at once. */
async function runForeground(options: DaemonOptions, onReady: (daemon: Daemon) => void): Promise<number> {
  let daemon: Daemon | null = null;
  let askedAt: number | null = null;
  const { promise: wanted, resolve: askToEnd } = Promise.withResolvers<void>();
  const asked = new AbortController();
  const end = (): void => {
    askedAt ??= performance.now();
    asked.abort();
    askToEnd();
  };
  process.on("SIGINT", () => {
    // A launcher may hand on the Ctrl-C that has reached us already: only a later one is a second one.
    if (askedAt !== null && performance.now() - askedAt > SECOND_SIGINT_AFTER_MS) {
      daemon?.kill();
      process.exit(EXIT_INTERRUPTED);
    }
    end();
  });
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  if (options.exitWithParent) endWithParent(end);

  say("Train at Home is starting …");
  const { runDaemon } = await import("./daemon.ts");
  const starting = runDaemon(options, asked.signal);
  // Nothing is lost by ending half-way through a start: all that is on disk is whole.
  const first = await Promise.race([starting, wanted]);
  daemon =
    first ??
    (await starting.catch((error: unknown) => {
      if (error instanceof Failure && error.code === "interrupted") return null;
      throw error;
    }));
  if (daemon === null) {
    say("Stopped. Starting again goes on reading the data from where it was.");
    return 0;
  }
  if (askedAt === null) onReady(daemon);
  const line = askedAt === null ? report(daemon) : undefined;
  const question = askedAt === null ? askForConsent(daemon) : null;
  await Promise.race([wanted, daemon.ended]);
  line?.();
  question?.close();
  if (askedAt !== null) say("Stopping …");
  await daemon.stop();
  const step = daemon.state().run?.step ?? null;
  say(
    step === null || step === 0
      ? "Stopped before a step was finished here. What was trained earlier is kept."
      : `Stopped. Starting again continues from step ${step}.`,
  );
  return 0;
}

/**
 * What it is and where; then a line every few seconds, as long as there is something new to say. On a terminal
 * it is one line, written anew, and what changes stays above it.
 *
 * @returns ends it
 */
function report(daemon: Daemon): () => void {
  const { network, dataFolder, decision, activity } = daemon.state();
  const isNew = decision.reasons.includes("not-set-up");
  say(
    isNew && network.offer === null
      ? "Train at Home is ready. Nothing is downloaded or computed before you say yes."
      : network.offer !== null || network.kind === "remote"
        ? `Your computer ${network.offer === null ? "works for" : "was invited to"} ${network.offer?.card.name ?? network.name}.`
        : network.neighbours === 0
          ? "Your computer trains a language model, in one process."
          : `Your computer trains a language model, cut into slices, together with ${network.neighbours} neighbour ${network.neighbours === 1 ? "process" : "processes"}.`,
  );
  say(`Dashboard:   ${daemon.loginUrl()}`);
  say("             It works once; `tah open` (in a checkout `npm run -s tah -- open`) makes another.");
  say(`Data folder: ${dataFolder}`);
  for (const { text } of activity) if (text.startsWith(ANOTHER_RUN)) say(text);
  say("Ctrl-C ends everything; starting again continues where it was.");
  // Where somebody is asked, the question is the last line.
  const live = process.stdout.isTTY && !isNew && network.offer === null ? new LiveLine(process.stdout) : null;
  let last = "";
  let before: string | null = null;
  const timer = setInterval(() => {
    const [state, now] = [daemon.state(), Date.now()];
    const line = statusLine(state, now, before);
    const what = situation(state, now);
    if (line !== last) {
      if (live === null) say(line);
      else if (what === before) live.show(line);
      else live.keep(line);
    }
    [last, before] = [line, what];
  }, STATUS_EVERY_MS);
  return () => {
    clearInterval(timer);
    live?.end();
  };
}

/** Shows what it was invited to, and asks where there is a terminal; the dashboard asks too. */
function askForConsent(daemon: Daemon): Interface | null {
  const isNew = (): boolean => daemon.state().decision.reasons.includes("not-set-up");
  const { offer } = daemon.state().network;
  if (offer === null && !isNew()) return null;
  if (offer !== null) {
    for (const { name, value } of offerRows(offer)) say(`  ${`${name}:`.padEnd(14)}${value}`);
    say("Nothing is downloaded or computed before you have said yes: in the dashboard, or here.");
  }
  if (!process.stdin.isTTY || !process.stdout.isTTY) return null;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // Whoever reads the keys has to hand on what a terminal would have: Ctrl-C.
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const question =
    offer === null
      ? "Begin now, on this computer alone, at any time? (The dashboard asks when, and for whom.) [y/N] "
      : "Join this network and work for it? [y/N] ";
  terminal.question(question, (text) => {
    terminal.close();
    if (offer === null ? !isNew() : daemon.state().network.offer === null) return;
    const yes = /^y(es)?$/i.test(text.trim());
    daemon.answer(yes).catch((error: unknown) => say(failureBody(error).message));
  });
  return terminal;
}

/** By the channel it was started with, else by its parent's number, which changes when the parent is gone. */
function endWithParent(end: () => void): void {
  if (process.channel !== undefined) {
    process.once("disconnect", end);
    return;
  }
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    end();
  }, PARENT_CHECK_MS).unref();
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function complain(error: unknown, code: number): number {
  const sentence =
    error instanceof Failure ? error.message : `Something went wrong that should not: ${String(error)}`;
  process.stderr.write(`${sentence}\n`);
  return code;
}

if (import.meta.main) {
  const code = await main(process.argv.slice(2));
  // Not by running dry: an idle connection would hold the process for seconds. What was said goes out first.
  process.stdout.write("", () => process.exit(code));
}
