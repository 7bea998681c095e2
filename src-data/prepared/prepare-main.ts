import { setPriority } from "node:os";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { prepareData } from "./prepared-data.ts";
import type { Preparation } from "./prepared-data.ts";
import type { PreparingMessage } from "./prepare-ipc.ts";

/** Reads data in a process of its own (prepare-apart.ts). It may be killed at any time: it goes on from its journal. */
const TELL_EVERY_MS = 200;
/** Whoever uses the computer comes first. */
const NICENESS = 10;

function tell(message: PreparingMessage, then: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, undefined, undefined, then);
}

if (process.send === undefined) {
  process.stderr.write("This is started by Train at Home and not by hand.\n");
  process.exit(1);
}
// The terminal's Ctrl-C is its parent's to answer, and the end of the parent ends this process.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
try {
  setPriority(NICENESS);
} catch {
  // Then it is as everybody.
}
process.once("message", (wanted) => {
  const leave = (): void => process.disconnect();
  let toldAt = 0;
  prepareData(wanted as Preparation, {
    onProgress: (progress) => {
      const now = performance.now();
      if (now - toldAt < TELL_EVERY_MS) return;
      toldAt = now;
      tell({ type: "progress", progress });
    },
  }).then(
    (data) => tell({ type: "done", data } as PreparingMessage, leave),
    (error: unknown) => {
      if (!(error instanceof Failure)) process.stderr.write(`${String(error)}\n`);
      tell({ type: "failed", ...failureBody(error) }, leave);
    },
  );
});
