import { beforeEach, expect, test } from "vitest";
import type { Failure } from "../../src-protocol/failure.ts";
import { parseConsentText, signatureIn } from "../../src-protocol/payout-consent.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import { encodeSs58 } from "../../src-protocol/ss58.ts";
import { Store } from "../stores/store.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { hotkey } from "../test-support/keys.test-support.ts";
import { auditLedger } from "./audit.ts";
import { bindPayout, bindingOf, challenge, consent } from "./bindings.ts";
import { BOOK_NOW, BOOK_OPTIONS, bookedLedger } from "./books.test-support.ts";

const [HOT, OTHER, COLD, NEW] = [hotkey(0), hotkey(1), hotkey(20), hotkey(21)];

let store: Store;
beforeEach(async () => {
  const folder = temporaryFolder();
  store = Store.open(folder, () => {});
  await bookedLedger(store, folder);
  return () => store.close();
});

const ask = async (coldkey = COLD, by = HOT) =>
  (await challenge(store, BOOK_OPTIONS, by.address, coldkey.address)).text;
const bind = (text: string, signature: string, by = HOT, options = BOOK_OPTIONS) =>
  consent(store, options, by.address, { text, signature });
const refusal = (answer: Promise<unknown>) =>
  answer.then(
    () => "bound",
    (error: Failure) => error.code,
  );

test("a payout address binds by its own signature, and each binding names the one before", async () => {
  const first = await ask();
  expect(first.split("\n")[0]).toBe("Approve Train at Home payout wallet v1");
  expect(await bind(first, COLD.sign(first))).toEqual({
    hotkey: HOT.address,
    payoutColdkey: COLD.address,
    generation: 1,
  });
  const second = await ask(NEW);
  expect(parseConsentText(second)).toMatchObject({ generation: 2, previous: sha256(first) });
  // As a browser wallet signs it.
  await bind(second, NEW.sign(`<Bytes>${second}</Bytes>`));
  expect(bindingOf(store, HOT.address)).toMatchObject({ generation: 2, payoutColdkey: NEW.address });
  expect(auditLedger(store, { signatures: true }).findings).toEqual([]);
});

test("an ed25519 payout address, as Bittensor's newer tools make them, binds too", async () => {
  const signer = createSessionSigner(new Uint8Array(32).fill(9));
  const address = encodeSs58(Buffer.from(signer.publicKey, "hex"));
  const { text } = await challenge(store, BOOK_OPTIONS, HOT.address, address);
  expect(await refusal(bind(text, `0x${signer.sign(text)}`))).toBe("bound");
  expect(await refusal(bind(await ask(NEW), `0x${signer.sign(text)}`))).toBe("consent-forged");
});

test("a consent of somebody else, to somebody else, changed, used, old or overtaken binds nothing", async () => {
  const text = await ask();
  expect(await refusal(bind(text, NEW.sign(text)))).toBe("consent-forged");
  expect(await refusal(bind(`${text} `, COLD.sign(`${text} `)))).toBe("consent-malformed");
  expect(await refusal(bind(text, COLD.sign(text), OTHER))).toBe("consent-malformed");
  const later = { ...BOOK_OPTIONS, now: () => BOOK_NOW + 25 * 3_600_000 };
  expect(await refusal(bind(text, COLD.sign(text), HOT, later))).toBe("consent-expired");
  const overtaken = await ask(NEW);
  await bind(text, COLD.sign(text));
  expect(await refusal(bind(overtaken, NEW.sign(overtaken)))).toBe("consent-expired");
  // The same again is the same answer: its first one may have been lost.
  expect(await refusal(bind(text, COLD.sign(text)))).toBe("bound");
  const made = text
    .replace(/"nonce":"[0-9a-f]{64}"/, `"nonce":"${"0".repeat(64)}"`)
    .replace('"generation":1', '"generation":2');
  expect(await refusal(bind(made, COLD.sign(made)))).toBe("consent-expired");
  expect(bindingOf(store, HOT.address)).toMatchObject({ generation: 1, payoutColdkey: COLD.address });
});

test("a start without a payout address of its own takes no consent back; one that was chosen does", async () => {
  const text = await ask();
  await bind(text, COLD.sign(text));
  await bindPayout(store, HOT.address, HOT.address);
  expect(bindingOf(store, HOT.address)?.payoutColdkey).toBe(COLD.address);
  await bindPayout(store, HOT.address, NEW.address);
  expect(bindingOf(store, HOT.address)).toMatchObject({ generation: 2, payoutColdkey: NEW.address });
});

test("a hotkey that asks and asks holds a few challenges, not the disk", async () => {
  for (let i = 0; i < 20; i++) await ask();
  expect(store.all("SELECT count(*) AS n FROM challenges")).toEqual([{ n: 4n }]);
});

const SIGNATURE = "ab".repeat(64);
test.each([
  ["bare hex", `${SIGNATURE}\n`],
  ["hex with 0x, in capitals", `0x${SIGNATURE.toUpperCase()}`],
  ["JSON of btcli 9", `{"signed_message": "${SIGNATURE}", "signer_address": "5F"}`],
  ["JSON of the SDK 11", `{"signature": "0x${SIGNATURE}"}`],
  [
    "JSON folded at 80 columns",
    `{"signed_message": "${SIGNATURE.slice(0, 58)}\n${SIGNATURE.slice(58)}", \n"signer_address": "5F"}`,
  ],
  ["words around it", `Message signed successfully:\n${SIGNATURE}\n`],
])("a signature is found in %s", (_, printed) => {
  expect(signatureIn(printed)).toBe(`0x${SIGNATURE}`);
});

test("no signature is found where there is none", () => {
  for (const printed of ["", "Aborted.", SIGNATURE.slice(2), `${SIGNATURE}ab`])
    expect(signatureIn(printed)).toBeNull();
});
