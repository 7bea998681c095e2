import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { auditLedger } from "../src-orchestrator/ledger/audit.ts";
import {
  BOOK_NOW,
  BOOK_RUN,
  OWNERS,
  bookedLedger,
  claimAll,
  receiptsOf,
} from "../src-orchestrator/ledger/books.test-support.ts";
import { storeRow } from "../src-orchestrator/stores/run-store.ts";
import { Store } from "../src-orchestrator/stores/store.ts";
import type { Progress } from "./bench.ts";
import { sizesOf } from "./growth-ledger.ts";

/** Both are where receipts have just been added up, so that what is kept until then is as much. */
const FROM = 2_048;
const TO = 6_144;
const MESSAGE_STEPS = 32;
/** Of the default model on two quiet cores. */
export const STEPS_PER_DAY = 260_000;
const POINTS_PER_COMMIT = 1_000;
/** As far back as the default run's checkpoints reach. */
const RESTORABLE_STEPS = 600;

export interface BookGrowth {
  readonly steps: number;
  readonly receipts: number;
  /** What is kept of the last steps until it is added up and deleted, with what has grown. */
  readonly bytes: number;
  readonly bytesPerStep: number;
  /** Of the first day; later ones add less. */
  readonly curveBytesOfADay: number;
  readonly kept: number;
  readonly pruned: number;
  readonly isClean: boolean;
}

/**
 * The book alone, with nothing that computes: three owners' receipts of thousands of steps, which are
 * verified, credited and claimed as those of a network are, and a day's loss curve.
 */
export async function bookGrowth(progress: Progress): Promise<BookGrowth> {
  const folder = mkdtempSync(join(tmpdir(), "train-at-home-book-"));
  const store = Store.open(folder, (error) => {
    throw error;
  });
  try {
    let newest = 0;
    const ledger = await bookedLedger(store, folder, () => newest - RESTORABLE_STEPS);
    let settled = 0;
    for (let first = 0; first < TO; first += MESSAGE_STEPS) {
      newest = first + MESSAGE_STEPS;
      const steps = Array.from({ length: MESSAGE_STEPS }, (_, i) => first + i);
      const credited = ledger.credit(steps.flatMap(receiptsOf));
      store.flush();
      await credited;
      if (newest % FROM === 0) progress(`the book alone: ${newest} of ${TO} steps`);
      if (newest !== FROM && newest !== TO) continue;
      for (const owner of OWNERS) await claimAll(store, owner);
      if (newest === FROM) settled = sizesOf(store).bytes;
    }
    const { isClean, receipts } = auditLedger(store);
    const { bytes } = sizesOf(store);
    progress("the book alone: a day's loss curve");
    for (let step = 1; step <= STEPS_PER_DAY; step += POINTS_PER_COMMIT) await curve(store, step);
    return {
      steps: TO,
      receipts: receipts.kept + receipts.pruned,
      bytes,
      bytesPerStep: Number(((bytes - settled) / (TO - FROM)).toPrecision(3)),
      curveBytesOfADay: sizesOf(store).bytes - bytes,
      kept: receipts.kept,
      pruned: receipts.pruned,
      isClean,
    };
  } finally {
    store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function curve(store: Store, first: number): Promise<void> {
  await store.write(() => {
    for (let step = first; step < first + POINTS_PER_COMMIT; step++) {
      const heldOutLoss = step % BOOK_RUN.evaluateEverySteps === 0 ? 1 / step : null;
      const point = {
        step,
        at: BOOK_NOW + step * 300,
        loss: 1 / step,
        heldOutLoss,
        tokensPerSecond: 1e5 / step,
      };
      storeRow(store, BOOK_RUN.runId, { kind: "point", point });
    }
  }, POINTS_PER_COMMIT);
}
