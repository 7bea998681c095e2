import { readFileSync } from "node:fs";
import { availableParallelism, setPriority } from "node:os";
import { parametersSha256 } from "../src-protocol/parameters-digest.ts";
import { runFile } from "../src-protocol/run-file.ts";
import { trainSingle } from "../src-worker/replay/single.ts";

/** Child of the pipeline benchmark: trains the run of a file in this process and says when each step is finished. */
// The workers' own priority: work that somebody lends gives way to everything else.
setPriority(10);
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

const [file = "", digestStep] = process.argv.slice(2);
const { run: spec, corpusFile } = runFile.parse(JSON.parse(readFileSync(file, "utf8")));
await trainSingle({
  spec,
  corpus: readFileSync(corpusFile),
  steps: Number.POSITIVE_INFINITY,
  threads: availableParallelism(),
  evaluateAt: (step) => step % spec.evaluateEverySteps === 0,
  onStep({ step }, weights) {
    process.send?.(Date.now());
    if (step === Number(digestStep)) process.send?.(parametersSha256(weights()));
  },
});
