import { CONTROL_PROTOCOL } from "../../src-protocol/control.ts";
import { CORPUS_CHUNK_BYTES, DIGEST_BYTES, chunkCount } from "../../src-protocol/corpus-chunks.ts";
import { modelFilesOf } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { NetworkCard } from "../../src-protocol/network-card.ts";
import type { NetworkPay } from "../../src-protocol/payouts.ts";
import type { RunHost } from "../runs/run-host.ts";

/** A worker that trains a stage of next to nothing: Node and ONNX Runtime; 244 to 271 MB seen on Linux x64. */
const PROGRAM_BYTES = 270_000_000;
/** Weights and two moments, float32. */
const STATE_BYTES_PER_PARAMETER = 12;

/** How a network presents itself. */
export interface NetworkNames {
  /** What delegations and proofs are made out to. */
  readonly network: string;
  readonly name: string;
  readonly operator: string;
  readonly open: boolean;
  /** Null: test units. */
  readonly pays: NetworkPay | null;
}

/** What an invitee is shown: who this is, what is computed, and what it would ask of one computer. */
export function networkCard(
  { network, name, operator, open, pays }: NetworkNames,
  host: RunHost,
): NetworkCard {
  const { run, facts } = host;
  const view = host.view();
  const greatest = (values: readonly number[]): number => Math.max(0, ...values);
  const stageBytes =
    view.step === 0
      ? 0
      : greatest(facts.map(({ parameterCount }) => parameterCount)) * STATE_BYTES_PER_PARAMETER;
  const stepsPerSecond = view.tokensPerSecond === null ? null : view.tokensPerSecond / view.tokensPerStep;
  const bytesPerStep = greatest(facts.map(({ boundaryBytes }) => boundaryBytes)) * run.microBatches;
  return {
    protocol: CONTROL_PROTOCOL,
    network,
    name,
    operator,
    testUnits: pays === null,
    ...(pays === null ? {} : { pays }),
    open,
    nodes: view.nodes,
    run: {
      runId: run.runId,
      name: run.name,
      model: run.model.kind,
      parameterCount: view.parameterCount,
      stages: run.stages,
      phase: view.phase,
      detail: view.detail.slice(0, 2000),
      step: view.step,
      steps: run.steps,
      loss: view.loss,
      corpus: run.corpus.name,
    },
    asks: {
      downloadBytes: corpusDownload(run) + modelBytes(host) + stageBytes,
      memoryBytes: PROGRAM_BYTES + greatest(host.needs()),
      bytesPerStep,
      megabitsPerSecond: stepsPerSecond === null ? null : (bytesPerStep * stepsPerSecond * 8) / 1e6,
    },
  };
}

/** Of a model's files: an ONNX file whole, of others the part that the greatest stage has of the parameters. */
function modelBytes({ run: { model }, facts }: RunHost): number {
  const all = modelFilesOf(model).reduce((sum, { bytes }) => sum + bytes, 0);
  if (model.kind !== "decoder") return all;
  const count = facts.reduce((sum, { newParameterCount }) => sum + newParameterCount, 0);
  return Math.round(
    (all * Math.max(...facts.map(({ parameterCount }) => parameterCount))) / Math.max(1, count),
  );
}

/** All of a small corpus; of a large one no more chunks than the run draws sequences (each may lie in two). */
function corpusDownload({ corpus, steps, microBatches, batch }: RunSpec): number {
  if (corpus.chunks === undefined || steps === null) return corpus.bytes;
  const drawn = steps * microBatches * batch * 2 * CORPUS_CHUNK_BYTES;
  return Math.min(corpus.bytes, drawn) + chunkCount(corpus.bytes) * DIGEST_BYTES;
}
