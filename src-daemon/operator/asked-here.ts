import { existsSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { plural } from "../../src-protocol/amounts.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { askedAnswer, goBackQuestion } from "../../src-protocol/go-back.ts";
import type {
  AskedAnswer,
  AskedOperator,
  GoBackQuestion,
  GoBackRequest,
} from "../../src-protocol/go-back.ts";
import { OPERATOR_FILE_NAME } from "../../src-protocol/operator.ts";
import { questionNews } from "../../src-protocol/question-news.ts";
import type { ToldQuestion } from "../../src-protocol/question-news.ts";
import { askDesk } from "./ask-desk.ts";

const LOOK_EVERY_MS = 5_000;
/** One after another that got no answer: what was asked before them is asked still, for half a minute or more. */
const MOST_MISSED = 6;

export interface AskedPorts {
  /** Of the orchestrator of the network that is served from this data folder, if one is. */
  readonly networkFolder: string;
  /** What it asks from now on; null: nothing, or none is served. */
  tell(asked: AskedOperator | null): void;
  /** Something worth a line for a person. */
  onNote(text: string): void;
  now(): number;
}

/**
 * Whoever can read the data folder operates the network that is served from it: what that network asks its
 * operator is shown to them, and their answer carried back. One in another folder is asked about by `tah network`.
 */
export class AskedHere {
  readonly #ports: AskedPorts;
  #asked: AskedOperator | null = null;
  #noted: ToldQuestion | null = null;
  #missed = 0;
  #timer: NodeJS.Timeout | null = null;
  #looks = 0;
  #stopped = false;

  constructor(ports: AskedPorts) {
    this.#ports = ports;
  }

  start(): void {
    void this.look().finally(() => {
      if (!this.#stopped) this.#timer = setTimeout(() => this.start(), LOOK_EVERY_MS).unref();
    });
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /**
   * Gives up what comes after this step, and no more than was said to be lost.
   *
   * @throws Failure `network-not-served`, `network-away`, `nothing-asked`, `question-changed`
   */
  async goBack(request: GoBackRequest): Promise<GoBackQuestion> {
    if (!this.#isServed)
      throw new Failure(
        "network-not-served",
        "No network is served from this computer's data folder: there is nothing to decide here.",
      );
    const { networkFolder, onNote } = this.#ports;
    try {
      const given = await askDesk(networkFolder, "/go-back", goBackQuestion, request);
      // Should it stand still again, that is another time.
      this.#noted = null;
      onNote(
        `You have given up ${steps(given.lostSteps)}: your network goes on from step ${given.resumeStep}.`,
      );
      return given;
    } finally {
      // Done or refused: it is another question now, or none.
      await this.look();
    }
  }

  get #isServed(): boolean {
    return existsSync(join(this.#ports.networkFolder, OPERATOR_FILE_NAME));
  }

  /** Looks now; resolves when what was seen is told. */
  async look(): Promise<void> {
    this.#looks += 1;
    const look = this.#looks;
    const answer = this.#isServed ? await this.#ask() : { asked: null };
    // What an earlier look has seen is old by now.
    if (this.#stopped || look !== this.#looks) return;
    this.#missed = answer === null ? this.#missed + 1 : 0;
    if (answer === null && this.#missed < MOST_MISSED) return;
    const asked = answer?.asked ?? null;
    if (isDeepStrictEqual(asked, this.#asked)) return;
    const { told, isNews } = questionNews(this.#noted, asked, this.#ports.now());
    this.#noted = told;
    if (asked !== null && isNews)
      this.#ports.onNote(
        `${asked.network} waits for your decision: to go on from step ${asked.resumeStep}, ${steps(asked.lostSteps)} would be lost.`,
      );
    this.#asked = asked;
    this.#ports.tell(asked);
  }

  /** Null: no answer. It is late or is being started again; or it has ended, or is of a version that asks in another way. */
  async #ask(): Promise<AskedAnswer | null> {
    try {
      return await askDesk(this.#ports.networkFolder, "/question", askedAnswer);
    } catch {
      return null;
    }
  }
}

function steps(count: number): string {
  return plural(count, "step", "steps");
}
