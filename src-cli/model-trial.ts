import { spawn } from "node:child_process";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";
import { trialMessage } from "../src-protocol/model-trial.ts";
import type { TrialMessage, TrialRequest, WriteRequest } from "../src-protocol/model-trial.ts";
import type { Sight } from "../src-protocol/model-trial.ts";

const TRIAL_SCRIPT = join(import.meta.dirname, "..", "src-worker", "trial", "trial-main.ts");

/** The model that a trial runs, and the sizes that it runs it with. */
export type TrialModel = WriteRequest["model"];

/**
 * What a model writes after each prompt.
 *
 * @throws Failure as `Scorer.open`, `trial-ended`; `interrupted` when `signal` says so
 */
export async function writtenBy(
  request: Omit<WriteRequest, "type">,
  options: { signal?: AbortSignal; onTokens?: (count: number) => void } = {},
): Promise<readonly (readonly number[])[]> {
  const answer = await asked({ type: "write", ...request }, options);
  if (answer.type === "written") return answer.texts;
  throw ended("it answered something else");
}

/** How a model looks at its text. Throws as `writtenBy`. */
export async function sightOf(model: TrialModel, signal?: AbortSignal): Promise<Sight> {
  const answer = await asked({ type: "look", model }, signal === undefined ? {} : { signal });
  if (answer.type === "looked") return answer.sight;
  throw ended("it answered something else");
}

type Answer = Exclude<TrialMessage, { type: "writing" | "failed" }>;

/** In a process of its own: ONNX Runtime is told before it loads to leave nothing on this computer. */
async function asked(
  request: TrialRequest,
  { signal, onTokens }: { signal?: AbortSignal; onTokens?: (count: number) => void },
): Promise<Answer> {
  const child = spawn(process.execPath, [TRIAL_SCRIPT], {
    env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const stop = (): void => void child.kill("SIGKILL");
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted === true) stop();
  let complaint = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  child.once("close", () => resolve());
  child.once("error", (error) => {
    complaint += error.message;
    resolve();
  });
  const answers: TrialMessage[] = [];
  child.on("message", (words) => {
    const message = trialMessage.parse(words);
    if (message.type === "writing") onTokens?.(message.tokens);
    else answers.push(message);
  });
  child.send(request, () => undefined);
  await closed;
  signal?.removeEventListener("abort", stop);
  const [answer] = answers;
  if (signal?.aborted === true) throw new Failure("interrupted", "Interrupted.");
  if (answer === undefined) throw ended(complaint.trim());
  if (answer.type === "failed") throw new Failure(answer.code, answer.message);
  if (answer.type === "writing") throw ended("it answered something else");
  return answer;
}

function ended(why: string): Failure {
  return new Failure(
    "trial-ended",
    `The process that runs the model ended before it had an answer; there may be too little memory. ${why}`.slice(
      0,
      2000,
    ),
  );
}
