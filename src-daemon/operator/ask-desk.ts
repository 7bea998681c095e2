import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { Failure, failureSchema } from "../../src-protocol/failure.ts";
import { OPERATOR_FILE_NAME, operatorFile } from "../../src-protocol/operator.ts";

const ANSWER_MS = 10_000;

/**
 * Asks the operator's desk of the orchestrator with this folder, wherever it listens now.
 *
 * @throws Failure `network-away` when it does not; the desk's own
 */
export async function askDesk<Schema extends z.ZodType>(
  networkFolder: string,
  path: string,
  schema: Schema,
  body?: object,
): Promise<z.infer<Schema>> {
  let response: Response;
  let answer: unknown;
  try {
    // Read anew each time: an orchestrator that was started again has another port and token.
    const file = readFileSync(join(networkFolder, OPERATOR_FILE_NAME), "utf8");
    const { url, token } = operatorFile.parse(JSON.parse(file));
    response = await fetch(new URL(path, url), {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) },
      signal: AbortSignal.timeout(ANSWER_MS),
      ...(body && { body: JSON.stringify(body) }),
    });
    answer = await response.json();
  } catch (error) {
    throw new Failure("network-away", "The network's orchestrator does not answer just now.", {
      cause: error,
    });
  }
  const refused = failureSchema.safeParse(answer);
  if (!response.ok && refused.success) throw new Failure(refused.data.code, refused.data.message);
  return schema.parse(answer);
}
