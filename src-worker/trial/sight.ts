import { randomStream } from "../../src-engine/random.ts";
import type { Sight } from "../../src-protocol/model-trial.ts";
import type { Scorer } from "../compute/scorer.ts";

/** Of the largest score: what rounding may move. */
const ROUNDING = 1e-5;

/**
 * Whether scores of earlier places move when a late token is another one: then the model sees what it
 * is to predict. Where the only ones that move are in the column of that token's place, the output has
 * its places last. `blind`: nothing moved, wherever the token was.
 */
export async function sightOf(
  scorer: Pick<Scorer, "batch" | "sequence" | "vocabulary" | "scores">,
): Promise<Sight> {
  const { batch, sequence, vocabulary } = scorer;
  const random = randomStream(0, "sight");
  const tokens = Int32Array.from({ length: batch * sequence }, () => Math.floor(random() * vocabulary));
  const before = Float32Array.from(await scorer.scores(tokens));
  const largest = before.reduce((most, score) => Math.max(most, Math.abs(score)), 0);
  let moved = false;
  // The last token says most; one in the middle finds what looks ahead only so far.
  for (const place of new Set([sequence - 1, sequence >> 1])) {
    const changed = Int32Array.from(tokens);
    for (let row = 0; row < batch; row++) {
      const at = row * sequence + place;
      changed[at] = ((tokens[at] ?? 0) + 1 + Math.floor(random() * (vocabulary - 1))) % vocabulary;
    }
    const after = await scorer.scores(changed);
    let [earlier, elsewhere] = [0, 0];
    for (const [index, score] of after.entries()) {
      // Not "greater": of what is no number, every comparison is false.
      if (Math.abs(score - (before[index] ?? 0)) <= ROUNDING * largest) continue;
      moved = true;
      if (Math.floor(index / vocabulary) % sequence >= place) continue;
      earlier++;
      if (vocabulary !== sequence || index % vocabulary < place) elsewhere++;
    }
    if (earlier > 0) return elsewhere === 0 ? "transposed" : "ahead";
  }
  return moved ? "causal" : "blind";
}
