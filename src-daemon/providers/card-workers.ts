import type { ExecutionProvider } from "../../src-protocol/providers.ts";
import { type Card, cardEnvironment } from "./cards.ts";
import type { Member } from "../supervision/worker-process.ts";

/**
 * One worker for each card: this computer's own on the first, and more of the same hotkey on the others, each
 * with a folder of its own. With one card or none there is nothing to tell apart.
 */
export function onCards(own: Member, cards: readonly Card[]): [Member, ...Member[]] {
  const [first, ...others] = cards;
  if (first === undefined || others.length === 0) return [own];
  return [
    { ...own, environment: cardEnvironment(first) },
    ...others.map((card, index) => ({
      name: `${own.name} ${index + 2}`,
      hotkey: own.hotkey,
      folder: `${own.folder}-${index + 2}`,
      environment: cardEnvironment(card),
      onlyOnCard: true,
    })),
  ];
}

/** CUDA shows a process the one card that it is told of; of the other providers none says which card it takes. */
export function mayRun({ onlyOnCard }: Pick<Member, "onlyOnCard">, provider: ExecutionProvider): boolean {
  return onlyOnCard !== true || provider === "cuda";
}
