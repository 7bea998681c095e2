import type { RunCommand } from "../children/run-command.ts";

/** An NVIDIA card that a worker can have to itself. */
export interface Card {
  readonly index: number;
  /** `GPU-…`: stays the same whatever else is plugged in. */
  readonly uuid: string;
  readonly name: string;
}

/** More in one computer would be a server's, and each worker wants memory of its own. */
const MOST_CARDS = 16;
const QUERY = ["--query-gpu=index,uuid,name", "--format=csv,noheader"];

/** Lines like `0, GPU-5a1c…, NVIDIA GeForce RTX 3090`; what is no such line (an error, a warning) names no card. */
export function parseCards(output: string): Card[] {
  return output
    .split("\n")
    .flatMap((line) => {
      const [, index, uuid, name] = /^(\d{1,3}), (GPU-[0-9a-f-]{8,64}), (.{1,100})$/.exec(line.trim()) ?? [];
      return index === undefined || uuid === undefined || name === undefined
        ? []
        : [{ index: Number(index), uuid, name }];
    })
    .slice(0, MOST_CARDS);
}

/** The cards that its owner lets this program see: CUDA's own variable, by number or by the beginning of a UUID. */
export function visibleCards(cards: readonly Card[], visible: string | undefined): Card[] {
  if (visible === undefined) return [...cards];
  const found: Card[] = [];
  for (const word of visible.split(",").map((each) => each.trim())) {
    const card = cards.find(
      ({ index, uuid }) => String(index) === word || (word !== "" && uuid.startsWith(word)),
    );
    // As CUDA has it: what stands behind a wrong one is not seen.
    if (card === undefined || found.includes(card)) break;
    found.push(card);
  }
  return found;
}

/** None where there is no NVIDIA driver. */
export async function nvidiaCards(
  run: RunCommand,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Card[]> {
  const output = await run("nvidia-smi", QUERY);
  return output === null ? [] : visibleCards(parseCards(output), environment["CUDA_VISIBLE_DEVICES"]);
}

/** What shows a process this card alone, as its first one. */
export function cardEnvironment({ uuid }: Card): Readonly<Record<string, string>> {
  return { CUDA_VISIBLE_DEVICES: uuid };
}
