/** What a part of the data is for. */
export type Split = "train" | "validation" | "test";

const WORDS: Readonly<Record<string, Split>> = {
  train: "train",
  training: "train",
  val: "validation",
  valid: "validation",
  validation: "validation",
  dev: "validation",
  eval: "validation",
  heldout: "validation",
  test: "test",
  testing: "test",
};

/** What Megatron's preprocessing adds to the name that it is given: the column, and what was cut. */
const MEGATRON_ENDING = /_[a-z]+_(document|sentence)$/;

/**
 * By the usual names: `train.bin`, `val.bin`, `wiki.valid.txt`, `validation-00000-of-00002.parquet`,
 * `test/a.txt`. null: the name says nothing. The file's own name counts more than its folders'.
 */
export function splitNamed(name: string): Split | null {
  for (const part of name.split("/").reverse()) {
    // A name's first word if only numbers follow it, or its last one: "test-of-time.txt" is no test set.
    const words = part
      .toLowerCase()
      .replace(/(\.[a-z0-9]+){1,2}$/, (endings) => keepWord(endings))
      .replace(MEGATRON_ENDING, "")
      .split(/[^a-z0-9]+/)
      .filter(Boolean);
    const [first = "", ...others] = words;
    const bare = first.replace(/\d+$/, "");
    if (others.every((word) => /^(\d+|of)$/.test(word)) && Object.hasOwn(WORDS, bare))
      return WORDS[bare] ?? null;
    const last = [...words].reverse().find((word) => !/^(\d+|of)$/.test(word)) ?? "";
    if (Object.hasOwn(WORDS, last)) return WORDS[last] ?? null;
  }
  return null;
}

/** `wiki.valid.txt`: of the two endings the first is a word. */
function keepWord(endings: string): string {
  return endings
    .split(".")
    .filter((word) => Object.hasOwn(WORDS, word))
    .map((word) => `.${word}`)
    .join("");
}

/**
 * What each file is for. Names say so only together: where none is for training or validation, a
 * file called `test` is as good as any other, and where nothing would be left to train on, all are.
 */
export function splitsOf(names: readonly string[]): readonly Split[] {
  const named = names.map(splitNamed);
  const isDivided = named.some((split) => split === "train" || split === "validation");
  const trains = named.some((split) => split === "train" || split === null);
  if (!isDivided || !trains) return names.map(() => "train");
  return named.map((split) => split ?? "train");
}
