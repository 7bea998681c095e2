import { expect, test } from "vitest";
import { createSessionSigner, receiptsRoot, sha256, verifySession } from "./signing.ts";

test("a session key is RFC 8032's ed25519: the seed and public key of its test 1 agree", () => {
  const seed = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex");
  const signer = createSessionSigner(seed);
  expect(signer.publicKey).toBe("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  expect(signer.sign("")).toBe(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  );
});

test("a signature holds for its key and its text alone", () => {
  const [one, other] = [createSessionSigner(), createSessionSigner()];
  const signature = one.sign("text");
  expect(verifySession(one.publicKey, "text", signature)).toBe(true);
  expect(verifySession(one.publicKey, "text ", signature)).toBe(false);
  expect(verifySession(other.publicKey, "text", signature)).toBe(false);
  for (const malformed of ["", "00", signature.toUpperCase(), `${signature}00`])
    expect(verifySession(one.publicKey, "text", malformed)).toBe(false);
});

test("a claim's root does not depend on the order in which receipts are listed", () => {
  const ids = [sha256("a"), sha256("b"), sha256("c")];
  expect(receiptsRoot(ids)).toBe(receiptsRoot([...ids].reverse()));
  expect(receiptsRoot(ids)).not.toBe(receiptsRoot(ids.slice(1)));
});
