import { fork } from "node:child_process";
import { childEnvironment } from "../../src-daemon/children/child.ts";
import { Failure, failureBody, failureSchema } from "../../src-protocol/failure.ts";

/**
 * Runs one case of a benchmark in a process of its own, set up as a worker is, and gives its answer.
 * What libraries write to stdout goes to stderr: stdout is the benchmark's answer.
 *
 * @throws Failure the child's own, or `bench-failed` when it ended without an answer
 */
export async function runCase<Answer>(script: string, request: object): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const child = fork(script, [JSON.stringify(request)], {
      env: childEnvironment(process.env, process.platform),
      stdio: ["ignore", process.stderr, process.stderr, "ipc"],
    });
    child.once("message", (message) => {
      const failure = failureSchema.safeParse(message);
      if (failure.success) reject(new Failure(failure.data.code, failure.data.message));
      else resolve(message as Answer);
    });
    child.once("error", reject);
    child.once("exit", (code, signal) =>
      reject(
        new Failure(
          "bench-failed",
          `The case ${JSON.stringify(request)} ended with ${code ?? signal} before it had a figure. ` +
            "The lines above say why.",
        ),
      ),
    );
  });
}

/** The child's side: works on the request that it was started with, and ends. */
export async function answerCase<Request, Answer extends object>(
  work: (request: Request) => Promise<Answer>,
): Promise<void> {
  // The benchmark was stopped: nobody wants the figures.
  process.on("disconnect", () => process.exit(1));
  let answer: object;
  try {
    answer = await work(JSON.parse(process.argv[2] ?? "{}") as Request);
  } catch (error) {
    answer = failureBody(error);
  }
  process.send?.(answer, () => process.exit(0));
}
