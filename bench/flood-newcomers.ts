import https from "node:https";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { Failure } from "../src-protocol/failure.ts";
import { parseInvitation } from "../src-protocol/invitation.ts";
import type { Invitation } from "../src-protocol/invitation.ts";
import { PINNED_AGENT, PINNED_TLS, whenPinned } from "../src-protocol/pinned-key.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";
import { delegate, hotkey } from "../src-orchestrator/test-support/keys.test-support.ts";
import { Control } from "../src-worker/control/control.ts";
import { OrchestratorRoute } from "../src-worker/control/orchestrator-route.ts";
import { median } from "./median.ts";

/** As a person has it before they are told that the network does not answer. */
const ANSWER_MS = 10_000;
const EVERY_MS = 1_000;
/** Of hotkeys, beyond those of the run's own nodes. */
const FIRST_HOTKEY = 20;

/** Somebody new each second, by an invitation, from an address of their own. */
export interface Newcomers {
  readonly came: number;
  readonly joined: number;
  /** From the first packet until the network's welcome, its card read on the way; of those that joined. */
  readonly medianMs: number | null;
  readonly worstMs: number | null;
}

/** @param isOver looked at before each of them comes; all that came have their time */
export async function newcomers(
  url: string,
  line: string,
  withinMs: number,
  isOver: () => boolean,
): Promise<Newcomers> {
  const invitation = parseInvitation(line, Date.now());
  if (invitation instanceof Failure) throw invitation;
  const all: Promise<number | null>[] = [];
  while (!isOver()) {
    all.push(join(url, invitation, all.length, withinMs));
    await delay(EVERY_MS);
  }
  const times = (await Promise.all(all)).flatMap((time) => (time === null ? [] : [time]));
  return {
    came: all.length,
    joined: times.length,
    medianMs: times.length === 0 ? null : Math.round(median(times)),
    worstMs: times.length === 0 ? null : Math.round(Math.max(...times)),
  };
}

/** Milliseconds; null: not in time. */
async function join(
  url: string,
  invitation: Invitation,
  number: number,
  withinMs: number,
): Promise<number | null> {
  const begun = performance.now();
  const end = begun + withinMs;
  const owner = hotkey(FIRST_HOTKEY + number);
  const from = process.platform === "linux" ? `127.0.3.${1 + (number % 250)}` : "127.0.0.1";
  const agent = new AgentFrom(from, invitation.keySha256);
  const route = Object.assign(new OrchestratorRoute(url, invitation, owner.address), { controlAgent: agent });
  try {
    let network: string | null = null;
    while (network === null) {
      if (performance.now() > end) return null;
      network = await networkOf(route, agent).catch(() => null);
    }
    return (await isWelcomed(route, owner, network, end)) ? performance.now() - begun : null;
  } finally {
    agent.destroy();
  }
}

async function networkOf(route: OrchestratorRoute, agent: https.Agent): Promise<string> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  const text = await new Promise<string>((resolve, reject) =>
    https
      .get(route.url("/v1/network"), { agent, headers: route.headers, signal }, (response) => {
        let heard = "";
        response.setEncoding("utf8").on("data", (data: string) => (heard += data));
        response.on("error", reject).on("end", () => resolve(heard));
      })
      .on("error", reject),
  );
  return (JSON.parse(text) as { network: string }).network;
}

async function isWelcomed(
  route: OrchestratorRoute,
  owner: ReturnType<typeof hotkey>,
  network: string,
  end: number,
): Promise<boolean> {
  const signer = createSessionSigner();
  const welcomed = Promise.withResolvers<true>();
  const control = new Control({
    route,
    delegation: delegate(owner, signer.publicKey, network),
    signer,
    capabilities: { platform: "test", threads: 1, memoryBytes: 1e9, executionProvider: "cpu" },
    linkAddress: { host: "127.0.0.1", port: 9 },
    otherAddresses: () => [],
    restorable: () => [],
    onInstruction: () => undefined,
    onConnection: (connected) => connected && welcomed.resolve(true),
    onRefused: (failure) => welcomed.reject(failure),
  });
  const left = new AbortController();
  const late = delay(Math.max(0, end - performance.now()), false, { signal: left.signal }).catch(() => false);
  try {
    return await Promise.race([welcomed.promise, late]);
  } finally {
    left.abort();
    await control.close("it was in", 0);
  }
}

/** Connections to one network from one address of this computer's. */
class AgentFrom extends https.Agent {
  readonly #from: string;
  readonly #keySha256: string;

  constructor(from: string, keySha256: string) {
    super({ ...PINNED_AGENT, keepAlive: false });
    this.#from = from;
    this.#keySha256 = keySha256;
  }

  override createConnection(
    { host, port }: { host?: string | null; port?: string | number | null },
    done: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    const to = { host: host ?? "127.0.0.1", port: Number(port), localAddress: this.#from };
    const socket = connect({ ...PINNED_TLS, ...to } as ConnectionOptions);
    whenPinned(socket, this.#keySha256, done);
  }
}
