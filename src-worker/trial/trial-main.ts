import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { failureBody } from "../../src-protocol/failure.ts";
import { trialRequest } from "../../src-protocol/model-trial.ts";
import type { TrialMessage, TrialRequest } from "../../src-protocol/model-trial.ts";
import { Scorer } from "../compute/scorer.ts";
import { sightOf } from "./sight.ts";
import { writeRun } from "./write-run.ts";
import { writeTexts } from "./write-text.ts";

/** A child of `tah model …`, spoken to over Node's IPC channel (model-trial.ts of the protocol). */
async function answer(request: TrialRequest): Promise<TrialMessage> {
  if (request.type === "write-run") {
    const { step, texts } = await writeRun(request, availableParallelism());
    return { type: "written-run", step, texts };
  }
  const { model } = request;
  const { batch, sequence } = model;
  const sizes = { batch, sequence, threads: availableParallelism() };
  const scorer =
    "modelFiles" in model
      ? await Scorer.openDecoder(model.modelFiles, model.spec, sizes)
      : await Scorer.open(await readFile(model.modelFile), model.spec, sizes);
  try {
    if (request.type === "look") return { type: "looked", sight: await sightOf(scorer) };
    const texts = await writeTexts(scorer, request, (tokens) => tell({ type: "writing", tokens }));
    return { type: "written", texts };
  } finally {
    await scorer.close();
  }
}

function tell(message: TrialMessage, then: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, undefined, undefined, then);
}

if (process.send === undefined) {
  process.stderr.write("This is started by `tah model` and not by hand.\n");
  process.exit(1);
}
// The terminal's Ctrl-C is its parent's to answer, and the end of the parent ends this process.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.once("message", (message) => {
  const leave = (): void => process.disconnect();
  void Promise.resolve(message)
    .then((words) => answer(trialRequest.parse(words)))
    .then(
      (found) => tell(found, leave),
      (error: unknown) => tell({ type: "failed", ...failureBody(error) }, leave),
    );
});
