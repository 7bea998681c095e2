import type { AskedOperator } from "./go-back.ts";

/** A question that was gone for less, as while a computer's line was, is about the same standstill. */
const SAME_WITHIN_MS = 10 * 60_000;

/** What its owner was told of: it may be asked still. */
export interface ToldQuestion extends Pick<AskedOperator, "id" | "resumeStep"> {
  /** Milliseconds, on the clock of whoever tells; null: it is asked. */
  readonly goneAt: number | null;
}

/** Whether what a network asks now is to be told, after what was told before. `asked`: null: nothing. */
export function questionNews(
  before: ToldQuestion | null,
  asked: Pick<AskedOperator, "id" | "resumeStep"> | null,
  now: number,
): { readonly told: ToldQuestion | null; readonly isNews: boolean } {
  if (asked === null) return { told: before && { ...before, goneAt: before.goneAt ?? now }, isNews: false };
  const { id, resumeStep } = asked;
  return { told: { id, resumeStep, goneAt: null }, isNews: before === null || !isSame(before, asked, now) };
}

function isSame(
  { id, resumeStep, goneAt }: ToldQuestion,
  asked: Pick<AskedOperator, "id" | "resumeStep">,
  now: number,
): boolean {
  if (id !== asked.id) return false;
  return goneAt === null || (now - goneAt < SAME_WITHIN_MS && resumeStep === asked.resumeStep);
}
