import { Failure } from "../../src-protocol/failure.ts";
import { addressUrl, parseInvitation } from "../../src-protocol/invitation.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { networkId } from "../../src-protocol/networks.ts";
import type { Looked } from "./membership.ts";
import { reachNetwork } from "./network-card.ts";

const ID_DIGITS = 16;

/**
 * Reads an invitation and asks the network that it names for its card; nothing else is fetched.
 * Throws what `parseInvitation` and `reachNetwork` say.
 */
export async function lookAt(text: string, hotkey: Ss58Address, now: number): Promise<Looked> {
  const invitation = parseInvitation(text, now);
  if (invitation instanceof Failure) throw invitation;
  const { url, card } = await reachNetwork(invitation, hotkey);
  const { keySha256, token } = invitation;
  return {
    id: networkId.parse(keySha256.slice(0, ID_DIGITS)),
    address: url,
    otherAddresses: invitation.addresses.map(addressUrl).filter((other) => other !== url),
    access: { keySha256, token },
    card,
  };
}
