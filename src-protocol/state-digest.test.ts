import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { parametersSha256 } from "./parameters-digest.ts";
import { nextLink } from "./state-chain.ts";
import { STATE_PART_BYTES } from "./peer.ts";
import { STATE_LEAF_BYTES, StateDigest, stateRoot } from "./state-digest.ts";

const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest();

it("the digest of a state is that of its leaves' digests, in whatever pieces it comes", () => {
  const state = Uint8Array.from({ length: 2 * STATE_LEAF_BYTES + 5 }, (_, i) => i % 251);
  const leaves = [0, 1, 2].map((i) =>
    sha256(state.subarray(i * STATE_LEAF_BYTES, (i + 1) * STATE_LEAF_BYTES)),
  );
  const expected = sha256(Buffer.concat([Buffer.from("Train at Home state v1\n"), ...leaves])).toString(
    "hex",
  );
  expect(new StateDigest().update(state).digest()).toBe(expected);
  const pieces = new StateDigest();
  for (let at = 0; at < state.length; at += 300_001) pieces.update(state.subarray(at, at + 300_001));
  expect(pieces.digest()).toBe(expected);
  expect(stateRoot(new StateDigest().update(state).leaves())).toBe(expected);
  expect(Buffer.from(new StateDigest().update(state).leaves())).toEqual(Buffer.concat(leaves));
  expect(STATE_LEAF_BYTES, "one message of a replica").toBeLessThanOrEqual(STATE_PART_BYTES);
  state[STATE_LEAF_BYTES] = 0;
  expect(new StateDigest().update(state).digest()).not.toBe(expected);
});

it("a link changes with everything that it is made of, down to the last bit of the norm", () => {
  const step = { step: 3, squaredNorm: 0.1, stateSha256: null };
  const links = [
    nextLink("a", step),
    nextLink("b", step),
    nextLink("a", { ...step, step: 4 }),
    nextLink("a", { ...step, squaredNorm: 0.1 + 2 ** -56 }),
    nextLink("a", { ...step, stateSha256: "0".repeat(64) }),
  ];
  expect(new Set(links).size).toBe(links.length);
  expect(nextLink("a", { ...step })).toBe(links[0]);
});

it("parameters have the same digest in any order, and another one under another name", () => {
  const [a, b] = [Float32Array.of(1, 2), Float32Array.of(3)];
  const digest = parametersSha256(
    new Map([
      ["a", a],
      ["b", b],
    ]),
  );
  expect(
    parametersSha256(
      new Map([
        ["b", b],
        ["a", a],
      ]),
    ),
  ).toBe(digest);
  expect(
    parametersSha256(
      new Map([
        ["a", b],
        ["b", a],
      ]),
    ),
  ).not.toBe(digest);
  expect(parametersSha256(new Map([["a", Float32Array.of(1, 2, 3)]]))).not.toBe(digest);
});
