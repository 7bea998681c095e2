import type { DataProgress, TakenFile, TrainingData } from "../src-data/gather-data.ts";
import type { LeftOut } from "../src-data/found-files.ts";
import { number, plural, size } from "./amounts.ts";

const LISTED = 20;
const SAY_EVERY_MS = 2_000;

/** What the data was taken for, file by file, for a person. */
export function dataLines(data: TrainingData): string[] {
  const { corpus, tokens, heldOutTokens, kind, taken, leftOut } = data;
  const heldOut =
    heldOutTokens === null
      ? "the last 5 % are held out"
      : `${number(heldOutTokens)} of the validation set are held out`;
  return [
    `Data:      ${corpus.name}: ${number(tokens)} ${kind} in ${plural(taken.length, "file")}; ${heldOut}`,
    ...indented(
      listed(grouped(taken.map((file) => ({ key: takenKey(file), file }))), (group) =>
        takenText(group, tokens),
      ),
    ),
    ...indented(listed(grouped(leftOut.map((file) => ({ key: file.why, file }))), leftOutText)),
  ];
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `           ${line}`);
}

/** Many files of one kind are one line. */
function grouped<File>(files: readonly { key: string; file: File }[]): File[][] {
  if (files.length <= LISTED) return files.map(({ file }) => [file]);
  const groups = new Map<string, File[]>();
  for (const { key, file } of files) groups.set(key, [...(groups.get(key) ?? []), file]);
  return [...groups.values()];
}

function listed<Item>(items: readonly Item[], text: (item: Item) => string): string[] {
  const lines = items.slice(0, LISTED).map(text);
  return items.length > LISTED ? [...lines, `and ${items.length - LISTED} more of other kinds`] : lines;
}

function takenKey({ as, split, notes }: TakenFile): string {
  return [as, split, ...notes].join("\0");
}

function takenText(group: readonly TakenFile[], total: number): string {
  const [first] = group;
  if (first === undefined) return "";
  const share = group.reduce((sum, { tokens }) => sum + tokens, 0) / total;
  const name = group.length === 1 ? first.name : `${number(group.length)} files, ${first.name} and others`;
  const use = first.split === "validation" ? ", validation set" : "";
  const notes = first.notes.map((note) => `; ${note}`).join("");
  return `${name}: ${first.as}${use}, ${percent(share)}${notes}`;
}

function leftOutText(group: readonly LeftOut[]): string {
  const [first] = group;
  if (first === undefined) return "";
  const name = group.length === 1 ? first.name : `${number(group.length)} files, ${first.name} and others`;
  return `left out: ${name}: ${first.why}`;
}

function percent(share: number): string {
  const value = share * 100;
  if (value === 0) return "0 %";
  return value < 0.1 ? "less than 0.1 %" : `${value.toFixed(1)} %`;
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
  return ({ file, bytes, totalBytes, tokens }) => {
    const at = now();
    if (at - saidAt < SAY_EVERY_MS) return;
    saidAt = at;
    const share = Math.min(1, bytes / Math.max(1, totalBytes));
    const left = share > 0 ? ((at - began) / share) * (1 - share) : 0;
    say(
      `Reading the data: ${Math.floor(share * 100)} % of ${size(totalBytes)}, ${number(Math.floor(tokens))} tokens, about ${seconds(left)} left (${file})`,
    );
  };
}

function seconds(ms: number): string {
  return ms < 90_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`;
}
