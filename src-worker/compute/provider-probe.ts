import { setPriority } from "node:os";
import { daemonToProbe } from "../../src-protocol/providers.ts";
import type { ProbeToDaemon } from "../../src-protocol/providers.ts";
import { Compute } from "./compute.ts";
import { tryProvider } from "./provider-trial.ts";
import { loadRuntime } from "./sessions.ts";

/** Below the workers, which train meanwhile. */
const NICENESS = 19;

/** A child of the daemon that tries one provider, says how that went, and ends. */
function main(): void {
  if (process.send === undefined) {
    process.stderr.write("The test of a provider is started by the daemon. Run `tah providers --again`.\n");
    process.exit(1);
  }
  process.on("SIGINT", () => undefined);
  // The compute threads may be inside a driver that never returns, so this thread stays awake.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  try {
    setPriority(NICENESS);
  } catch {
    // Some sandboxes forbid it.
  }
  process.once("message", (message) => void answer(message));
}

async function answer(message: unknown): Promise<void> {
  const { provider, threads } = daemonToProbe.parse(message);
  const outcome = await tryProvider(provider, threads, (options) => new Compute(options));
  const { listSupportedBackends } = await loadRuntime();
  const bundled = listSupportedBackends().flatMap((each) => (each.bundled ? [each.name] : []));
  process.send?.({ type: "probed", outcome, bundled } satisfies ProbeToDaemon);
}

main();
