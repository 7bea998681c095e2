import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { NETWORK_FOLDER_NAME } from "../src-protocol/data-folder.ts";
import { Failure, failureSchema } from "../src-protocol/failure.ts";
import { goBackQuestion } from "../src-protocol/go-back.ts";
import type { GoBackRequest } from "../src-protocol/go-back.ts";
import { auditReport } from "../src-protocol/ledger-audit.ts";
import {
  invitationsAnswer,
  inviteAnswer,
  openInvitationAnswer,
  operatorFile,
  OPERATOR_FILE_NAME,
  operatorStatus,
  revokeAnswer,
} from "../src-protocol/operator.ts";
import { payoutsAnswer } from "../src-protocol/payouts.ts";
import type { InviteRequest, OperatorFile } from "../src-protocol/operator.ts";

const ANSWER_MS = 10_000;
/** Of a whole ledger. */
const AUDIT_MS = 600_000;

/** What an operator asks of the network that runs with a data folder. */
export class OperatorClient {
  readonly #file: OperatorFile;

  private constructor(file: OperatorFile) {
    this.#file = file;
  }

  /** @param home the data folder of `tah network serve`. @throws Failure `network-not-served` */
  static of(home: string): OperatorClient {
    try {
      const path = join(home, NETWORK_FOLDER_NAME, OPERATOR_FILE_NAME);
      return new OperatorClient(operatorFile.parse(JSON.parse(readFileSync(path, "utf8"))));
    } catch (error) {
      throw notServed(home, error);
    }
  }

  status() {
    return this.#ask("/status", operatorStatus);
  }

  ledger(signatures: boolean) {
    return this.#ask(`/ledger?signatures=${signatures}`, auditReport, undefined, AUDIT_MS);
  }

  payouts() {
    return this.#ask("/payouts", payoutsAnswer);
  }

  invitations() {
    return this.#ask("/invitations", invitationsAnswer);
  }

  invite(request: InviteRequest) {
    return this.#ask("/invitations", inviteAnswer, request);
  }

  openInvitation() {
    return this.#ask("/invitations/open", openInvitationAnswer);
  }

  revoke(id: string, evict: boolean) {
    return this.#ask("/invitations/revoke", revokeAnswer, { id, evict });
  }

  goBack({ resumeStep, lostSteps }: GoBackRequest) {
    return this.#ask("/go-back", goBackQuestion, { resumeStep, lostSteps });
  }

  async #ask<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    body?: object,
    answerMs = ANSWER_MS,
  ): Promise<z.infer<Schema>> {
    const { url, token } = this.#file;
    let response: Response;
    let answer: unknown;
    try {
      response = await fetch(new URL(path, url), {
        method: body === undefined ? "GET" : "POST",
        headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) },
        signal: AbortSignal.timeout(answerMs),
        ...(body && { body: JSON.stringify(body) }),
      });
      answer = await response.json();
    } catch (error) {
      // Nobody there, or a stranger on that port: the file is left over from a killed network.
      throw notServed(url, error);
    }
    const refused = failureSchema.safeParse(answer);
    if (!response.ok && refused.success) throw new Failure(refused.data.code, refused.data.message);
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new Failure(
      "network-other-version",
      "The network that runs answers in a form that this version does not know. Stop it and start it again.",
    );
  }
}

function notServed(where: string, cause: unknown): Failure {
  return new Failure(
    "network-not-served",
    `No network is served from ${where}. Start it with \`tah network serve\`, and name its data folder with --home if it is not the usual one.`,
    { cause },
  );
}
