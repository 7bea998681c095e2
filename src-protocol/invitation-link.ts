import { INVITATION_LIMIT_CHARS } from "./invitation.ts";

/** What a link to an invitation begins with; the operating system hands such links to Train at Home. */
export const LINK_SCHEME = "tah";

const LINK = /^tah:(?:\/\/)?(?:join\/)?(tah1[a-z2-7]+)\/?$/;

/**
 * The invitation of `tah://join/tah1…`; null: this is no such link. Foreign text: nothing else of it
 * is used, and the invitation does no more than show its card to the owner.
 */
export function invitationOfLink(text: string): string | null {
  const link = text.trim().toLowerCase();
  if (link.length > INVITATION_LIMIT_CHARS + LINK_SCHEME.length + 16) return null;
  return LINK.exec(link)?.[1] ?? null;
}
