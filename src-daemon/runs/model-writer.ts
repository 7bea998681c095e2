import { join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import type { MethodResult } from "../../src-protocol/methods.ts";
import { trialMessage } from "../../src-protocol/model-trial.ts";
import type { TrialMessage, TrialRequest } from "../../src-protocol/model-trial.ts";
import { startChild } from "../children/child.ts";
import type { Child } from "../children/child.ts";

const TRIAL_SCRIPT = join(import.meta.dirname, "..", "..", "src-worker", "trial", "trial-main.ts");
const BYTES = 160;
/** Of all texts together; a slow computer writes less. */
const WRITING_MS = 8_000;
/** Reading the weights and preparing the graph besides. */
const ANSWER_MS = 60_000;
/** A little livelier than the likeliest byte each time, which soon repeats itself. */
const TEMPERATURE = 0.7;

export interface ModelWriterPorts {
  /** Of the network that is computed on this computer alone; null: its slices are in other homes. */
  networkFolder(): string | null;
  onLine(line: string): void;
}

/** A few words of what the model of this computer's own network writes by now: one request at a time. */
export class ModelWriter {
  readonly #ports: ModelWriterPorts;
  #child: Child | null = null;

  constructor(ports: ModelWriterPorts) {
    this.#ports = ports;
  }

  /** @throws Failure `slices-elsewhere`, `already-writing`, `trial-ended`; as the trial's own */
  async write(prompt: string, seed: number): Promise<MethodResult<"model.write">> {
    const networkFolder = this.#ports.networkFolder();
    if (networkFolder === null)
      throw new Failure(
        "slices-elsewhere",
        "The model's slices are in several homes, and this computer has one of them: what it writes can be seen where all of them are.",
      );
    if (this.#child !== null)
      throw new Failure("already-writing", "It is writing just now. Ask again in a few seconds.");
    const answer = await this.#ask({
      type: "write-run",
      networkFolder,
      prompts: [prompt],
      bytes: BYTES,
      temperature: TEMPERATURE,
      seed,
      mostMs: WRITING_MS,
    });
    if (answer.type === "failed") throw new Failure(answer.code, answer.message);
    if (answer.type !== "written-run") throw ended();
    return { step: answer.step, prompt, text: answer.texts[0] ?? "" };
  }

  stop(): void {
    this.#child?.kill("SIGKILL");
  }

  #ask(request: TrialRequest): Promise<TrialMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<TrialMessage>();
    const child = startChild(TRIAL_SCRIPT, {
      onLine: (line) => this.#ports.onLine(line),
      onMessage(message) {
        const parsed = trialMessage.safeParse(message);
        if (parsed.success && parsed.data.type !== "writing") resolve(parsed.data);
      },
      onExit: () => {
        clearTimeout(timer);
        this.#child = null;
        reject(ended());
      },
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), ANSWER_MS);
    this.#child = child;
    child.send(request);
    return promise;
  }
}

function ended(): Failure {
  return new Failure(
    "trial-ended",
    "The process that runs the model ended before it had written anything; there may be too little memory.",
  );
}
