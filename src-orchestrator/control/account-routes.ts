import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { OwnComputersAnswer } from "../../src-protocol/own-computers.ts";
import { bindRequest, challengeRequest } from "../../src-protocol/payout-consent.ts";
import { MOST_SINCE } from "../../src-protocol/settled-pay.ts";
import {
  acceptClaim,
  account,
  challenge,
  claimable,
  claimRequest,
  claimRows,
  consent,
  evidence,
  receiptRows,
  settledPay,
} from "../ledger/index.ts";
import type { ClaimOptions } from "../ledger/index.ts";
import { requester } from "./signed-requests.ts";
import type { Store } from "../stores/store.ts";

const ROWS_LIMIT = 1_000;

export interface AccountPorts {
  /** A claim was accepted: it is to be paid. */
  readonly onAccepted: () => void;
  /** It has another payout address. */
  readonly onBound: (hotkey: Ss58Address) => void;
  /** The computers of a hotkey's owner. */
  readonly computers: (hotkey: Ss58Address) => OwnComputersAnswer;
}

/** What belongs to a hotkey: every request is signed by it. */
export function accountRoutes(
  server: FastifyInstance,
  store: Store,
  options: ClaimOptions,
  ports: AccountPorts,
): void {
  // SECURITY: the signature is over the exact bytes received, so they are kept as they came.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

  /** Answers who signed the request; nobody gets further without a signature. */
  const signed =
    (answer: (hotkey: Ss58Address, request: FastifyRequest) => unknown) =>
    async (request: FastifyRequest): Promise<unknown> => {
      const { method, url, headers } = request;
      const received = { method, target: url, headers, body: bodyOf(request) };
      return await answer(await requester(store, received, options.now()), request);
    };

  server.get(
    "/v1/account",
    signed((hotkey) => account(store, hotkey, options)),
  );
  server.get(
    "/v1/account/receipts",
    signed((hotkey, request) => ({ receipts: receiptRows(store, hotkey, limitOf(request)) })),
  );
  server.get(
    "/v1/account/computers",
    signed((hotkey) => ports.computers(hotkey)),
  );
  server.get(
    "/v1/account/claimable",
    signed((hotkey) => claimable(store, hotkey, options)),
  );
  server.get(
    "/v1/account/evidence",
    signed((hotkey, request) => {
      const query = evidenceQuery.safeParse(request.query);
      if (!query.success)
        throw new Failure("bad-request", '"afterReceipt" and "afterStatement" are whole numbers.');
      return evidence(store, options.network, hotkey, query.data);
    }),
  );
  server.get(
    "/v1/account/settled",
    signed((hotkey, request) => settledPay(store, hotkey, sinceOf(request))),
  );
  server.get(
    "/v1/claims",
    signed((hotkey, request) => ({ claims: claimRows(store, hotkey, limitOf(request)) })),
  );
  server.post(
    "/v1/claims",
    signed(async (hotkey, request) => {
      const row = await acceptClaim(store, options, hotkey, readBody(bodyOf(request)));
      if (row.status === "accepted") ports.onAccepted();
      return row;
    }),
  );
  server.post(
    "/v1/payout/challenge",
    signed((hotkey, request) =>
      challenge(store, options, hotkey, readAs(challengeRequest, bodyOf(request)).payoutColdkey),
    ),
  );
  server.post(
    "/v1/payout",
    signed(async (hotkey, request) => {
      const answer = await consent(store, options, hotkey, readAs(bindRequest, bodyOf(request)));
      ports.onBound(hotkey);
      return answer;
    }),
  );
}

function bodyOf(request: FastifyRequest): Uint8Array {
  return request.body instanceof Uint8Array ? request.body : new Uint8Array();
}

/** SECURITY: whoever has signed it, a body may be anything. Throws `bad-request`. */
export function readBody(body: Uint8Array): z.infer<typeof claimRequest> {
  return readAs(claimRequest, body);
}

function readAs<Schema extends z.ZodType>(schema: Schema, body: Uint8Array): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  } catch {
    throw new Failure(
      "bad-request",
      "The request is not in the form that is expected here. Update the app, then try again.",
    );
  }
}

const after = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0);
const evidenceQuery = z.object({ afterReceipt: after, afterStatement: after });
const limitQuery = z.object({ limit: z.coerce.number().int().min(1).max(ROWS_LIMIT).default(100) });
const sinceQuery = z.object({ since: z.string().max(200).default("0") });
const moments = z
  .array(z.string().regex(/^\d{1,15}$/))
  .min(1)
  .max(MOST_SINCE);

function limitOf(request: FastifyRequest): number {
  const query = limitQuery.safeParse(request.query);
  if (!query.success) throw new Failure("bad-request", `"limit" is a whole number from 1 to ${ROWS_LIMIT}.`);
  return query.data.limit;
}

function sinceOf(request: FastifyRequest): number[] {
  const query = sinceQuery.safeParse(request.query);
  const read = moments.safeParse(query.success ? query.data.since.split(",") : []);
  if (!read.success)
    throw new Failure("bad-request", `"since" is a list of at most ${MOST_SINCE} moments, in milliseconds.`);
  return read.data.map(Number);
}
