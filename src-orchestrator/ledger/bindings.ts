import { randomBytes } from "node:crypto";
import { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { consentText, parseConsentText } from "../../src-protocol/payout-consent.ts";
import type { BindAnswer } from "../../src-protocol/payout-consent.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { verifyConsent } from "../../src-protocol/sr25519.ts";
import { numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";
import { bindingReference, enter } from "./book.ts";
import type { ClaimOptions } from "./claim-rules.ts";
import { hotkeyNumber } from "./ledger.ts";

/** Long enough to carry the text to a computer without a network and back. */
const CHALLENGE_MS = 24 * 3_600_000;
/** Of one hotkey: a new one takes the place of the oldest. */
const CHALLENGES = 4;

export interface Binding {
  readonly generation: number;
  readonly payoutColdkey: Ss58Address;
  readonly text: string | null;
}

export function bindingOf(store: Store, hotkey: Ss58Address): Binding | null {
  const row = store.get(
    `SELECT b.* FROM bindings b JOIN hotkeys h ON h.number = b.hotkey WHERE h.address = :hotkey
     ORDER BY b.generation DESC LIMIT 1`,
    { hotkey },
  );
  if (row === null) return null;
  return {
    generation: numberOf(row.generation),
    payoutColdkey: ss58Address.parse(textOf(row.payoutColdkey)),
    text: orNull(row.text, textOf),
  };
}

/** The network's owner says where a hotkey of this computer is paid to; nothing changes when it is so already. */
export function bindPayout(store: Store, hotkey: Ss58Address, coldkey: Ss58Address, now = 0): Promise<void> {
  return store.writeSafely(() => {
    const current = bindingOf(store, hotkey);
    if ((current?.payoutColdkey ?? hotkey) === coldkey) return;
    // That nothing was chosen here is no reason to take back what an address has agreed to.
    if (coldkey === hotkey && typeof current?.text === "string") return;
    bind(store, hotkey, { payoutColdkey: coldkey, text: null, signature: null }, now);
  });
}

/** What the payout address has to sign. The same is answered again while it holds. */
export function challenge(
  store: Store,
  { network, netuid, now }: ClaimOptions,
  hotkey: Ss58Address,
  payoutColdkey: Ss58Address,
): Promise<{ text: string; expiresAt: number }> {
  return store.write(() => {
    const issuedAt = now();
    store.run("DELETE FROM challenges WHERE expiresAt <= :issuedAt", { issuedAt });
    const before = bindingOf(store, hotkey);
    const previous = before?.text ?? null;
    const nonce = randomBytes(32).toString("hex");
    const expiresAt = issuedAt + CHALLENGE_MS;
    const text = consentText({
      schema: "train-at-home/payout/v1",
      network,
      netuid,
      hotkey,
      payoutColdkey,
      generation: (before?.generation ?? 0) + 1,
      previous: previous === null ? null : sha256(previous),
      nonce,
      issuedAt,
      expiresAt,
    });
    // SECURITY: a hotkey is free; it gets a few places and not the disk.
    store.run(
      `DELETE FROM challenges WHERE nonce IN (
         SELECT nonce FROM challenges WHERE hotkey = :hotkey ORDER BY expiresAt DESC LIMIT -1 OFFSET :kept)`,
      { hotkey, kept: CHALLENGES - 1 },
    );
    store.run("INSERT INTO challenges VALUES (:nonce, :hotkey, :text, :expiresAt)", {
      nonce,
      hotkey,
      text,
      expiresAt,
    });
    return { text, expiresAt };
  });
}

/** Binds by consent; what was claimed before stays where it goes. The same consent again is answered again. */
export function consent(
  store: Store,
  { now }: ClaimOptions,
  requester: Ss58Address,
  { text, signature }: { readonly text: string; readonly signature: string },
): Promise<BindAnswer> {
  return store.writeSafely(() => {
    const body = parseConsentText(text);
    if (body === null || body.hotkey !== requester)
      throw new Failure(
        "consent-malformed",
        "This is not a text that was asked for here for this hotkey. Ask for a new one with `tah payout ADDRESS`.",
      );
    if (!verifyConsent(body.payoutColdkey, text, signature))
      throw new Failure(
        "consent-forged",
        `The text is not signed by ${body.payoutColdkey}, so nothing was changed. Sign exactly the text that was shown, with that address's key.`,
      );
    const current = bindingOf(store, requester);
    const { payoutColdkey, generation, nonce } = body;
    if (current?.text === text) return { hotkey: requester, payoutColdkey, generation };
    const asked = store.get(
      "SELECT text, expiresAt FROM challenges WHERE nonce = :nonce AND hotkey = :requester",
      {
        nonce,
        requester,
      },
    );
    if (asked === null || textOf(asked.text) !== text || numberOf(asked.expiresAt) <= now())
      throw new Failure(
        "consent-expired",
        "This text was used before, has expired or was never asked for here. Ask for a new one with `tah payout ADDRESS`.",
      );
    if (generation !== (current?.generation ?? 0) + 1)
      throw new Failure(
        "consent-outdated",
        "The payout address was changed since this text was made. Ask for a new one with `tah payout ADDRESS`.",
      );
    store.run("DELETE FROM challenges WHERE hotkey = :requester", { requester });
    bind(store, requester, { payoutColdkey, text, signature }, now());
    return { hotkey: requester, payoutColdkey, generation };
  }, 4);
}

function bind(
  store: Store,
  hotkey: Ss58Address,
  what: { payoutColdkey: Ss58Address; text: string | null; signature: string | null },
  at: number,
): void {
  const number = hotkeyNumber(store, hotkey);
  const generation = (bindingOf(store, hotkey)?.generation ?? 0) + 1;
  const { payoutColdkey, text, signature } = what;
  store.run("INSERT INTO bindings VALUES (:number, :generation, :payoutColdkey, :text, :signature, :at)", {
    number,
    generation,
    payoutColdkey,
    text,
    signature,
    at,
  });
  store.run("UPDATE hotkeys SET payoutColdkey = :payoutColdkey WHERE number = :number", {
    payoutColdkey,
    number,
  });
  enter(store, "binding", bindingReference(hotkey, generation), at);
}
