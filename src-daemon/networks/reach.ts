import type { ClientOptions } from "ws";
import type { NetworkAccess } from "../../src-protocol/invitation.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { PinnedAgent } from "./pinned-agent.ts";
import { networkHeaders, pinnedFetch } from "./pinned-fetch.ts";

/** How the daemon talks to a network's orchestrator. */
export interface Reach {
  readonly fetch: typeof globalThis.fetch;
  readonly socket: ClientOptions;
  /** After this many tries in vain, how long until the next. */
  retryMs(failures: number): number;
}

/** The embedded network: on loopback, started again by us within moments. */
export const LOOPBACK: Reach = {
  fetch: (input, init) => globalThis.fetch(input, init),
  socket: {},
  retryMs: () => 500,
};

/** A joined network: TLS pinned to its key, with what lets this computer in. */
export function pinnedReach(access: NetworkAccess, hotkey: Ss58Address): Reach {
  return {
    fetch: pinnedFetch(access, hotkey),
    socket: { agent: new PinnedAgent(access.keySha256), headers: networkHeaders(access, hotkey) },
    retryMs: (failures) => remoteRetryMs(failures, Math.random()),
  };
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

/**
 * Half a second at first, doubled up to 30 s. `random` in [0, 1) spreads it by a quarter, so that
 * not every home knocks at the same moment when a network comes back.
 */
export function remoteRetryMs(failures: number, random: number): number {
  const planned = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 16), LAST_RETRY_MS);
  return Math.round(planned * (0.75 + random / 2));
}
