import type { LinkStatus } from "../src-protocol/link-report.ts";
import {
  LINK_WORDS,
  linkNotices,
  neighbourName,
  rateText,
  roundTripText,
} from "../src-protocol/link-text.ts";

/** Each neighbour by kind of link, round trip and speed; below it, why no better kind was had. */
export function linksText(status: LinkStatus): string[] {
  const lines = status.links.flatMap((link) => [
    `${neighbourName(link)}: ${LINK_WORDS[link.kind]}, ${roundTripText(link)}, ${rateText(link)}`,
    ...(link.why === null ? [] : [`  ${link.why}`]),
  ]);
  return [...lines, ...linkNotices(status)].map(
    (line, index) => `${index === 0 ? "Links:" : ""}`.padEnd(11) + line,
  );
}
