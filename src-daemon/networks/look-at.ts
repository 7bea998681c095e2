import { Failure } from "../../src-protocol/failure.ts";
import { addressUrl, parseInvitation } from "../../src-protocol/invitation.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { networkId } from "../../src-protocol/networks.ts";
import type { Looked } from "./membership.ts";
import { reachNetwork } from "./network-card.ts";

const ID_DIGITS = 16;

/** Of a time before all others, no invitation has expired. */
const BEFORE_ALL = 0;

/**
 * Reads an invitation and asks the network that it names for its card; nothing else is fetched. Whether it has
 * expired is the network's to say, by its own clock: this computer's may be wrong.
 * Throws what `parseInvitation` and `reachNetwork` say.
 */
export async function lookAt(text: string, hotkey: Ss58Address, now: number): Promise<Looked> {
  const invitation = parseInvitation(text, BEFORE_ALL);
  if (invitation instanceof Failure) throw invitation;
  const { url, card } = await reachNetwork(invitation, hotkey).catch((error: unknown) => {
    const expired = parseInvitation(text, now);
    const isAway = error instanceof Failure && error.code === "network-unreachable";
    throw isAway && expired instanceof Failure ? expired : error;
  });
  const { keySha256, token } = invitation;
  return {
    id: networkId.parse(keySha256.slice(0, ID_DIGITS)),
    address: url,
    otherAddresses: invitation.addresses.map(addressUrl).filter((other) => other !== url),
    access: { keySha256, token },
    card,
  };
}
