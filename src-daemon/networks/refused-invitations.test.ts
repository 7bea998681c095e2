import { mkdirSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OperatorClient } from "../../src-cli/operator-client.ts";
import { openOrchestrator } from "../../src-orchestrator/orchestrator.test-support.ts";
import { until } from "../../src-orchestrator/test-support/fake-node.test-support.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { hotkey } from "../../src-orchestrator/test-support/keys.test-support.ts";
import { CONTROL_PROTOCOL, protocolAdvice } from "../../src-protocol/control.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { hearing } from "../../src-protocol/hear.ts";
import { formatInvitation, parseInvitation } from "../../src-protocol/invitation.ts";
import type { Invitation } from "../../src-protocol/invitation.ts";
import german from "../../src-protocol/locales/de.heard.json" with { type: "json" };
import { certificateKeySha256 } from "../../src-protocol/pinned-key.ts";
import { filled } from "../../src-protocol/say.ts";
import { linkCertificate } from "../../src-worker/links/tls/link-certificate.ts";
import { lookAt } from "./look-at.ts";

/** Every way in which an invitation leads nowhere, as the dashboard's card and `tah join` are told of it. */

const HOST = "127.0.0.1";
const { address: ME } = hotkey(0);
const catalog: Readonly<Record<string, string>> = german;
const inGerman = hearing({
  messages: Object.keys(catalog),
  say: (message, values) => filled(catalog[message] ?? message, values, "de-DE"),
  locale: "de-DE",
});

let operator: OperatorClient;
/** Somebody else comes in by an invitation. */
let comeIn: (token: string | null) => Promise<void>;
let clock: number;
const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));
beforeEach(async () => {
  clock = Date.now();
  const home = temporaryFolder();
  const folder = join(home, "network");
  mkdirSync(folder, { recursive: true });
  const addresses = [{ host: HOST, port: null }];
  const served = { name: "Kitchen", operator: "", open: false, page: false, addresses, certificate: null };
  const { orchestrator, net } = await openOrchestrator({}, { folder, served, now: () => clock });
  operator = OperatorClient.of(home);
  comeIn = async (token) => {
    net.node(orchestrator.url, 1, { token: token ?? "" });
    await until("it is in", () => orchestrator.host.view().nodes === 1, 20_000);
  };
});

async function invited(uses = 1, expiresInSeconds: number | null = null) {
  const { id, invitation: line } = await operator.invite({ uses, expiresInSeconds });
  const parsed = parseInvitation(line, clock);
  if (parsed instanceof Failure) throw parsed;
  return { id, line, parsed };
}

/** Of an invitation to something that answers this to whoever asks for a card. */
async function invitedTo(status: number, answer: object): Promise<string> {
  const certificate = linkCertificate();
  const server = createServer(certificate, (_, response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer)),
  );
  ends.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as AddressInfo;
  const keySha256 = certificateKeySha256(certificate.cert);
  return formatInvitation({
    keySha256,
    token: null,
    addresses: [{ host: HOST, port }],
    expiresAt: null,
    name: "K",
  });
}

const changed = (parsed: Invitation, change: Partial<Invitation>): string =>
  formatInvitation({ ...parsed, ...change });

const REFUSALS: readonly [string, RegExp, RegExp, () => Promise<string>][] = [
  [
    "what is none",
    /^This is no invitation to a network: it does not begin with tah1\. Copy the whole line/,
    /^Das ist keine Einladung in ein Netz: sie beginnt nicht mit tah1\./,
    () => Promise.resolve("https://example.org/join"),
  ],
  [
    "a line with a wrong letter",
    /^The invitation has a wrong letter, or a part of it is missing\./,
    /^In der Einladung ist ein Buchstabe falsch/,
    async () => (await invited()).line.replace(/.$/, (last) => (last === "a" ? "b" : "a")),
  ],
  [
    "a line of a version to come",
    /^The invitation was written by a newer Train at Home\. Update/,
    /^Die Einladung stammt von einem neueren Train at Home\./,
    () => Promise.resolve("tah2aaaa"),
  ],
  [
    "one that has expired",
    /^The invitation was good until 20\d\d-\d\d-\d\d \d\d:\d\d UTC, so it lets nobody in any more\. Ask/,
    /^Die Einladung galt bis 20\d\d-\d\d-\d\d \d\d:\d\d UTC/,
    async () => {
      const { line } = await invited(1, 60);
      clock += 61_000;
      return line;
    },
  ],
  [
    "one that others have used up",
    /^The invitation was good for one person, and has been used by others\. Ask/,
    /^Die Einladung galt für eine Person und wurde von anderen benutzt\. Bitten/,
    async () => {
      const { line, parsed } = await invited();
      await comeIn(parsed.token);
      return line;
    },
  ],
  [
    "one that was withdrawn",
    /^The network's operator has withdrawn this invitation, so it lets nobody in any more\. Ask/,
    /^Der Betreiber hat diese Einladung zurückgezogen/,
    async () => {
      const { id, line } = await invited();
      await operator.revoke(id, false);
      return line;
    },
  ],
  [
    "one that the network does not know",
    /^This network does not know the invitation\./,
    /^Dieses Netz kennt die Einladung nicht\./,
    async () => changed((await invited()).parsed, { token: "ab".repeat(16) }),
  ],
  [
    "one with another key than the network's",
    /^What answers at the network's address has another key than the invitation names\./,
    /^Was unter der Adresse des Netzes antwortet, hat einen anderen Schlüssel/,
    async () => changed((await invited()).parsed, { keySha256: "ab".repeat(32) }),
  ],
  [
    "one to an address where nobody is",
    /^The network's orchestrator does not answer: 127\.0\.0\.1:1 \(nothing listens there\)\./,
    /^Die Leitstelle des Netzes antwortet nicht: 127\.0\.0\.1:1 \(.*\)\./,
    async () => changed((await invited()).parsed, { addresses: [{ host: HOST, port: 1 }] }),
  ],
  [
    "a network of an older version",
    /^The network speaks version \d+ of the control protocol, and the app version \d+\. The network is behind/,
    /^Das Netz spricht Version \d+ des Steuerprotokolls, die App Version \d+\. Das Netz ist älter/,
    () => invitedTo(200, { protocol: CONTROL_PROTOCOL - 1, other: true }),
  ],
  [
    "a network of a newer version",
    /^The network speaks version \d+ of the control protocol, and the app version \d+\. Update the app/,
    /^Das Netz spricht Version \d+ des Steuerprotokolls, die App Version \d+\. Aktualisieren Sie/,
    () => invitedTo(200, { protocol: CONTROL_PROTOCOL + 1, other: true }),
  ],
  [
    "a network that refuses our version",
    /^The app speaks version \d+ of the control protocol, and the network version \d+\. Update the app/,
    /^Die App spricht Version \d+ des Steuerprotokolls, das Netz Version \d+\. Aktualisieren Sie/,
    () => invitedTo(426, { code: "protocol-mismatch", message: protocolAdvice(CONTROL_PROTOCOL - 1, "app") }),
  ],
];

test.each(REFUSALS)("%s is refused with what to do next, in both languages", async (_, said, heard, make) => {
  const line = await make();
  const failure = await lookAt(line, ME, clock).then(
    () => ({ code: "reached", message: "" }),
    (error: unknown) => failureBody(error),
  );
  expect(failure.message).toMatch(said);
  expect(inGerman(failure.message) ?? "not known").toMatch(heard);
  expect(failure.message.match(/[.!?] /g)?.length ?? 0).toBeLessThanOrEqual(2);
});

test("whether an invitation has expired is told by the network's clock, and by this one only where nobody answers", async () => {
  const { line, parsed } = await invited(1, 3_600);
  const yearsAhead = clock + 400 * 86_400_000;
  expect(await lookAt(line, ME, yearsAhead)).toMatchObject({ card: { name: "Kitchen" } });
  const away = changed(parsed, { addresses: [{ host: HOST, port: 1 }] });
  await expect(lookAt(away, ME, yearsAhead)).rejects.toMatchObject({ code: "invitation-expired" });
  await expect(lookAt(away, ME, clock)).rejects.toMatchObject({ code: "network-unreachable" });
});
