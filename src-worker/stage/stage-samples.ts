import { heldOutOffsets, tokensAt, trainingOffsets } from "../../src-engine/samples.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { CorpusReader } from "../corpus/corpus-reader.ts";
import type { StageData } from "../compute/compute-call.ts";
import type { Pass } from "../pipeline/pipeline-event.ts";

interface Place {
  readonly pass: Pass;
  readonly step: number;
  readonly microBatch: number;
}

/** The tokens of a micro-batch: a pure function of run, step and number, so head and tail agree without talking. */
export type Samples = (of: Place) => Promise<StageData>;

/** Micro-batches whose tokens are brought before they are asked for. */
const AHEAD = 8;

/** `ahead`: also brings what the next micro-batches need, where bringing takes time. */
export function samplesOf(spec: RunSpec, corpus: CorpusReader, { ahead = 0 } = {}): Samples {
  const { bytes, tokenBytes, trainingTokens } = spec.corpus;
  const shape = { ...spec, corpusTokens: Math.floor(bytes / tokenBytes), trainingTokens };
  const length = (spec.sequence + 1) * tokenBytes;
  const bring = async ({ pass, step, microBatch }: Place): Promise<StageData> => {
    const offsets =
      pass === "evaluate"
        ? heldOutOffsets({ ...shape, index: microBatch })
        : trainingOffsets({ ...shape, step, microBatch });
    const rows = await Promise.all(offsets.map((offset) => corpus.read(offset * tokenBytes, length)));
    const places = offsets.map((_, row) => row * (spec.sequence + 1));
    return tokensAt(Buffer.concat(rows), places, spec.sequence, tokenBytes);
  };
  if (ahead === 0) return bring;
  const coming = new Map<string, Promise<StageData>>();
  const begin = (place: Place): Promise<StageData> => {
    const data = bring(place);
    // Whoever asks for it asks again.
    data.catch(() => coming.delete(nameOf(place)));
    return data;
  };
  return async (place) => {
    if (place.pass === "evaluate") return await bring(place);
    const own = coming.get(nameOf(place)) ?? bring(place);
    coming.delete(nameOf(place));
    for (const next of after(place, spec.microBatches, ahead)) {
      if (!coming.has(nameOf(next))) coming.set(nameOf(next), begin(next));
    }
    for (const oldest of coming.keys()) {
      if (coming.size <= ahead) break;
      coming.delete(oldest);
    }
    return await own;
  };
}

/** For a corpus whose parts come over a line. */
export const samplesAhead = (spec: RunSpec, corpus: CorpusReader): Samples =>
  samplesOf(spec, corpus, { ahead: AHEAD });

const nameOf = ({ step, microBatch }: Place): string => `${step}/${microBatch}`;

function after({ pass, step, microBatch }: Place, microBatches: number, count: number): Place[] {
  return Array.from({ length: count }, (_, i) => {
    const at = microBatch + 1 + i;
    return { pass, step: step + Math.floor(at / microBatches), microBatch: at % microBatches };
  });
}

/** For a stage between head and tail. */
export const noSamples: Samples = async () => ({});
