import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { Failure, failureBody, failureSchema } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { addressUrl } from "../../src-protocol/invitation.ts";
import type { Invitation } from "../../src-protocol/invitation.ts";
import { NETWORK_CARD_LIMIT_BYTES, parseNetworkCard } from "../../src-protocol/network-card.ts";
import type { NetworkCard } from "../../src-protocol/network-card.ts";
import { PinnedAgent } from "./pinned-agent.ts";
import { networkHeaders } from "./pinned-fetch.ts";

const ANSWER_MS = 10_000;

export interface ReachedNetwork {
  /** `https://host:port` of the address that answered. */
  readonly url: string;
  readonly card: NetworkCard;
}

/**
 * Asks a network who it is and what it asks for. Nothing is promised by that, and nothing but the
 * card is downloaded. All addresses are asked at once; the invitation's order decides among those that answer.
 *
 * Rejects with `network-unreachable`, `network-wrong-key`, `protocol-mismatch`, `network-strange`, or what the network says: `invitation-unknown`, `invitation-expired`,
 * `invitation-used-up`, `invitation-revoked`.
 *
 * @param hotkey whoever would join: one that came in before is let in again
 */
export async function reachNetwork(
  invitation: Invitation,
  hotkey: Ss58Address,
  signal?: AbortSignal,
): Promise<ReachedNetwork> {
  const agent = new PinnedAgent(invitation.keySha256);
  const limit = AbortSignal.any([AbortSignal.timeout(ANSWER_MS), ...(signal === undefined ? [] : [signal])]);
  try {
    const answers = await Promise.allSettled(
      invitation.addresses.map(async (address) => {
        const url = addressUrl(address);
        return { url, card: await readCard(url, agent, invitation, hotkey, limit) };
      }),
    );
    const reached = answers.find((answer) => answer.status === "fulfilled");
    if (reached !== undefined) return reached.value;
    throw worstOf(answers, invitation);
  } finally {
    agent.destroy();
  }
}

async function readCard(
  url: string,
  agent: PinnedAgent,
  access: Invitation,
  hotkey: Ss58Address,
  signal: AbortSignal,
): Promise<NetworkCard> {
  const headers = networkHeaders(access, hotkey);
  const response = await new Promise<IncomingMessage>((resolve, reject) =>
    request(new URL("/v1/network", url), { agent, headers, signal })
      .once("response", resolve)
      .once("error", reject)
      .end(),
  );
  const refusal = response.statusCode === 200 ? null : await refusalIn(response);
  if (refusal !== null) throw refusal;
  const card = parseNetworkCard(await readJson(response));
  if (card instanceof Failure) throw card;
  return card;
}

/** Why it was not let in, as a network says it in place of an answer; null: it says nothing that is known. */
export async function refusalIn(response: IncomingMessage): Promise<Failure | null> {
  const refusal = failureSchema.safeParse(await readJson(response).catch(() => null));
  return refusal.success ? new Failure(refusal.data.code, refusal.data.message) : null;
}

/** Null for what is too long or no JSON. */
async function readJson(response: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response) {
    bytes += piece.length;
    // Leaving the loop ends the connection.
    if (bytes > NETWORK_CARD_LIMIT_BYTES) return null;
    pieces.push(piece);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString());
  } catch {
    return null;
  }
}

/** What the network said goes before not having reached it elsewhere. */
function worstOf(answers: readonly PromiseSettledResult<unknown>[], { addresses }: Invitation): Failure {
  const reasons = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason] : []));
  const said = reasons.find((reason) => reason instanceof Failure);
  if (said instanceof Failure) return said;
  const tried = addresses
    .map(({ host, port }, index) => `${host}:${port} (${whyNot(reasons[index])})`)
    .join(", ");
  return new Failure(
    "network-unreachable",
    `The network's orchestrator does not answer: ${tried}. It may be switched off, or a firewall or router stands before it. Ask its operator, and check your own connection.`,
  );
}

function whyNot(reason: unknown): string {
  if (reason instanceof Error && (reason.name === "TimeoutError" || reason.name === "AbortError"))
    return `no answer in ${ANSWER_MS / 1000} s`;
  const code = reason instanceof Error && "code" in reason ? String(reason.code) : "";
  switch (code) {
    case "ECONNREFUSED":
      return "nothing listens there";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the name is not known";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no way there";
    default:
      return failureBody(reason).message;
  }
}
