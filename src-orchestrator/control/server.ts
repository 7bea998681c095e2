import type { ServerOptions } from "node:https";
import type { Socket } from "node:net";
import websocket from "@fastify/websocket";
import Fastify from "fastify";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { NODE_MESSAGE_LIMIT_BYTES } from "../../src-protocol/control.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { NetworkCard } from "../../src-protocol/network-card.ts";
import { channelOf, tokenIn } from "./access.ts";
import type { Access } from "./access.ts";
import { MOST_STEPS } from "../../src-protocol/model.ts";
import { accountRoutes } from "./account-routes.ts";
import { ownComputers } from "./own-computers.ts";
import { blobRoutes } from "./blob-routes.ts";
import type { Blobs } from "../stores/blobs.ts";
import type { ClaimOptions } from "../ledger/index.ts";
import { ControlSocket } from "./control-socket.ts";
import { DoorList } from "./door-list.ts";
import type { ControlPorts } from "./control-socket.ts";
import type { RunHost } from "../runs/run-host.ts";
import { history } from "../stores/run-store.ts";
import { CURVE_PATH, lossCurve, PAGE_PATH, PAGE_POLICY, publicPage } from "./public-page.ts";
import { RunPages } from "./run-pages.ts";
import type { Store } from "../stores/store.ts";
import type { TlsIdentity } from "./tls-identity.ts";
import { Budget } from "../../src-protocol/budget.ts";
import { addressOf } from "../../src-protocol/door.ts";
import type { Door } from "../../src-protocol/door.ts";
import { SlowReaders } from "./slow-readers.ts";
import { Watchers } from "./watch-socket.ts";

const historyQuery = z.object({ sinceStep: z.coerce.number().int().min(0).max(MOST_STEPS).default(0) });

export interface ServerPorts {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly host: RunHost;
  readonly control: ControlPorts;
  readonly claims: ClaimOptions;
  /** A claim was accepted: it is to be paid. */
  readonly onAccepted: () => void;
  /** A stored blob that cannot be served. */
  readonly onCorrupt: (sha256: string) => void;
  /** Answer only requests that name this computer: nothing outside has a way to it. */
  readonly loopback: boolean;
  /** Null: plain, for this computer's own network. */
  readonly tls: TlsIdentity | null;
  readonly access: Access;
  /** What somebody is shown who thinks of joining. */
  readonly card: () => NetworkCard;
  /** Of the page for everybody; null: there is none. */
  readonly page: { readonly name: string; readonly operator: string } | null;
  readonly door: Door;
}

/** Of a TLS handshake, which costs this side more than a stranger. */
const HANDSHAKE_MS = 5_000;
/** Of an address: what is public costs work, too. */
const PUBLIC_REQUESTS = { perSecond: 100, burst: 400 };
const SIGNED_REQUESTS = { perSecond: 50, burst: 200 };
/** SECURITY: half a request holds a place and a file: it ends soon. A blob's body has its own rule (upload-body.ts). */
const HEADERS = { headersTimeout: 5_000, connectionsCheckingInterval: 1_000 };
const BODY_MS = 15_000;
const IDLE_MS = 10_000;
/** To read why it is refused. */
const GOODBYE_MS = 500;
/** 10,000 receipt ids and a claim. */
const BODY_LIMIT_BYTES = 1024 * 1024;
const HEALTH = "/healthz";
const BLOBS = "/v1/blobs/";
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
  "too-many-requests": 429,
  "upload-under-way": 429,
  "upload-gap": 409,
  "upload-stalled": 408,
  "upload-abandoned": 408,
  "blob-too-large": 413,
  "body-too-large": 413,
  "claim-id-used": 409,
  "claim-nonce-used": 409,
  "claim-receipt-claimed": 409,
  "consent-outdated": 409,
  "blob-corrupt": 500,
  "disk-error": 500,
  "folder-full": 507,
  internal: 500,
};

export async function createServer(ports: ServerPorts): Promise<FastifyInstance> {
  const { tls, access, door } = ports;
  const options = {
    exposeHeadRoutes: false,
    bodyLimit: BODY_LIMIT_BYTES,
    forceCloseConnections: true,
    keepAliveTimeout: IDLE_MS,
    // A blob takes as long as it takes.
    requestTimeout: 0,
  };
  // Fastify's type of a TLS server is another one; it differs in nothing that is used here.
  const server =
    tls === null
      ? Fastify({ ...options, http: HEADERS })
      : (Fastify({ ...options, https: tlsOptions(tls, door) }) as unknown as FastifyInstance);
  // A stranger that does not speak TLS: Node has closed its socket.
  server.server.on("tlsClientError", () => {});
  watchDoor(server.server, door, tls !== null);
  await server.register(websocket, {
    options: { maxPayload: NODE_MESSAGE_LIMIT_BYTES, perMessageDeflate: false },
    // Nodes come back by themselves; one that is read slowly would not answer a goodbye.
    preClose(done) {
      for (const client of this.websocketServer.clients) client.terminate();
      this.websocketServer.close();
      done();
    },
  });
  const slow = new SlowReaders();
  server.addHook("onRequest", async (request, reply) => {
    const { socket, headers } = request.raw;
    if (headers.upgrade === undefined) slow.watch(socket, reply.raw, request.url.startsWith(BLOBS));
    // The page is for everybody, and its curve to be shown on other sites. Neither tells more than `view`.
    if (ports.page !== null && isPublic(request.url)) return;
    checkSource(request, ports.loopback);
    if (request.url === HEALTH) return;
    // SECURITY: by the headers alone, before a body is read or a WebSocket made.
    const failure = access.refuse(request.headers);
    if (failure !== null) throw failure;
  });
  server.setErrorHandler(async (error: FastifyError, request, reply) => {
    const failure = asFailure(error);
    endUnreadBody(request, reply);
    return await reply.code(STATUS[failure.code] ?? 400).send(failure.body());
  });
  server.setNotFoundHandler(async (request) => {
    throw new Failure("not-found", `There is no ${request.method} ${request.url.slice(0, 200)} here.`);
  });

  const { store, host } = ports;
  const pages = new RunPages({
    view: () => host.view(),
    points: (sinceStep, limit) => history(store, host.run.runId, sinceStep, limit),
    block: () => host.block(),
  });
  const watchers = new Watchers(host, pages);
  const publicBudget = new Budget(PUBLIC_REQUESTS);
  const signedBudget = new Budget(SIGNED_REQUESTS);
  const limited = (budget: Budget) => async (request: FastifyRequest) => {
    if (!budget.take(addressOf(request.socket))) throw tooOften();
  };
  const json = (reply: FastifyReply, text: string): FastifyReply =>
    reply.header("content-type", "application/json; charset=utf-8").send(text);
  server.get("/v1/network", { onRequest: limited(publicBudget) }, (_request, reply) =>
    reply.send(ports.card()),
  );
  server.get(HEALTH, (_request, reply) => reply.send({ ok: true }));
  server.get("/v1/run", { onRequest: limited(publicBudget) }, (_request, reply) => json(reply, pages.view()));
  server.get("/v1/run/history", { onRequest: limited(publicBudget) }, async (request, reply) => {
    const query = historyQuery.safeParse(request.query);
    if (!query.success) throw new Failure("bad-request", '"sinceStep" is a whole number, 0 or more.');
    // What was finished before the question is in the answer.
    await store.settled("soon");
    return json(reply, pages.history(query.data.sinceStep));
  });
  if (ports.page !== null) publicRoutes(server, ports.page, ports, pages, limited(publicBudget));
  server.get("/v1/control", { websocket: true }, (socket, request) => {
    const caller = {
      channel: channelOf(request.raw.socket),
      token: tokenIn(request.headers),
      address: addressOf(request.socket),
      proved: () => door.proved(request.socket),
    };
    // Lives as long as its socket.
    void new ControlSocket(socket, ports.control, caller);
  });
  server.get("/v1/watch", { websocket: true }, (socket, request) => {
    if (watchers.serve(socket, addressOf(request.socket))) door.proved(request.socket);
  });
  await server.register(async (scope) => {
    scope.addHook("onRequest", limited(signedBudget));
    scope.addHook("onRequest", async (request) => endSlowBody(request));
    accountRoutes(scope, store, ports.claims, {
      onAccepted: ports.onAccepted,
      onBound: (hotkey) => host.bound(hotkey),
      computers: (hotkey) => ownComputers(store, host, hotkey),
    });
  });
  await server.register(async (scope) => blobRoutes(scope, ports.blobs, host, ports.onCorrupt));
  return server;
}

type OnRequest = (request: FastifyRequest) => Promise<void>;

function publicRoutes(
  server: FastifyInstance,
  names: { readonly name: string; readonly operator: string },
  { host }: ServerPorts,
  pages: RunPages,
  onRequest: OnRequest,
): void {
  const headers = { "cache-control": "public, max-age=5", "x-content-type-options": "nosniff" };
  server.get(PAGE_PATH, { onRequest }, (_request, reply) =>
    reply
      .headers({ ...headers, "content-security-policy": PAGE_POLICY, "referrer-policy": "no-referrer" })
      .type("text/html; charset=utf-8")
      .send(publicPage({ ...names, view: host.view(), points: pages.curve(), now: Date.now() })),
  );
  server.get(CURVE_PATH, { onRequest }, (_request, reply) =>
    reply
      .headers({
        ...headers,
        "content-security-policy": "default-src 'none'",
        "cross-origin-resource-policy": "cross-origin",
      })
      .type("image/svg+xml")
      .send(lossCurve(pages.curve())),
  );
}

function isPublic(url: string): boolean {
  const path = url.replace(/\?.*$/, "");
  return path === PAGE_PATH || path === CURVE_PATH;
}

/**
 * SECURITY: a connection that may not stay, or is gone already, costs no handshake and no line of HTTP.
 *
 * @param isListed who may not come in was refused by the server's list before there was a socket
 */
function watchDoor(server: FastifyInstance["server"], door: Door, isListed: boolean): void {
  const listeners = server.listeners("connection");
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    // Who has broken off has no address any more, and was on no list.
    if (socket.remoteAddress === undefined) return void socket.destroy();
    if (isListed) door.take(socket);
    else door.enter(socket);
    if (!socket.destroyed) for (const listener of listeners) listener.call(server, socket);
  });
}

/** Every client is ours: no TLS before 1.3 is spoken, whose exporters bind less. */
function tlsOptions({ cert, key }: TlsIdentity, door: Door): ServerOptions {
  const blockList = new DoorList(door);
  return { cert, key, minVersion: "TLSv1.3", handshakeTimeout: HANDSHAKE_MS, blockList, ...HEADERS };
}

function tooOften(): Failure {
  return new Failure(
    "too-many-requests",
    "This address asks more often than is answered here. Try again in a moment.",
  );
}

function endSlowBody({ raw }: FastifyRequest): void {
  const timer = setTimeout(() => raw.socket.destroy(), BODY_MS).unref();
  const done = (): void => clearTimeout(timer);
  raw.once("end", done);
  raw.once("close", done);
}

/** SECURITY: who is refused and goes on sending a body would hold the connection for as long as it likes. */
function endUnreadBody({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (raw.complete) return;
  reply.header("connection", "close");
  reply.raw.once("finish", () => {
    // What comes while it reads our answer is thrown away: unread, it would turn the end into a reset.
    raw.resume();
    setTimeout(() => raw.socket.destroy(), GOODBYE_MS).unref();
  });
}

/** SECURITY: a web page in the user's browser can reach loopback; it cannot forge these three headers. */
function checkSource(request: FastifyRequest, loopback: boolean): void {
  const { host, origin } = request.headers;
  const name = (host ?? "").replace(/:\d+$/, "").toLowerCase();
  if (loopback && !LOOPBACK_HOSTS.has(name)) {
    throw new Failure(
      "wrong-host",
      "This orchestrator answers only requests for this computer by its loopback address.",
    );
  }
  // An image or a script of another site comes without an origin, but says this.
  const site = request.headers["sec-fetch-site"];
  const isForeign = site === "cross-site" || site === "same-site";
  if (isForeign || (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)) {
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
