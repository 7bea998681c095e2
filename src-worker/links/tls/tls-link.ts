import { connect, createServer } from "node:tls";
import type { TLSSocket } from "node:tls";
import type { LinkAddress } from "../../../src-protocol/control.ts";
import { Door } from "../../../src-protocol/door.ts";
import { Failure, failureBody } from "../../../src-protocol/failure.ts";
import { encodeGoodbye } from "../../../src-protocol/frame.ts";
import type { SessionKey } from "../../../src-protocol/keys.ts";
import type { SessionSigner } from "../../../src-protocol/signing.ts";
import type { Candidate } from "../candidate.ts";
import { FramedLink, GOODBYE_GRACE_MS } from "../framed-link.ts";
import { linkCertificate } from "./link-certificate.ts";
import { systemClock } from "../link-clock.ts";
import type { LinkClock } from "../link-clock.ts";
import { hearHello, sayHello } from "./link-greeting.ts";
import { SocketPipe } from "./link-socket-pipe.ts";
import { LINK_TIMING } from "../link.ts";
import type { Link, LinkTiming } from "../link.ts";
import type { LaneFolder, LaneHome } from "../lanes/lanes.ts";

/** How long a stranger may take from connecting to a verified hello. */
const GREETING_MS = 5_000;
/** More than one attacker keeps filled between a neighbour's first packet and its hello. */
const HALF_OPEN_LIMIT = 128;
/** Not limited: neighbours may share an address with a stranger, and a place is taken back from who has many. */
const CONNECTIONS_PER_SECOND = 1e9;

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port; `address` of the result says which. */
  readonly port: number;
  readonly signer: SessionSigner;
  /** The peer has proved `link.remoteKey`; whether it is welcome is the caller's to decide. */
  readonly onLink: (link: Link) => void;
  readonly laneFolder?: LaneFolder | null;
  readonly greetingMs?: number;
  readonly halfOpenLimit?: number;
  readonly clock?: LinkClock;
  readonly timing?: LinkTiming;
}

export interface LinkListener {
  readonly address: LinkAddress;
  /** Takes no more links. Those that are open stay. */
  close(): void;
}

/** Rejects with link-listen when the address cannot be used. */
export async function listenForLinks(options: ListenOptions): Promise<LinkListener> {
  const {
    clock = systemClock,
    timing = LINK_TIMING,
    greetingMs = GREETING_MS,
    halfOpenLimit = HALF_OPEN_LIMIT,
  } = options;
  const door = new Door({
    unproved: halfOpenLimit,
    unprovedOfAddress: halfOpenLimit,
    connectionsPerSecond: CONNECTIONS_PER_SECOND,
  });
  const server = createServer({ ...linkCertificate(), minVersion: "TLSv1.3", noDelay: true });
  server.on("connection", (socket) => {
    // SECURITY: a stranger may hold neither time nor many places: this bounds what unproved peers cost. A
    // neighbour that comes late finds one all the same: it is taken from whoever holds the most, longest.
    door.enter(socket);
    const cancel = clock.after(greetingMs, () => {
      if (door.holds(socket)) socket.destroy();
    });
    socket.once("close", cancel);
  });
  server.on("secureConnection", async (socket) => {
    socket.on("error", ignoreHere);
    try {
      const remoteKey = await hearHello(socket, "dialer");
      sayHello(socket, "listener", options.signer);
      door.proved(socket);
      const home = laneHome(options.laneFolder, options.signer);
      options.onLink(new FramedLink(remoteKey, new SocketPipe(socket), clock, timing, home));
    } catch (error) {
      refuse(socket, error, clock);
    }
  });
  // A stranger that does not speak TLS: Node has closed its socket.
  server.on("tlsClientError", ignoreHere);
  const address = await listening(server, options);
  return {
    address,
    close() {
      server.close();
      door.close();
    },
  };
}

export interface DialOptions {
  readonly address: LinkAddress;
  readonly signer: SessionSigner;
  /** Whom we mean to reach: anybody else is refused. */
  readonly expect: SessionKey;
  /** From dialling to a verified hello. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly laneFolder?: LaneFolder | null;
  readonly clock?: LinkClock;
  readonly timing?: LinkTiming;
}

/** Rejects with link-refused, link-timeout, link-identity or link-aborted. */
export async function dialLink(options: DialOptions): Promise<Link> {
  return await (await dialTls(options)).choose();
}

/** Reaches the address, and says who we are only when it is chosen. Rejects as `dialLink` does. */
export async function dialTls(options: DialOptions): Promise<Candidate> {
  const { address, timeoutMs, signal, clock = systemClock } = options;
  const where = `${address.host}:${address.port}`;
  const aborted = (): Failure =>
    new Failure("link-aborted", `Dialling ${where} was given up, because it is no longer needed.`);
  if (signal?.aborted === true) throw aborted();
  // SECURITY: no authority vouches for homes; the hello authenticates the peer (link-greeting.ts).
  const socket = connect({ ...address, rejectUnauthorized: false, minVersion: "TLSv1.3" });
  socket.setNoDelay(true);
  const cancel = clock.after(timeoutMs, () =>
    socket.destroy(
      new Failure(
        "link-timeout",
        `The peer at ${where} did not answer within ${timeoutMs} ms. It may be asleep or behind a firewall.`,
      ),
    ),
  );
  const abort = (): void => void socket.destroy(aborted());
  signal?.addEventListener("abort", abort);
  return await candidateOn(socket, where, options, () => {
    cancel();
    signal?.removeEventListener("abort", abort);
  });
}

/** A TLS client socket that is about to be secure, as a path to `expect`. `over` runs when it is decided. */
export async function candidateOn(
  socket: TLSSocket,
  where: string,
  {
    signer,
    expect,
    laneFolder,
    clock = systemClock,
    timing = LINK_TIMING,
  }: Omit<DialOptions, "address" | "timeoutMs">,
  over: () => void,
  through: "relay" | "nothing" = "nothing",
): Promise<Candidate> {
  socket.on("error", ignoreHere);
  const failed = (error: unknown): Failure => {
    over();
    const failure = asDialFailure(error, where);
    refuse(socket, failure, clock);
    return failure;
  };
  try {
    await secured(socket);
  } catch (error) {
    throw failed(error);
  }
  return {
    async choose() {
      try {
        sayHello(socket, "dialer", signer);
        const remoteKey = await hearHello(socket, "listener");
        if (remoteKey !== expect) {
          throw new Failure(
            "link-identity",
            `The peer at ${where} is ${remoteKey}, not ${expect}. The link was closed.`,
          );
        }
        over();
        const home = laneHome(laneFolder, signer);
        return new FramedLink(remoteKey, new SocketPipe(socket, through), clock, timing, home);
      } catch (error) {
        throw failed(error);
      }
    },
    drop() {
      over();
      socket.destroy();
    },
  };
}

function laneHome(folder: LaneFolder | null | undefined, { publicKey }: SessionSigner): LaneHome | null {
  return folder ? { folder, ownKey: publicKey } : null;
}

function asDialFailure(error: unknown, where: string): Failure {
  if (error instanceof Failure && error.code.startsWith("link-")) return error;
  const { message } = failureBody(error);
  return new Failure("link-refused", `No link to ${where}: ${message}`, { cause: error });
}

/** Tells the peer why, as far as it still listens, and drops it. */
export function refuse(socket: TLSSocket, error: unknown, clock: LinkClock): void {
  const { code, message } = failureBody(error);
  if (!socket.writable) return void socket.destroy();
  for (const piece of encodeGoodbye(`${code}: ${message}`)) socket.write(piece);
  // Read on and throw away: unread bytes would turn our end into a reset that takes the goodbye with it.
  socket.resume();
  socket.end();
  clock.after(GOODBYE_GRACE_MS, () => socket.destroy());
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("secureConnect", () => resolve());
    socket.once("error", reject);
    socket.once("close", () =>
      reject(new Failure("link-refused", "The peer closed the connection during the TLS handshake.")),
    );
  });
}

function listening(
  server: ReturnType<typeof createServer>,
  { host, port }: ListenOptions,
): Promise<LinkAddress> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new Failure(
          "link-listen",
          `This node cannot take links at ${host}:${port}: ${cause.message}. Choose another port or address.`,
          {
            cause,
          },
        ),
      ),
    );
    server.listen({ host, port }, () => {
      const bound = server.address();
      if (bound !== null && typeof bound === "object") resolve({ host: bound.address, port: bound.port });
    });
  });
}

/** The error also ends the read that waits for it, where it is told; without a listener it would end the process. */
function ignoreHere(): void {}
