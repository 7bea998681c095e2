import { btauthText } from "./btauth.ts";
import type { BtauthRequest } from "./btauth.ts";
import { claimText } from "./claim.ts";
import type { ClaimBody } from "./claim.ts";
import { delegationText } from "./delegation.ts";
import type { DelegationBody } from "./delegation.ts";
import { consentText } from "./payout-consent.ts";
import type { ConsentBody } from "./payout-consent.ts";
import { formatTao } from "./units.ts";

/**
 * All that a key of this product signs as text. SECURITY: a key signs one of these and never bytes that
 * somebody hands it; each begins with a line of its own, so that none can pass for another, or for an
 * extrinsic of a chain.
 */
export type Signable =
  | { readonly kind: "delegation"; readonly body: DelegationBody }
  | { readonly kind: "request"; readonly body: BtauthRequest }
  | { readonly kind: "claim"; readonly body: ClaimBody }
  | { readonly kind: "consent"; readonly body: ConsentBody };

export function signableText(thing: Signable): string {
  switch (thing.kind) {
    case "delegation":
      return delegationText(thing.body);
    case "request":
      return btauthText(thing.body);
    case "claim":
      return claimText(thing.body);
    case "consent":
      return consentText(thing.body);
  }
}

/** What a signature is for, as the log of signatures says it. */
export function signableAbout(thing: Signable): string {
  switch (thing.kind) {
    case "delegation": {
      const { network, sessionKey, notAfter } = thing.body;
      return `session key ${sessionKey} on ${network} until ${new Date(notAfter).toISOString()}`;
    }
    case "request":
      return `${thing.body.method} ${thing.body.target}`;
    case "claim": {
      const { amountRao, asset, payoutColdkey, claimId, network } = thing.body;
      return `${formatTao(BigInt(amountRao))} ${asset} of ${network} to ${payoutColdkey}, claim ${claimId}`;
    }
    case "consent": {
      const { hotkey, payoutColdkey, network, generation } = thing.body;
      return `${hotkey} is paid to ${payoutColdkey} on ${network}, binding ${generation}`;
    }
  }
}
