import { exp } from "../../src-engine/portable-math.ts";
import { randomStream } from "../../src-engine/random.ts";
import type { WriteRequest } from "../../src-protocol/model-trial.ts";
import type { Scorer } from "../compute/scorer.ts";

interface Row {
  readonly tokens: number[];
  readonly prompt: number;
  readonly random: () => number;
  ended: boolean;
}

/**
 * What the model writes after each prompt, the prompts left out: a function of request and weights, but
 * for `mostMs`. A text that is longer than the model's window goes on from its last tokens.
 */
export async function writeTexts(
  scorer: Pick<Scorer, "batch" | "sequence" | "vocabulary" | "scores">,
  request: Pick<
    WriteRequest,
    "prompts" | "tokens" | "temperature" | "seed" | "largestToken" | "end" | "mostMs"
  >,
  onTokens: (count: number) => void = () => undefined,
  now: () => number = () => performance.now(),
): Promise<number[][]> {
  const { prompts, tokens, seed, mostMs } = request;
  const rows = prompts.map((prompt, i): Row => ({
    tokens: [...prompt],
    prompt: prompt.length,
    random: randomStream(seed, "write", i),
    ended: false,
  }));
  const began = now();
  for (let count = 0; count < tokens; count++) {
    const open = rows.filter(({ ended }) => !ended);
    if (open.length === 0 || (mostMs !== null && now() - began > mostMs)) break;
    for (let at = 0; at < open.length; at += scorer.batch)
      await goOn(scorer, open.slice(at, at + scorer.batch), request);
    onTokens(count + 1);
  }
  return rows.map(({ tokens: all, prompt }) => all.slice(prompt));
}

/** One token more for each row. */
async function goOn(
  scorer: Pick<Scorer, "batch" | "sequence" | "vocabulary" | "scores">,
  rows: readonly Row[],
  request: Pick<WriteRequest, "temperature" | "largestToken" | "end">,
): Promise<void> {
  const { batch, sequence, vocabulary } = scorer;
  const fed = new Int32Array(batch * sequence);
  for (const [i, { tokens }] of rows.entries()) fed.set(tokens.slice(-sequence), i * sequence);
  const all = await scorer.scores(fed);
  for (const [i, row] of rows.entries()) {
    const place = i * sequence + Math.min(row.tokens.length, sequence) - 1;
    const own = all.subarray(place * vocabulary, (place + 1) * vocabulary);
    const next = draw(own.subarray(0, request.largestToken + 1), request.temperature, row.random);
    if (next === request.end) row.ended = true;
    else row.tokens.push(next);
  }
}

/** A token by `softmax(scores / temperature)`; at temperature 0, the first of the likeliest. */
export function draw(scores: Float32Array, temperature: number, random: () => number): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if ((scores[i] ?? 0) > (scores[best] ?? 0)) best = i;
  if (temperature === 0) return best;
  const most = scores[best] ?? 0;
  const weights = Float64Array.from(scores, (score) => exp((score - most) / temperature));
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return i;
  }
  return best;
}
