import { number, plural } from "../src-protocol/amounts.ts";
import type { LeftOut } from "./found-files.ts";
import type { TakenFile, TrainingData } from "./gather-data.ts";

const LISTED = 20;

/** What the data was taken for, file by file, for a person. */
export function listedData(data: TrainingData): string[] {
  const { corpus, tokens, heldOutTokens, kind, taken, leftOut } = data;
  const heldOut =
    heldOutTokens === null
      ? "the last 5 % are held out"
      : `${number(heldOutTokens)} of the validation set are held out`;
  return [
    `${corpus.name}: ${number(tokens)} ${kind} in ${plural(taken.length, "file")}; ${heldOut}`,
    ...listed(grouped(taken.map((file) => ({ key: takenKey(file), file }))), (group) =>
      takenText(group, tokens),
    ),
    ...listed(grouped(leftOut.map((file) => ({ key: file.why, file }))), leftOutText),
  ];
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
