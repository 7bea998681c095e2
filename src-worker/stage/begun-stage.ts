import { readFile, writeFile } from "node:fs/promises";
import { z } from "zod";
import { restorable } from "../../src-protocol/control.ts";
import type { Restorable } from "../../src-protocol/control.ts";

const begun = z.strictObject({ runId: restorable.shape.runId, stage: restorable.shape.stage });

/**
 * The stage that this node was given last, over restarts: what it has loaded of a model is of no use to it for
 * another one, so it asks for this one again.
 */
export class BegunStage {
  readonly #path: string;
  #stage: z.infer<typeof begun> | null;

  private constructor(path: string, stage: z.infer<typeof begun> | null) {
    this.#path = path;
    this.#stage = stage;
  }

  /** A file that cannot be read is as good as none. */
  static async open(path: string): Promise<BegunStage> {
    try {
      return new BegunStage(path, begun.parse(JSON.parse(await readFile(path, "utf8"))));
    } catch {
      return new BegunStage(path, null);
    }
  }

  note(runId: string, stage: number): void {
    if (this.#stage?.runId === runId && this.#stage.stage === stage) return;
    this.#stage = { runId, stage };
    // Without it, more is loaded than has to be, and nothing else is lost.
    writeFile(this.#path, JSON.stringify(this.#stage), { mode: 0o600 }).catch(() => undefined);
  }

  /** With what is known of stored states, for `hello`: nothing is stored of it yet. */
  beside(stored: readonly Restorable[]): Restorable[] {
    const own = this.#stage;
    if (own === null || stored.some(({ runId, stage }) => runId === own.runId && stage === own.stage))
      return [...stored];
    return [{ ...own, steps: [] }, ...stored];
  }
}
