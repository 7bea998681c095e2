import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { Failure, failureSchema } from "../../src-protocol/failure.ts";
import { OPERATOR_FILE_NAME, operatorFile } from "../../src-protocol/operator.ts";
import { payoutsAnswer, reportAnswer } from "../../src-protocol/payouts.ts";
import type { HeldReport, PaidReport, PayoutsAnswer } from "../../src-protocol/payouts.ts";

const ANSWER_MS = 10_000;

/** What a payer asks and tells the network that it pays for. */
export interface PayoutDesk {
  due(): Promise<PayoutsAnswer>;
  paid(report: PaidReport): Promise<void>;
  held(report: HeldReport): Promise<void>;
}

/** The operator's desk of the orchestrator with this folder, wherever it listens now. Each call rejects with `network-away` when it does not. */
export function deskOf(networkFolder: string): PayoutDesk {
  const ask = async <Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    body?: object,
  ): Promise<z.infer<Schema>> => {
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
  };
  return {
    due: () => ask("/payouts", payoutsAnswer),
    async paid(report) {
      await ask("/payouts/paid", reportAnswer, report);
    },
    async held(report) {
      await ask("/payouts/held", reportAnswer, report);
    },
  };
}
