import { z } from "zod";
import { runView } from "./api.ts";
import { goBackQuestion } from "./go-back.ts";
import { sessionKey, ss58Address } from "./keys.ts";
import { linkCodecs } from "./link-codecs.ts";
import { LINK_KINDS, linkReport } from "./link-report.ts";
import { dealtSteps } from "./run-size.ts";

/**
 * What the operator of a network asks of the orchestrator that serves it: HTTP on this computer's
 * loopback, with a bearer token from a file that only the operator can read.
 */
export const OPERATOR_FILE_NAME = "operator.json";

export const operatorFile = z.object({ url: z.url(), token: z.string(), pid: z.int().positive() });
export type OperatorFile = z.infer<typeof operatorFile>;

const milliseconds = z.int().nonnegative();

export const invitationRow = z.strictObject({
  id: z.string(),
  /** How many owners it lets in, and how many it has. */
  uses: z.int().positive(),
  used: z.int().nonnegative(),
  createdAt: milliseconds,
  /** Unix seconds; null: never. */
  expiresAt: z.int().positive().nullable(),
  revokedAt: milliseconds.nullable(),
});
export type InvitationRow = z.infer<typeof invitationRow>;

/** `POST /invitations`. */
export const inviteRequest = z.strictObject({
  uses: z.int().min(1).max(1_000_000),
  /** From now; null: it does not expire. */
  expiresInSeconds: z
    .int()
    .min(1)
    .max(10 * 365 * 86_400)
    .nullable(),
});
export type InviteRequest = z.infer<typeof inviteRequest>;

/** `invitation`: the line itself, told once. */
export const inviteAnswer = z.strictObject({ ...invitationRow.shape, invitation: z.string() });
export type InviteAnswer = z.infer<typeof inviteAnswer>;

/** `GET /invitations`, newest first. */
export const invitationsAnswer = z.strictObject({
  invitations: z.array(z.strictObject({ ...invitationRow.shape, admitted: z.array(ss58Address) })),
});
export type InvitationsAnswer = z.infer<typeof invitationsAnswer>;

/** `POST /invitations/revoke`. `evict`: those who came in by it have to leave too. */
export const revokeRequest = z.strictObject({ id: z.string().max(64), evict: z.boolean() });
export const revokeAnswer = z.strictObject({ id: z.string(), evicted: z.array(ss58Address) });
export type RevokeAnswer = z.infer<typeof revokeAnswer>;

const node = z.strictObject({
  sessionKey,
  hotkey: ss58Address,
  /** Null: it is spare. */
  stage: z.int().nonnegative().nullable(),
  memoryBytes: z.int().positive(),
  /** Stored receipts of this computer since its worker started. */
  receipts: z.int().nonnegative(),
  links: z.array(linkReport),
  /** Whether others can dial it, in words; empty: yes, or not known yet. */
  reach: z.string(),
});

/** So many are told of, the newest first. */
export const MOST_PUT_ASIDE = 20;

/** A computer that shares a slice was put aside: nothing of it counted in the step. */
export const putAside = z.strictObject({
  hotkey: ss58Address,
  sessionKey,
  stage: z.int().nonnegative(),
  step: z.int().nonnegative(),
  /** Why, as its owner is told. */
  code: z.string().max(64),
  /** The last time, and how often in all for this reason. */
  at: milliseconds,
  times: z.int().positive(),
});
export type PutAside = z.infer<typeof putAside>;

/** `GET /status`. One owner may have several computers, each with its own receipts. */
export const operatorStatus = z.strictObject({
  network: z.string(),
  name: z.string(),
  operator: z.string(),
  open: z.boolean(),
  keySha256: z.string(),
  addresses: z.array(z.string()),
  run: runView,
  /** The run stands still until the operator says whether this much work is given up; left out: it does not. */
  question: goBackQuestion.optional(),
  /** How a step's sequences are dealt. */
  dealt: dealtSteps.optional(),
  /** How the values of its links travel; left out: as they are. */
  codecs: linkCodecs.optional(),
  owners: z.array(z.strictObject({ hotkey: ss58Address, nodes: z.array(node) })),
  /** Links in use by kind, each counted once. */
  links: z.record(z.enum(LINK_KINDS), z.int().nonnegative()),
  /** Since the orchestrator started; left out: nobody. */
  putAside: z.array(putAside).max(MOST_PUT_ASIDE).optional(),
});
export type OperatorStatus = z.infer<typeof operatorStatus>;

/** Of an open network: nobody needs more than this to come in. */
export const openInvitationAnswer = z.strictObject({ invitation: z.string() });
