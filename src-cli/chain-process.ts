import { fork } from "node:child_process";
import { join } from "node:path";
import { chainMessage } from "../src-protocol/chain-reads.ts";
import type { ChainAnswer, ChainQuestion } from "../src-protocol/chain-reads.ts";
import { Failure } from "../src-protocol/failure.ts";

const READING_SCRIPT = join(import.meta.dirname, "..", "src-daemon", "chain", "reading-main.ts");

/** Asks a chain by a process of its own, since its library takes memory and time. @throws Failure, its own */
export async function askChain(question: ChainQuestion): Promise<ChainAnswer> {
  // Its library prints what a person cannot use.
  const child = fork(READING_SCRIPT, [], { execArgv: [], stdio: ["ignore", "ignore", "ignore", "ipc"] });
  const { promise, resolve, reject } = Promise.withResolvers<ChainAnswer>();
  child.on("message", (value) => {
    const message = chainMessage.parse(value);
    if (message.type === "done") resolve(message.answer);
    else reject(new Failure(message.code, message.message));
  });
  child.once("error", reject);
  child.once("close", () =>
    reject(new Failure("chain-ended", "The process that asks the chain ended before it had answered.")),
  );
  child.send(question);
  return promise;
}
