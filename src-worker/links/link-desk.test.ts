import { expect, it } from "vitest";
import { type LinkReport, linkStatus, type LinkStatus } from "../../src-protocol/link-report.ts";
import { sessionKey } from "../../src-protocol/keys.ts";
import { LinkDesk } from "./link-desk.ts";

const link = (side: LinkReport["side"], number: number): LinkReport => ({
  peer: sessionKey.parse(number.toString(16).padStart(64, "0")),
  side,
  kind: "direct",
  transport: "tls",
  roundTripMs: 20,
  mbitUp: 1,
  mbitDown: 1,
  sentAs: side === "own" ? "int8b64" : "f16",
  receivedAs: null,
  dialMs: null,
  why: null,
});

/** What is told of these links: to the owner, and to the network. */
function told(links: readonly LinkReport[]): { owner: LinkStatus[]; network: LinkStatus[] } {
  const owner: LinkStatus[] = [];
  const network: LinkStatus[] = [];
  const desk = new LinkDesk({
    station: { hyperdhtOff: null, address: { host: "h", port: 1 }, relayRefusal: "" } as never,
    peers: { reports: () => [...links] },
    tell: (message) => void (message.type === "links" && owner.push(linkStatus.parse(message.status))),
    report: (status) => network.push(linkStatus.parse(status)) > 0,
  });
  desk.look(0);
  desk.stop();
  return { owner, network };
}

it("the owner hears of links to computers of the same slice too; the network, which may be older, of the others", () => {
  const links = [link("previous", 1), link("own", 2), link("next", 3)];
  expect(told(links)).toMatchObject({
    owner: [{ links }],
    network: [{ links: [links[0], links[2]] }],
  });
});

it("of more links than are told of, some of each side are", () => {
  const links = (["previous", "own", "next"] as const).flatMap((side, at) =>
    Array.from({ length: 20 }, (_, number) => link(side, at * 100 + number)),
  );
  const sides = told(links).owner[0]?.links.map(({ side }) => side) ?? [];
  const count = (of: LinkReport["side"]) => sides.filter((side) => side === of).length;
  expect([count("previous"), count("own"), count("next")]).toEqual([6, 5, 5]);
});
