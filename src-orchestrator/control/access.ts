import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import {
  CONTROL_EXPORTER_BYTES,
  CONTROL_EXPORTER_LABEL,
  CONTROL_PROTOCOL,
  LOOPBACK_CHANNEL,
  protocolAdvice,
} from "../../src-protocol/control.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { invitationToken } from "../../src-protocol/invitation.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { NETWORK_HEADERS } from "../../src-protocol/network-card.ts";
import type { Invitations } from "./invitations.ts";

/** Who may speak with this orchestrator, decided by the headers alone: before a body or a WebSocket costs anything. */
export interface Access {
  /** Null: go on. */
  refuse(headers: IncomingHttpHeaders): Failure | null;
  /** The owner has proved the hotkey; rejects with the reason why that is not enough. */
  admit(hotkey: Ss58Address, token: string | null): Promise<void>;
}

/** Anybody who can reach it: this computer's own network, and one that is served to all. */
export const OPEN_ACCESS: Access = {
  refuse: otherVersionIn,
  admit: () => Promise.resolve(),
};

export function accessByInvitation(invitations: Invitations): Access {
  return {
    refuse: (headers) =>
      otherVersionIn(headers) ??
      invitations.refuse(tokenIn(headers), headerText(headers, NETWORK_HEADERS.hotkey)),
    admit: (hotkey, token) => invitations.admit(hotkey, token),
  };
}

/** Null for a token that none could be. */
export function tokenIn(headers: IncomingHttpHeaders): string | null {
  return invitationToken.safeParse(headers[NETWORK_HEADERS.token]).data ?? null;
}

/** What a proof made on this connection is bound to: see `proofText`. */
export function channelOf(socket: Socket): string {
  if (!(socket instanceof TLSSocket)) return LOOPBACK_CHANNEL;
  return socket
    .exportKeyingMaterial(CONTROL_EXPORTER_BYTES, CONTROL_EXPORTER_LABEL, Buffer.alloc(0))
    .toString("hex");
}

/** Who does not say a version is read on: a hello says it too. */
function otherVersionIn(headers: IncomingHttpHeaders): Failure | null {
  const said = headerText(headers, NETWORK_HEADERS.protocol);
  if (said === null || !/^[1-9]\d{0,8}$/.test(said) || Number(said) === CONTROL_PROTOCOL) return null;
  return new Failure("protocol-mismatch", protocolAdvice(Number(said), "app"));
}

function headerText(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  return typeof value === "string" ? value : null;
}
