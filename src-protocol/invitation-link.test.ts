import { expect, it } from "vitest";
import { INVITATION_LIMIT_CHARS } from "./invitation.ts";
import { invitationOfLink } from "./invitation-link.ts";

it.each([
  "tah://join/tah1abc234",
  "tah://join/tah1abc234/",
  "tah://tah1abc234",
  "tah:tah1abc234",
  " TAH://JOIN/TAH1ABC234 ",
])("%s is a link to an invitation", (link) => expect(invitationOfLink(link)).toBe("tah1abc234"));

it.each([
  "tah://leave/tah1abc234",
  "tah://join/tah1abc234?yes=1",
  "tah://join/tah1abc234#/wallet",
  "tah://join/../tah1abc234",
  "tah://join/--home=x",
  "https://join/tah1abc234",
  "tah1abc234",
  "--data",
  "",
  `tah://join/tah1${"a".repeat(INVITATION_LIMIT_CHARS + 20)}`,
])("%s is none", (link) => expect(invitationOfLink(link)).toBeNull());
