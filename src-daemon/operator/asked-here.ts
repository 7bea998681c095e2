import { existsSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { plural } from "../../src-protocol/amounts.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { askedAnswer, goBackQuestion } from "../../src-protocol/go-back.ts";
import type { AskedOperator, GoBackQuestion, GoBackRequest } from "../../src-protocol/go-back.ts";
import { OPERATOR_FILE_NAME } from "../../src-protocol/operator.ts";
import { askDesk } from "./ask-desk.ts";

const LOOK_EVERY_MS = 5_000;

export interface AskedPorts {
  /** Of the orchestrator of the network that is served from this data folder, if one is. */
  readonly networkFolder: string;
  /** What it asks from now on; null: nothing, or none is served. */
  tell(asked: AskedOperator | null): void;
  /** Something worth a line for a person. */
  onNote(text: string): void;
}

/**
 * Whoever can read the data folder operates the network that is served from it: what that network asks its
 * operator is shown to them, and their answer carried back. One in another folder is asked about by `tah network`.
 */
export class AskedHere {
  readonly #ports: AskedPorts;
  #asked: AskedOperator | null = null;
  #timer: NodeJS.Timeout | null = null;
  #looks = 0;
  #stopped = false;

  constructor(ports: AskedPorts) {
    this.#ports = ports;
  }

  start(): void {
    void this.#look().finally(() => {
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
      onNote(
        `You have given up ${steps(given.lostSteps)}: your network goes on from step ${given.resumeStep}.`,
      );
      return given;
    } finally {
      // Done or refused: it is another question now, or none.
      await this.#look();
    }
  }

  get #isServed(): boolean {
    return existsSync(join(this.#ports.networkFolder, OPERATOR_FILE_NAME));
  }

  async #look(): Promise<void> {
    this.#looks += 1;
    const look = this.#looks;
    const asked = this.#isServed ? await this.#ask() : null;
    // What an earlier look has seen is old by now.
    if (this.#stopped || look !== this.#looks || isDeepStrictEqual(asked, this.#asked)) return;
    if (asked !== null && this.#asked === null)
      this.#ports.onNote(
        `${asked.network} waits for your decision: to go on from step ${asked.resumeStep}, ${steps(asked.lostSteps)} would be lost.`,
      );
    this.#asked = asked;
    this.#ports.tell(asked);
  }

  async #ask(): Promise<AskedOperator | null> {
    try {
      return (await askDesk(this.#ports.networkFolder, "/question", askedAnswer)).asked;
    } catch {
      // It has ended, or is of a version that asks in another way: `tah network status` says so.
      return null;
    }
  }
}

function steps(count: number): string {
  return plural(count, "step", "steps");
}
