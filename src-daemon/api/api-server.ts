import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { Failure } from "../../src-protocol/failure.ts";
import { serveClient } from "./api-connection.ts";
import type { ApiPorts } from "./api-connection.ts";
import { bundleFile, sendBundleFile } from "./bundle-files.ts";
import type { SignIn } from "./sign-in.ts";

const HOST = "127.0.0.1";
/** The largest call is a set of rules: a few kilobytes. */
export const CALL_LIMIT_BYTES = 64 * 1024;
const CLIENTS = 64;
const PING_EVERY_MS = 15_000;

export interface ApiServerOptions extends ApiPorts {
  readonly signIn: SignIn;
  /** Folder of the dashboard's bundle. */
  readonly bundle: string;
  /** `exact`: this port or a `Failure`; `likely`: this port if it is free, else any. */
  readonly port: { readonly kind: "exact" | "likely"; readonly number: number };
}

export interface ApiServer {
  readonly url: string;
  readonly port: number;
  /** An address that signs a browser in, once. */
  loginUrl(): string;
  /** Ends the sign-in of every browser, and their connections. */
  signOut(): void;
  close(): Promise<void>;
}

/** The local API and the dashboard, for this computer only. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { signIn, bundle } = options;
  const server = createServer({ requestTimeout: 15_000, headersTimeout: 10_000 });
  server.maxConnections = 4 * CLIENTS;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: CALL_LIMIT_BYTES,
    // Compression costs memory for every client and saves nothing on loopback.
    perMessageDeflate: false,
  });
  /** Clients that came with a cookie. */
  const browsers = new Set<WebSocket>();
  const port = await listen(server, options.port);
  const hosts = [`${HOST}:${port}`, `localhost:${port}`];

  server.on("request", (request, response) => {
    for (const [name, value] of Object.entries(securityHeaders(hosts))) response.setHeader(name, value);
    const refusal = refuseOrigin(request, hosts);
    if (refusal !== null) refuse(response, refusal);
    else serveRequest(request, response, signIn, bundle);
  });
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => {});
    const refusal = refuseUpgrade(request, hosts, signIn, sockets.clients.size);
    if (refusal !== null) refuseSocket(socket, refusal);
    else
      sockets.handleUpgrade(request, socket, head, (client) => {
        if (!signIn.bearerHolds(request.headers.authorization)) browsers.add(client);
        client.once("close", () => browsers.delete(client));
        serveClient(client, options);
      });
  });
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });

  const ping = setInterval(() => dropTheDead(sockets.clients), PING_EVERY_MS).unref();
  const url = `http://${HOST}:${port}`;
  return {
    url,
    port,
    loginUrl: () => `${url}/login?token=${signIn.newLogin()}`,
    signOut() {
      signIn.signOut();
      for (const client of browsers) client.terminate();
    },
    async close() {
      clearInterval(ping);
      // 1012: the service restarts. A dashboard waits for it and comes back.
      for (const client of sockets.clients) client.close(1012, "Train at Home has ended");
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const force = setTimeout(() => {
        for (const client of sockets.clients) client.terminate();
        server.closeAllConnections();
      }, 300);
      await closed;
      clearTimeout(force);
    },
  };
}

interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 405 | 421 | 503;
  readonly text: string;
}

const NOTHING = "There is nothing here.";
const NOT_BUILT = "The dashboard has not been built: run `npm run build`, then load this page again.";
const SIGN_IN_AGAIN =
  "Please sign in: run `npm run tah open` where you started Train at Home, and open the address that it prints.";

/**
 * SECURITY: a page of another site reaches this port too. By DNS rebinding it has a foreign Host,
 * directly it has a foreign Origin.
 */
function refuseOrigin(request: IncomingMessage, hosts: readonly string[]): Refusal | null {
  const { host, origin } = request.headers;
  if (host === undefined || !hosts.includes(host))
    return { status: 421, text: "This address is not served here." };
  if (origin !== undefined && origin !== `http://${host}`)
    return { status: 403, text: "Other sites may not use this address." };
  return null;
}

function refuseUpgrade(
  request: IncomingMessage,
  hosts: readonly string[],
  signIn: SignIn,
  clients: number,
): Refusal | null {
  const foreign = refuseOrigin(request, hosts);
  if (foreign !== null) return foreign;
  if (request.url !== "/rpc") return { status: 404, text: NOTHING };
  // A browser always names its origin; a cookie without one is not a browser's.
  const browser = request.headers.origin !== undefined && signIn.cookieHolds(request.headers.cookie);
  if (!browser && !signIn.bearerHolds(request.headers.authorization))
    return { status: 403, text: SIGN_IN_AGAIN };
  if (clients >= CLIENTS) return { status: 503, text: "Too many clients are connected." };
  return null;
}

function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  signIn: SignIn,
  bundle: string,
): void {
  if (request.method !== "GET" && request.method !== "HEAD")
    return refuse(response, { status: 405, text: "Only GET is answered here." });
  const target = request.url ?? "/";
  const mark = target.indexOf("?");
  // Taken as it was sent: a URL parser would have resolved `..` before anyone could refuse it.
  const path = mark < 0 ? target : target.slice(0, mark);
  const signedIn = signIn.cookieHolds(request.headers.cookie);

  if (path === "/login") {
    const token = new URLSearchParams(mark < 0 ? "" : target.slice(mark)).get("token") ?? "";
    // HEAD is what link previews send: it must not use the token up.
    if (request.method === "GET" && signIn.redeem(token)) {
      response.setHeader("Set-Cookie", signIn.newCookie());
      return redirectHome(response);
    }
    // The same tab again, its token used: it is signed in already.
    if (signedIn) return redirectHome(response);
    return refuse(response, { status: 403, text: `This address was used before. ${SIGN_IN_AGAIN}` });
  }
  if (!signedIn) return refuse(response, { status: 401, text: SIGN_IN_AGAIN });
  const file = bundleFile(bundle, path);
  if (file === null) return refuse(response, { status: 404, text: path === "/" ? NOT_BUILT : NOTHING });
  return sendBundleFile(request, response, file, path);
}

function redirectHome(response: ServerResponse): void {
  response.writeHead(303, { Location: "/", "Cache-Control": "no-store" }).end();
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
