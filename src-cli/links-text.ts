import type { LinkReport, LinkStatus } from "../src-protocol/link-report.ts";
import {
  LINK_WORDS,
  codecsText,
  linkNotices,
  neighbourName,
  rateText,
  roundTripText,
} from "../src-protocol/link-text.ts";

/** Each neighbour by kind of link, round trip and speed; below it, why no better kind was had. */
export function linksText(status: LinkStatus): string[] {
  const lines = status.links.flatMap((link) => [
    `${neighbourName(link)}: ${LINK_WORDS[link.kind]}, ${roundTripText(link)}, ${rateText(link)}${encoded(link)}`,
    ...(link.why === null ? [] : [`  ${link.why}`]),
  ]);
  return [...lines, ...linkNotices(status)].map(
    (line, index) => `${index === 0 ? "Links:" : ""}`.padEnd(11) + line,
  );
}

function encoded(link: LinkReport): string {
  return link.sentAs === null && link.receivedAs === null ? "" : `, ${codecsText(link)}`;
}
