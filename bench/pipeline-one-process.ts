import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { defaultCorpus } from "../src-daemon/runs/corpus.ts";
import { planRun } from "../src-daemon/runs/run-plan.ts";
import { parametersSha256 } from "../src-protocol/parameters-digest.ts";
import { trainSingle } from "../src-worker/replay/single.ts";

/** Child of the pipeline benchmark: trains the default run in this process and says when each step is finished. */
// The workers' own priority: work that somebody lends gives way to everything else.
setPriority(10);
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

const cache = mkdtempSync(join(tmpdir(), "tah-bench-"));
const corpus = await defaultCorpus(cache);
const bytes = readFileSync(corpus.file);
rmSync(cache, { recursive: true, force: true });
const [arithmetic, digestStep] = process.argv.slice(2);
const spec = planRun({
  corpus,
  size: "default",
  steps: null,
  workers: 3,
  arithmetic: arithmetic === "exact" ? "exact" : "fast",
});
await trainSingle({
  spec,
  corpus: bytes,
  steps: Number.POSITIVE_INFINITY,
  threads: availableParallelism(),
  evaluateAt: (step) => step % spec.evaluateEverySteps === 0,
  onStep({ step }, weights) {
    process.send?.(Date.now());
    if (step === Number(digestStep)) process.send?.(parametersSha256(weights()));
  },
});
