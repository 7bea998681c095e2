import { basename } from "node:path";
import { leastKept } from "../src-engine/recompute.ts";
import { number, plural, size } from "../src-protocol/amounts.ts";
import { dataLines } from "./data-text.ts";
import { shownText } from "./model-samples.ts";
import type { TrainingResult } from "./model-train.ts";
import type { TrainingOptions, TrainingPlan } from "./training-plan.ts";

/** What is about to be done, for a person. */
export function planText(
  { run, stages, data, parameterCount, memoryBytes, notes }: TrainingPlan,
  { model: file, learningRate, out }: TrainingOptions & { out: string },
): string {
  const { model, batch, sequence, microBatches, steps } = run;
  const perStep = batch * sequence * microBatches;
  const named =
    model.kind === "onnx"
      ? `, tokens "${model.tokens}", scores "${model.scores}"`
      : model.kind === "decoder"
        ? `, of the family ${model.family}`
        : "";
  const lines = [
    `Model:     ${basename(file)}: ${number(parameterCount)} parameters, ${number(model.vocabulary)} tokens known${named}`,
    ...dataLines(data),
    `Training:  ${plural(steps ?? 0, "step")} of ${number(perStep)} tokens (${batch} × ${sequence} tokens in ${plural(microBatches, "micro-batch", "micro-batches")}), learning rate ${learningRate}`,
    `Processes: ${plural(stages.length, "worker")}, an orchestrator and a daemon; up to ${size(memoryBytes)} of memory`,
    ...stages.map(
      ({ parameterCount: count, memory, boundaryBytes }, index) =>
        `           stage ${index + 1}: ${number(count)} parameters, ${size(memory[leastKept(run.arithmetic)].peakBytes)} to train them` +
        (boundaryBytes.out > 0 ? `, sends ${size(boundaryBytes.out)} a micro-batch` : ""),
    ),
    `Writes:    ${out}`,
    ...notes.map((note) => `Note:      ${note}`),
  ];
  return lines.join("\n");
}

/** What has come of it, for a person. */
export function resultText(result: TrainingResult): string {
  const { step, stages, processes, tokensPerSecond, interrupted, out, writtenStep } = result;
  const speed = tokensPerSecond === null ? "" : `, ${number(tokensPerSecond)} tokens a second`;
  const lines = [
    `${interrupted ? "Interrupted after " : ""}${plural(step, "step")} in ${plural(stages, "stage")}, ${plural(processes, "process", "processes")}${speed}`,
    `loss from ${loss(result.lossFirst)} to ${loss(result.lossLast)}, held out from ${loss(result.heldOutLossBefore)} to ${loss(result.heldOutLossAfter)}`,
    out === null
      ? "No state of all stages was stored yet, so nothing was written."
      : `the weights of step ${writtenStep} are in ${out}`,
    ...(result.kept === null
      ? []
      : [`the same command goes on from there; the state is kept in ${result.kept} (--fresh begins anew)`]),
    ...sampleLines(result.samples),
  ];
  return lines.join("\n");
}

function sampleLines(samples: TrainingResult["samples"]): string[] {
  return samples.flatMap(({ prompt, untrained, trained }) => [
    "",
    `after      ${shownText(prompt)}`,
    `  before:  ${shownText(untrained)}`,
    `  trained: ${shownText(trained)}`,
  ]);
}

function loss(value: number | null): string {
  return value === null ? "(not measured)" : value.toFixed(4);
}
