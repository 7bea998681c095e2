import { z } from "zod";
import { CONTROL_PROTOCOL, protocolAdvice } from "./control.ts";
import { Failure } from "./failure.ts";
import { networkPay } from "./payouts.ts";

/**
 * `GET /v1/network`, over TLS pinned to the invitation's key: what somebody is shown before saying
 * yes to a network. Keys that are not known here are left out: a newer side may say more.
 */

/** Headers of every request to a network that is not this computer's own. */
export const NETWORK_HEADERS = {
  /** The invitation's token. */
  token: "x-tah-invitation",
  /** Who asks: somebody who came in before is let in again, though the invitation is used up. */
  hotkey: "x-tah-hotkey",
  /** The asker's `CONTROL_PROTOCOL`. */
  protocol: "x-tah-protocol",
} as const;

/** More is nobody's card. */
export const NETWORK_CARD_LIMIT_BYTES = 64 * 1024;

/** All that two versions have to agree upon to find out that they agree on nothing else. */
const versionOnly = z.object({ protocol: z.int().positive() });

const count = z.int().nonnegative();

export const networkCard = z.object({
  /** The orchestrator's `CONTROL_PROTOCOL`. */
  protocol: z.int().positive(),
  /** What delegations, proofs and claims are made out to. */
  network: z.string().min(1).max(64),
  name: z.string().min(1).max(40),
  /** In the operator's own words; empty: not said. */
  operator: z.string().max(120),
  /** What is earned are test units, worth nothing outside. */
  testUnits: z.boolean(),
  /** What is paid on a real chain; left out: nothing is said of it. */
  pays: networkPay.optional(),
  /** Nobody needs an invitation. */
  open: z.boolean(),
  /** Live nodes now. */
  nodes: count,
  run: z.object({
    runId: z.string().min(1).max(64),
    name: z.string().min(1).max(120),
    /** For people: `Llama, 2.5 M parameters` is made of these. */
    model: z.enum(["llama", "onnx", "decoder"]),
    parameterCount: count,
    stages: z.int().positive(),
    phase: z.enum(["waiting", "forming", "training", "finished"]),
    /** Why it is in this phase, in words. */
    detail: z.string().max(2000),
    step: count,
    /** Null: it goes on for ever. */
    steps: z.int().positive().nullable(),
    /** Nats per token, of the newest step; null: none yet. */
    loss: z.number().nullable(),
    corpus: z.string().max(200),
  }),
  /** Of one computer, for the greediest stage. */
  asks: z.object({
    /** At first: the text, the model's file, a stage's newest checkpoint. */
    downloadBytes: count,
    /** The whole worker process while it trains. */
    memoryBytes: count,
    /** Up, and as many down, for one step. */
    bytesPerStep: count,
    /** Up and down each at the run's pace of now; null: it does not train just now. */
    megabitsPerSecond: z.number().nonnegative().nullable(),
  }),
});
export type NetworkCard = z.infer<typeof networkCard>;

/** The card that a network answered, or why it is none: `protocol-mismatch`, `network-strange`. */
export function parseNetworkCard(answer: unknown): NetworkCard | Failure {
  const version = versionOnly.safeParse(answer);
  if (version.success && version.data.protocol !== CONTROL_PROTOCOL)
    return new Failure("protocol-mismatch", protocolAdvice(version.data.protocol, "network"));
  const card = networkCard.safeParse(answer);
  return card.success
    ? card.data
    : new Failure(
        "network-strange",
        "What answers at the invitation's address does not describe a network as it should. Tell its operator.",
      );
}
