import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Failure } from "./failure.ts";
import { decodeBase32, encodeBase32 } from "./base32.ts";
import { formatInvitation, INVITATION_LIMIT_CHARS, invitationId, parseInvitation } from "./invitation.ts";
import type { Invitation } from "./invitation.ts";

const NOW = Date.UTC(2026, 10, 28);
const DAY_S = 86_400;

const EXAMPLE: Invitation = {
  keySha256: "ab".repeat(32),
  token: "0123456789abcdef0123456789abcdef",
  addresses: [
    { host: "train.example.org", port: 7860 },
    { host: "2001:db8::1", port: 443 },
  ],
  expiresAt: NOW / 1000 + DAY_S,
  name: "Grüße aus der Küche",
};

function codeOf(text: string, now = NOW): string {
  const result = parseInvitation(text, now);
  return result instanceof Failure ? result.code : "accepted";
}

describe("an invitation", () => {
  test("says after a journey what it said before, whatever is in it", () => {
    const host = fc.stringMatching(/^[a-z0-9.:-]{1,60}$/);
    const hex = (bytes: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
    const invitations = fc.record<Invitation>({
      keySha256: hex(32),
      token: fc.option(hex(16)),
      addresses: fc.array(fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) }), {
        minLength: 1,
        maxLength: 4,
      }),
      expiresAt: fc.option(fc.integer({ min: NOW / 1000 + 1, max: 2 ** 48 - 1 })),
      name: fc.stringMatching(/^[A-Za-zäöü中文 ]{1,13}$/),
    });
    fc.assert(
      fc.property(invitations, (value) => {
        const line = formatInvitation(value);
        expect(line).toMatch(/^tah1[a-z2-7]+$/);
        expect(parseInvitation(line, NOW)).toEqual(value);
      }),
    );
  });

  test("survives what mail and chat programs do to a line", () => {
    const line = formatInvitation(EXAMPLE);
    expect(parseInvitation(`  ${line.slice(0, 70)}\r\n ${line.slice(70)}\n`, NOW)).toEqual(EXAMPLE);
    expect(parseInvitation(line.toUpperCase(), NOW)).toEqual(EXAMPLE);
  });

  test("with any one letter changed, lost or doubled is refused", () => {
    const line = formatInvitation(EXAMPLE);
    for (let at = 4; at < line.length; at++) {
      const other = line[at] === "q" ? "r" : "q";
      for (const broken of [other, "", `${line[at]}${line[at]}`])
        expect(codeOf(line.slice(0, at) + broken + line.slice(at + 1))).toBe("invitation-checksum");
    }
  });

  test("is good until its last second and not after", () => {
    const line = formatInvitation(EXAMPLE);
    expect(codeOf(line, NOW + DAY_S * 1000 - 1)).toBe("accepted");
    expect(codeOf(line, NOW + DAY_S * 1000)).toBe("invitation-expired");
    expect(String(parseInvitation(line, NOW + DAY_S * 1000))).toContain("2026-11-29 00:00 UTC");
    expect(codeOf(formatInvitation({ ...EXAMPLE, expiresAt: null }), Number.MAX_SAFE_INTEGER)).toBe(
      "accepted",
    );
  });

  test("of a newer form says to update here", () => {
    const failure = parseInvitation("tah2abcdefgh", NOW);
    expect(failure).toMatchObject({ code: "invitation-newer" });
    expect(String(failure)).toContain("Update Train at Home on this computer");
  });

  test.each([
    ["", "invitation-malformed"],
    ["hello", "invitation-malformed"],
    ["tah", "invitation-malformed"],
    ["tah1", "invitation-checksum"],
    ["tah1!!!!", "invitation-checksum"],
    ["tah1" + "a".repeat(INVITATION_LIMIT_CHARS), "invitation-malformed"],
    ["x".repeat(10_000_000), "invitation-malformed"],
  ])("that is none (%#) is refused with a code", (text, code) => expect(codeOf(text)).toBe(code));

  test("made of arbitrary bytes with a right checksum gives a value or a failure, never a throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const whole = formatLike(bytes);
        expect(["accepted", "invitation-malformed", "invitation-expired"]).toContain(codeOf(whole));
      }),
      { numRuns: 2_000 },
    );
  });

  test("that does not fit into a line is not written", () => {
    const addresses = Array.from({ length: 4 }, () => ({ host: "a".repeat(253), port: 1 }));
    expect(() => formatInvitation({ ...EXAMPLE, addresses })).toThrow(
      expect.objectContaining({ code: "invitation-too-long" }),
    );
  });

  test("is known by an id that does not give its token away", () => {
    const id = invitationId(EXAMPLE.token ?? "");
    expect(id).toMatch(/^[0-9a-f]{12}$/);
    expect(EXAMPLE.token).not.toContain(id);
  });
});

test("base32 takes every length of bytes, and refuses what it would not write", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect(decodeBase32(encodeBase32(bytes))).toEqual(bytes);
    }),
  );
  for (const text of ["a", "aaa", "ab", "a1", "A", "aaaaaa"]) expect(decodeBase32(text)).toBeNull();
});

/** An invitation's frame around any bytes: what a newer or a hostile writer could send. */
function formatLike(bytes: Uint8Array): string {
  const { createHash } = process.getBuiltinModule("node:crypto");
  const sum = createHash("sha256").update("tah1").update(bytes).digest().subarray(0, 4);
  return `tah1${encodeBase32(Buffer.concat([bytes, sum]))}`;
}
