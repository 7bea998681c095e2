import type { LeftOut } from "../src-data/found-files.ts";
import type { DataProgress, TakenFile, TrainingData } from "../src-data/gather-data.ts";
import { listedData } from "../src-data/listed-data.ts";
import { number, size } from "../src-protocol/amounts.ts";

const SAY_EVERY_MS = 2_000;

/** What the data was taken for, file by file, beneath one another. */
export function dataLines(data: TrainingData): string[] {
  return listedData(data).map((line, i) => `${i === 0 ? "Data:      " : "           "}${line}`);
}

/** The same for a program; long lists are cut, and the counts say so. */
export interface DataFigures {
  readonly kind: string;
  readonly tokens: number;
  readonly heldOutTokens: number | null;
  readonly takenCount: number;
  readonly taken: readonly TakenFile[];
  readonly leftOutCount: number;
  readonly leftOut: readonly LeftOut[];
}

const FIGURES_LISTED = 1000;

export function dataFigures({ kind, tokens, heldOutTokens, taken, leftOut }: TrainingData): DataFigures {
  return {
    kind,
    tokens,
    heldOutTokens,
    takenCount: taken.length,
    taken: taken.slice(0, FIGURES_LISTED),
    leftOutCount: leftOut.length,
    leftOut: leftOut.slice(0, FIGURES_LISTED),
  };
}

/** A line now and then, once reading takes longer than that. */
export function sayProgress(
  say: (text: string) => void,
  now = () => performance.now(),
): (progress: DataProgress) => void {
  const began = now();
  let saidAt = began;
  return ({ stage, file, bytes, totalBytes, tokens }) => {
    const at = now();
    if (at - saidAt < SAY_EVERY_MS) return;
    saidAt = at;
    const share = Math.min(1, bytes / Math.max(1, totalBytes));
    const left = share > 0 ? ((at - began) / share) * (1 - share) : 0;
    if (stage === "looking") return say(`Looking through the data: ${size(totalBytes)} (${file})`);
    if (stage === "resuming")
      return say(
        `Looking again at what was read before: ${Math.floor(share * 100)} % of ${size(totalBytes)}`,
      );
    say(
      `Reading the data: ${Math.floor(share * 100)} % of ${size(totalBytes)}, ${number(Math.floor(tokens))} tokens, about ${seconds(left)} left (${file})`,
    );
  };
}

function seconds(ms: number): string {
  return ms < 90_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`;
}
