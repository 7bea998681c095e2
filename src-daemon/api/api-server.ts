import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { API_SCOPES } from "../../src-protocol/api-scopes.ts";
import { LOGIN_MARK } from "../../src-protocol/browser-sign-in.ts";
import { Door } from "../../src-protocol/door.ts";
import type { DoorLimits } from "../../src-protocol/door.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { ApiCaller, ApiTokens } from "./api-tokens.ts";
import { serveClient } from "./api-connection.ts";
import type { ApiPorts } from "./api-connection.ts";
import { bundleFile, sendBundleFile } from "./bundle-files.ts";
import { greetBrowser } from "./browser-greeting.ts";
import { localServer } from "./local-socket.ts";
import { notSignedIn } from "./sign-in.ts";
import type { SignIn } from "./sign-in.ts";

// Not imported: an ES import reads every export, and one of them loads fetch's client.
const { createServer } = process.getBuiltinModule("node:http");

const HOST = "127.0.0.1";
/** The largest call is a set of rules: a few kilobytes. */
export const CALL_LIMIT_BYTES = 64 * 1024;
const CLIENTS = 64;
const PING_EVERY_MS = 15_000;

/** Of who has not said who they are; on this computer, many programs share the one address. */
const DOOR: DoorLimits = { unproved: 128, unprovedOfAddress: 128, connectionsPerSecond: 400 };
const OWNER_BY_SOCKET: ApiCaller = { who: "owner (local socket)", scopes: "owner" };
const OWNER_BY_TOKEN: ApiCaller = { who: "owner (this account's token)", scopes: "owner" };
/** SECURITY: what a page could be made to ask for must not open doors that stay open. */
const OWNER_IN_BROWSER: ApiCaller = { who: "owner (browser)", scopes: new Set(API_SCOPES) };

export interface ApiServerOptions extends Omit<ApiPorts, "caller"> {
  readonly signIn: SignIn;
  readonly tokens: ApiTokens;
  /** Folder of the dashboard's bundle. */
  readonly bundle: string;
  /** `exact`: this port or a `Failure`; `likely`: this port if it is free, else any. */
  readonly port: { readonly kind: "exact" | "likely"; readonly number: number };
  /** Where to listen besides, for who may open it; null: nowhere. */
  readonly socketPath: string | null;
}

export interface ApiServer {
  readonly url: string;
  readonly port: number;
  /** Null: it could not be opened, and the port alone is served. */
  readonly socketPath: string | null;
  /** An address that signs a browser in, once. */
  loginUrl(): string;
  /** Ends the sign-in of every browser, and their connections. */
  signOut(): void;
  /** Ends the connections that were opened with a token. */
  endToken(id: string): void;
  close(): Promise<void>;
}

/** The local API and the dashboard, for this computer only. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { signIn, tokens, bundle } = options;
  const limits = { requestTimeout: 15_000, headersTimeout: 10_000, keepAliveTimeout: 5_000 };
  const server = createServer(limits);
  server.maxConnections = 4 * CLIENTS;
  // SECURITY: who begins a request and does not end it takes no place of somebody honest.
  const door = new Door(DOOR);
  server.prependListener("connection", (socket) => door.enter(socket));
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: CALL_LIMIT_BYTES,
    // Compression costs memory for every client and saves nothing on loopback.
    perMessageDeflate: false,
  });
  const browsers = new Set<WebSocket>();
  const byToken = new Map<WebSocket, string>();
  const port = await listen(server, options.port);
  const hosts = [`${HOST}:${port}`, `localhost:${port}`];

  server.on("request", (request, response) => {
    for (const [name, value] of Object.entries(securityHeaders(hosts))) response.setHeader(name, value);
    const refusal = refuseOrigin(request, hosts);
    if (refusal !== null) refuse(response, refusal);
    else serveRequest(request, response, bundle);
  });
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => {});
    const refusal = refuseUpgrade(request, hosts, sockets.clients.size);
    if (refusal !== null) return refuseSocket(socket, refusal);
    const { authorization, origin } = request.headers;
    const token = tokens.callerOf(authorization);
    const isOwner = signIn.bearerHolds(authorization);
    // A program shows a token; a browser cannot, and always names its origin.
    if (token === null && !isOwner && (authorization !== undefined || origin === undefined))
      return refuseSocket(socket, { status: 403, text: notSignedIn().message });
    sockets.handleUpgrade(request, socket, head, (client) => {
      const serve = (caller: ApiCaller): void => {
        door.proved(request.socket);
        serveClient(client, { ...options, caller });
      };
      if (isOwner) return serve(OWNER_BY_TOKEN);
      if (token !== null) {
        byToken.set(client, token.id);
        client.once("close", () => byToken.delete(client));
        return serve(token);
      }
      browsers.add(client);
      client.once("close", () => browsers.delete(client));
      void greetBrowser(client, origin ?? "", signIn).then((isIn) => isIn && serve(OWNER_IN_BROWSER));
    });
  });
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });
  const local = await localServer(options.socketPath, limits, (request, socket, head) => {
    if (request.url !== "/rpc") return refuseSocket(socket, { status: 404, text: NOTHING });
    sockets.handleUpgrade(request, socket, head, (client) =>
      serveClient(client, { ...options, caller: OWNER_BY_SOCKET }),
    );
  });

  const ping = setInterval(() => dropTheDead(sockets.clients), PING_EVERY_MS).unref();
  const url = `http://${HOST}:${port}`;
  return {
    url,
    port,
    socketPath: local === null ? null : options.socketPath,
    loginUrl: () => `${url}/${LOGIN_MARK}${signIn.newLogin()}`,
    signOut() {
      signIn.signOut();
      for (const client of browsers) client.terminate();
    },
    endToken(id) {
      for (const [client, of] of byToken) if (of === id) client.terminate();
    },
    async close() {
      clearInterval(ping);
      // 1012: the service restarts. A dashboard waits for it and comes back.
      for (const client of sockets.clients) client.close(1012, "Train at Home has ended");
      const servers = local === null ? [server] : [server, local];
      const closed = servers.map((each) => new Promise<void>((resolve) => each.close(() => resolve())));
      for (const each of servers) each.closeIdleConnections();
      const force = setTimeout(() => {
        for (const client of sockets.clients) client.terminate();
        for (const each of servers) each.closeAllConnections();
      }, 300);
      await Promise.all(closed);
      clearTimeout(force);
    },
  };
}

interface Refusal {
  readonly status: 403 | 404 | 405 | 421 | 503;
  readonly text: string;
}

const FOREIGN = "Other sites may not use this address.";
const NOTHING = "There is nothing here.";
const NOT_BUILT = "The dashboard has not been built: run `npm run build`, then load this page again.";
/**
 * SECURITY: a page of another site reaches this port too. By DNS rebinding it has a foreign Host,
 * directly it has a foreign Origin.
 */
function refuseOrigin(request: IncomingMessage, hosts: readonly string[]): Refusal | null {
  const { host, origin } = request.headers;
  if (host === undefined || !hosts.includes(host))
    return { status: 421, text: "This address is not served here." };
  if (origin !== undefined && origin !== `http://${host}`) return { status: 403, text: FOREIGN };
  // An image or a script of another site comes without an origin, but says this; a link may lead here.
  const site = request.headers["sec-fetch-site"];
  if ((site === "cross-site" || site === "same-site") && request.headers["sec-fetch-mode"] !== "navigate")
    return { status: 403, text: FOREIGN };
  return null;
}

function refuseUpgrade(request: IncomingMessage, hosts: readonly string[], clients: number): Refusal | null {
  const foreign = refuseOrigin(request, hosts);
  if (foreign !== null) return foreign;
  if (request.url !== "/rpc") return { status: 404, text: NOTHING };
  if (clients >= CLIENTS) return { status: 503, text: "Too many clients are connected." };
  return null;
}

/** The dashboard's files hold nothing of anybody: what is the owner's comes over `/rpc`. */
function serveRequest(request: IncomingMessage, response: ServerResponse, bundle: string): void {
  if (request.method !== "GET" && request.method !== "HEAD")
    return refuse(response, { status: 405, text: "Only GET is answered here." });
  const target = request.url ?? "/";
  const mark = target.indexOf("?");
  // Taken as it was sent: a URL parser would have resolved `..` before anyone could refuse it.
  const path = mark < 0 ? target : target.slice(0, mark);
  const file = bundleFile(bundle, path);
  if (file === null) return refuse(response, { status: 404, text: path === "/" ? NOT_BUILT : NOTHING });
  return sendBundleFile(request, response, file, path);
}

function refuse(response: ServerResponse, { status, text }: Refusal): void {
  response
    .writeHead(status, { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" })
    .end(`${text}\n`);
}

function refuseSocket(socket: Duplex, { status, text }: Refusal): void {
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

function securityHeaders(hosts: readonly string[]): Record<string, string> {
  // Older engines do not count a WebSocket to the same host as 'self'.
  const sockets = hosts.map((host) => `ws://${host}`).join(" ");
  return {
    "Content-Security-Policy":
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
      `connect-src 'self' ${sockets}; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
  };
}

/** A client that has not answered the last ping is gone. */
function dropTheDead(clients: ReadonlySet<WebSocket>): void {
  for (const client of clients) {
    if (unanswered.has(client)) {
      client.terminate();
      continue;
    }
    unanswered.add(client);
    client.once("pong", () => unanswered.delete(client));
    client.ping();
  }
}
const unanswered = new WeakSet<WebSocket>();

async function listen(server: Server, port: ApiServerOptions["port"]): Promise<number> {
  try {
    return await listenOn(server, port.number);
  } catch (error) {
    if (port.kind === "likely" && port.number !== 0) return listenOn(server, 0);
    throw portFailure(port.number, error);
  }
}

function portFailure(port: number, error: unknown): Failure {
  const code = error instanceof Error && "code" in error ? error.code : null;
  const cause = { cause: error };
  if (code === "EADDRINUSE")
    return new Failure(
      "port-in-use",
      `Port ${port} is in use by another program. Choose another with --port, or leave it out.`,
      cause,
    );
  if (code === "EACCES")
    return new Failure(
      "port-no-permission",
      `You have no permission to use port ${port}. Choose one above 1023 with --port, or leave it out.`,
      cause,
    );
  return new Failure("port-unusable", `Port ${port} cannot be used (${String(code)}).`, cause);
}

function listenOn(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: HOST, port, exclusive: true }, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
