import { randomBytes, timingSafeEqual } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { plural } from "../../src-protocol/amounts.ts";
import type { ServedNetwork } from "../../src-protocol/daemon-ipc.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { addressUrl, formatInvitation } from "../../src-protocol/invitation.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { AuditReport } from "../../src-protocol/ledger-audit.ts";
import { heldReport, paidReport } from "../../src-protocol/payouts.ts";
import type { PayoutsAnswer } from "../../src-protocol/payouts.ts";
import {
  auditLedger,
  checkSettlement,
  dueClaims,
  hold,
  noteAttempt,
  payoutAttempts,
  payoutFeesRao,
  settle,
} from "../ledger/index.ts";
import { goBackRequest } from "../../src-protocol/go-back.ts";
import type { AskedAnswer, GoBackQuestion } from "../../src-protocol/go-back.ts";
import { inviteRequest, OPERATOR_FILE_NAME, revokeRequest } from "../../src-protocol/operator.ts";
import type {
  InvitationsAnswer,
  InviteAnswer,
  InviteRequest,
  OperatorFile,
  OperatorStatus,
  RevokeAnswer,
} from "../../src-protocol/operator.ts";
import type { Invitations } from "./invitations.ts";
import { operatorStatus } from "./operator-status.ts";
import type { RunHost } from "../runs/run-host.ts";
import { storageFailure } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";

export interface DeskPorts {
  /** Null: it serves this computer alone. */
  readonly served:
    | (ServedNetwork & {
        readonly keySha256: string;
        /** That nodes connect to. */
        readonly port: number;
      })
    | null;
  readonly network: string;
  readonly invitations: Invitations;
  readonly host: RunHost;
  readonly store: Store;
  /** The computers of these owners have to leave. */
  readonly evict: (hotkeys: readonly Ss58Address[]) => void;
  readonly now: () => number;
}

const ledgerQuery = z.object({ signatures: z.enum(["true", "false"]).default("false") });
const BODY_LIMIT_BYTES = 4 * 1024;
/** What a payer is told at once; the rest when those are paid. */
const MOST_DUE = 500;
const ATTEMPTS_SHOWN = 50;

/** What the operator asks for: on loopback, by who can read `operator.json` in the data folder. */
export class OperatorDesk {
  readonly #server: FastifyInstance;
  readonly #file: string;

  private constructor(server: FastifyInstance, file: string) {
    this.#server = server;
    this.#file = file;
  }

  /** @throws Failure of the folder */
  static async open(folder: string, ports: DeskPorts): Promise<OperatorDesk> {
    const token = randomBytes(32).toString("hex");
    const server = Fastify({ bodyLimit: BODY_LIMIT_BYTES, forceCloseConnections: true });
    routes(server, token, ports);
    const url = await server.listen({ host: "127.0.0.1", port: 0 });
    const file = join(folder, OPERATOR_FILE_NAME);
    try {
      writePrivate(file, JSON.stringify({ url, token, pid: process.pid } satisfies OperatorFile));
    } catch (error) {
      await server.close();
      throw storageFailure(error, file);
    }
    return new OperatorDesk(server, file);
  }

  async close(): Promise<void> {
    rmSync(this.#file, { force: true });
    await this.#server.close();
  }
}

function routes(server: FastifyInstance, token: string, ports: DeskPorts): void {
  const { served, store } = ports;
  server.addHook("onRequest", async ({ headers }) => {
    // SECURITY: a web page can reach loopback, and knows no token.
    if (!isBearer(headers.authorization, token))
      throw new Failure("not-the-operator", "Only this network's operator is answered here.");
  });
  server.setErrorHandler(async (error, _request, reply) => {
    const failure =
      error instanceof Failure
        ? error
        : new Failure("internal", `Something went wrong in the orchestrator: ${String(error)}`);
    return await reply.code(failure.code === "not-the-operator" ? 401 : 400).send(failure.body());
  });

  server.get("/ledger", ({ query }): AuditReport => {
    store.flush();
    const { signatures } = read(ledgerQuery, query);
    return auditLedger(store, { signatures: signatures === "true" });
  });
  if (served === null) server.setNotFoundHandler(() => Promise.reject(notServed()));
  else servedRoutes(server, { ...ports, served });
}

function notServed(): Failure {
  return new Failure(
    "network-not-served",
    "The network of this data folder serves this computer alone. Start one for others with `tah network serve`.",
  );
}

function servedRoutes(
  server: FastifyInstance,
  ports: DeskPorts & { readonly served: NonNullable<DeskPorts["served"]> },
): void {
  const { served, network, invitations, host, store, evict, now } = ports;
  const { keySha256, port } = served;
  const addresses = served.addresses.map((address) => ({ ...address, port: address.port ?? port }));
  const line = (secret: string | null, expiresAt: number | null): string =>
    formatInvitation({ keySha256, token: secret, addresses, expiresAt, name: served.name });

  server.get("/status", (): OperatorStatus => {
    const { name, operator, open } = served;
    const where = addresses.map((address) => addressUrl(address).replace("https://", ""));
    return operatorStatus({ network, name, operator, open, keySha256, addresses: where }, host, store);
  });
  server.get("/question", (): AskedAnswer => {
    const question = host.question();
    return {
      asked: question === null ? null : { id: keySha256.slice(0, 16), network: served.name, ...question },
    };
  });
  server.post("/go-back", ({ body }): GoBackQuestion => {
    const { resumeStep, lostSteps } = read(goBackRequest, body);
    const question = host.question();
    if (question === null)
      throw new Failure(
        "nothing-asked",
        "The run loses nothing and waits for no decision: nothing was changed.",
      );
    if (question.resumeStep < resumeStep || question.lostSteps > lostSteps)
      throw new Failure(
        "question-changed",
        `By now the run would go back to step ${question.resumeStep} and lose ${plural(question.lostSteps, "step", "steps")}: nothing was changed. Look at what would be lost, and decide again.`,
      );
    host.dispatch({ type: "goBack", resumeStep });
    return question;
  });
  server.get("/payouts", (): PayoutsAnswer => {
    store.flush();
    const pays = served.pays ?? null;
    const due = pays === null ? [] : dueClaims(store, MOST_DUE);
    return {
      pays,
      due: due.map((claim) => Object.assign({}, claim, { amountRao: String(claim.amountRao) })),
      attempts: payoutAttempts(store, ATTEMPTS_SHOWN),
      feesRao: String(payoutFeesRao(store)),
    };
  });
  server.post("/payouts/paid", async ({ body }) => {
    const { claimId, block, blockHash, extrinsic, creditedRao, feeRao } = read(paidReport, body);
    const credited = BigInt(creditedRao);
    if (served.pays === undefined) throw testUnitsOnly();
    checkSettlement(store, claimId, credited);
    const isNews = await settle(
      store,
      claimId,
      { block, blockHash, extrinsic, creditedRao: credited },
      now(),
    );
    if (isNews)
      await noteAttempt(store, { claimId, at: now(), extrinsic, outcome: "paid", detail: null, feeRao });
    return { claimId };
  });
  server.post("/payouts/held", async ({ body }) => {
    const { claimId, reason, attempt } = read(heldReport, body);
    await hold(store, claimId, reason);
    if (attempt !== null)
      await noteAttempt(store, {
        claimId,
        at: now(),
        extrinsic: attempt.extrinsic,
        outcome: "waits",
        detail: reason,
        feeRao: attempt.feeRao,
      });
    return { claimId };
  });
  server.get("/invitations", (): InvitationsAnswer => ({
    invitations: invitations
      .list()
      .map((row) => Object.assign({}, row, { admitted: invitations.admittedBy(row.id) })),
  }));
  server.post("/invitations", async ({ body }): Promise<InviteAnswer> => {
    const { uses, expiresInSeconds }: InviteRequest = read(inviteRequest, body);
    const expiresAt = expiresInSeconds === null ? null : Math.floor(now() / 1000) + expiresInSeconds;
    const { row, token: secret } = await invitations.create(uses, expiresAt);
    return { ...row, invitation: line(secret, expiresAt) };
  });
  server.get("/invitations/open", () => {
    if (!served.open)
      throw new Failure(
        "not-open",
        "This network is not open: make an invitation with `tah network invite`.",
      );
    return { invitation: line(null, null) };
  });
  server.post("/invitations/revoke", async ({ body }): Promise<RevokeAnswer> => {
    const wanted = read(revokeRequest, body);
    const evicted = await invitations.revoke(wanted.id, wanted.evict);
    evict(evicted);
    return { id: wanted.id, evicted: [...evicted] };
  });
}

function testUnitsOnly(): Failure {
  return new Failure("test-units", "This network pays test units, in its own book.");
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Failure(
    "bad-request",
    `${issue?.path.join(".") ?? "The request"}: ${issue?.message ?? "unknown form"}.`,
  );
}

function isBearer(header: string | undefined, token: string): boolean {
  const given = Buffer.from(header ?? "");
  const right = Buffer.from(`Bearer ${token}`);
  return given.length === right.length && timingSafeEqual(given, right);
}

function writePrivate(path: string, text: string): void {
  const partly = `${path}.${process.pid}`;
  writeFileSync(partly, text, { mode: 0o600 });
  renameSync(partly, path);
}
