import { existsSync } from "node:fs";
import { z } from "zod";
import type { Home } from "./home.ts";
import { writePrivateFile } from "./private-file.ts";

const setUpFile = z.strictObject({ schema: z.literal("train-at-home/setup/v1"), at: z.int().nonnegative() });

/**
 * Whether the owner of a data folder has said yes. A folder that was used before there was a question
 * counts as such: whoever trains already is not asked whether to begin.
 */
export class SetUp {
  readonly #home: Home;
  #done: boolean;

  constructor(home: Home) {
    this.#home = home;
    this.#done = [home.setUpFile, home.network, home.networksFile].some((path) => existsSync(path));
  }

  get isDone(): boolean {
    return this.#done;
  }

  /** On disk before anything begins. Throws what writing throws, and nothing has begun then. */
  finish(at: number): void {
    if (this.#done) return;
    const file: z.infer<typeof setUpFile> = { schema: "train-at-home/setup/v1", at };
    writePrivateFile(this.#home.setUpFile, JSON.stringify(file));
    this.#done = true;
  }
}
