import type { ServerOptions } from "node:https";
import websocket from "@fastify/websocket";
import Fastify from "fastify";
import type { FastifyError, FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { CONTROL_MESSAGE_LIMIT_BYTES } from "../src-protocol/control.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { NetworkCard } from "../src-protocol/network-card.ts";
import { channelOf, tokenIn } from "./access.ts";
import type { Access } from "./access.ts";
import { accountRoutes } from "./account-routes.ts";
import { blobRoutes } from "./blob-routes.ts";
import type { Blobs } from "./blobs.ts";
import type { ClaimOptions } from "./claim-rules.ts";
import { ControlSocket } from "./control-socket.ts";
import type { ControlPorts } from "./control-socket.ts";
import type { RunHost } from "./run-host.ts";
import { history } from "./run-store.ts";
import type { Store } from "./store.ts";
import type { TlsIdentity } from "./tls-identity.ts";
import { watchSocket } from "./watch-socket.ts";

export interface ServerPorts {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly host: RunHost;
  readonly control: ControlPorts;
  readonly claims: ClaimOptions;
  /** A stored blob that cannot be served. */
  readonly onCorrupt: (sha256: string) => void;
  /** Answer only requests that name this computer: nothing outside has a way to it. */
  readonly loopback: boolean;
  /** Null: plain, for this computer's own network. */
  readonly tls: TlsIdentity | null;
  readonly access: Access;
  /** What somebody is shown who thinks of joining. */
  readonly card: () => NetworkCard;
}

/** Of a TLS handshake, which costs this side more than a stranger. */
const HANDSHAKE_MS = 5_000;

const HISTORY_POINTS = 10_000;
/** 10,000 receipt ids and a claim. */
const BODY_LIMIT_BYTES = 1024 * 1024;
const HEALTH = "/healthz";
const LOOPBACK_HOSTS = new Set(["127.0.0.1", "localhost", "[::1]"]);

/** HTTP status of the codes that are not 400. */
const STATUS: Readonly<Record<string, number>> = {
  "not-signed": 401,
  "not-for-me": 401,
  "stale-request": 401,
  "bad-signature": 401,
  "replayed-request": 401,
  "not-a-node": 403,
  "not-a-holder": 403,
  "wrong-host": 403,
  "invitation-needed": 401,
  "invitation-unknown": 403,
  "invitation-revoked": 403,
  "invitation-expired": 403,
  "invitation-used-up": 403,
  "protocol-mismatch": 426,
  "not-found": 404,
  "blob-unknown": 404,
  "bad-range": 416,
  "length-required": 411,
  "too-many-uploads": 429,
  "blob-too-large": 413,
  "body-too-large": 413,
  "claim-id-used": 409,
  "claim-nonce-used": 409,
  "claim-receipt-claimed": 409,
  "blob-corrupt": 500,
  "disk-error": 500,
  "folder-full": 507,
  internal: 500,
};

export async function createServer(ports: ServerPorts): Promise<FastifyInstance> {
  const { tls, access } = ports;
  const options = { exposeHeadRoutes: false, bodyLimit: BODY_LIMIT_BYTES, forceCloseConnections: true };
  // Fastify's type of a TLS server is another one; it differs in nothing that is used here.
  const server =
    tls === null
      ? Fastify(options)
      : (Fastify({ ...options, https: tlsOptions(tls) }) as unknown as FastifyInstance);
  // A stranger that does not speak TLS: Node has closed its socket.
  server.server.on("tlsClientError", () => {});
  await server.register(websocket, { options: { maxPayload: CONTROL_MESSAGE_LIMIT_BYTES } });
  server.addHook("onRequest", async (request) => {
    checkSource(request, ports.loopback);
    if (request.url === HEALTH) return;
    // SECURITY: by the headers alone, before a body is read or a WebSocket made.
    const failure = access.refuse(request.headers);
    if (failure !== null) throw failure;
  });
  server.setErrorHandler(async (error: FastifyError, _request, reply) => {
    const failure = asFailure(error);
    return await reply.code(STATUS[failure.code] ?? 400).send(failure.body());
  });
  server.setNotFoundHandler(async (request) => {
    throw new Failure("not-found", `There is no ${request.method} ${request.url.slice(0, 200)} here.`);
  });

  const { store, host } = ports;
  server.get("/v1/network", (_request, reply) => reply.send(ports.card()));
  server.get(HEALTH, (_request, reply) => reply.send({ ok: true }));
  server.get("/v1/run", (_request, reply) => reply.send(host.view()));
  server.get("/v1/run/history", (request, reply) => {
    const query = z.object({ sinceStep: z.coerce.number().int().min(0).default(0) }).safeParse(request.query);
    if (!query.success) throw new Failure("bad-request", '"sinceStep" is a whole number, 0 or more.');
    reply.send({ points: history(store, host.run.runId, query.data.sinceStep, HISTORY_POINTS) });
  });
  server.get("/v1/control", { websocket: true }, (socket, request) => {
    const caller = { channel: channelOf(request.raw.socket), token: tokenIn(request.headers) };
    // Lives as long as its socket.
    void new ControlSocket(socket, ports.control, caller);
  });
  server.get("/v1/watch", { websocket: true }, (socket) => watchSocket(socket, host));
  await server.register(async (scope) => accountRoutes(scope, store, ports.claims));
  await server.register(async (scope) => blobRoutes(scope, ports.blobs, host, ports.onCorrupt));
  return server;
}

/** Every client is ours: no TLS before 1.3 is spoken, whose exporters bind less. */
function tlsOptions({ cert, key }: TlsIdentity): ServerOptions {
  return { cert, key, minVersion: "TLSv1.3", handshakeTimeout: HANDSHAKE_MS };
}

/** SECURITY: a web page in the user's browser can reach loopback; it cannot forge these two headers. */
function checkSource(request: FastifyRequest, loopback: boolean): void {
  const { host, origin } = request.headers;
  const name = (host ?? "").replace(/:\d+$/, "").toLowerCase();
  if (loopback && !LOOPBACK_HOSTS.has(name)) {
    throw new Failure(
      "wrong-host",
      "This orchestrator answers only requests for this computer by its loopback address.",
    );
  }
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    throw new Failure("wrong-host", "Web pages of other sites are not answered here.");
  }
}

function asFailure(error: FastifyError | Failure): Failure {
  if (error instanceof Failure) return error;
  if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE")
    return new Failure("body-too-large", "The request is larger than is allowed here.");
  if (error.statusCode !== undefined && error.statusCode < 500)
    return new Failure("bad-request", "The request is not in the form that is expected here.");
  // SECURITY: what went wrong inside is not told to strangers.
  return new Failure(
    "internal",
    "Something went wrong in the orchestrator. Try again; if it stays so, report it.",
    { cause: error },
  );
}
