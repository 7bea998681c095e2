import { createServer } from "node:https";
import type { RequestListener, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { CONTROL_PROTOCOL } from "../../src-protocol/control.ts";
import type { Invitation } from "../../src-protocol/invitation.ts";
import type { NetworkCard } from "../../src-protocol/network-card.ts";
import { certificateKeySha256 } from "../../src-protocol/pinned-key.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import { linkCertificate } from "../../src-worker/links/tls/link-certificate.ts";
import { reachNetwork } from "./network-card.ts";
import { pinnedFetch } from "./pinned-fetch.ts";

const HOTKEY = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
const TOKEN = "0123456789abcdef0123456789abcdef";
const CARD: NetworkCard = {
  protocol: CONTROL_PROTOCOL,
  network: "tah-1",
  name: "Kitchen",
  operator: "",
  testUnits: true,
  open: false,
  nodes: 1,
  run: {
    runId: "default",
    name: "Sea",
    model: "llama",
    parameterCount: 2_500_000,
    stages: 3,
    phase: "training",
    detail: "",
    step: 7,
    steps: null,
    loss: 2.5,
    corpus: "Moby Dick",
  },
  asks: { downloadBytes: 1, memoryBytes: 2, bytesPerStep: 4, megabitsPerSecond: 3 },
};

let certificate: { cert: string; key: string };
beforeAll(async () => {
  certificate = linkCertificate();
});

const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));

async function invitationTo(answer: RequestListener): Promise<Invitation> {
  const server = createServer(certificate, answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    keySha256: certificateKeySha256(certificate.cert),
    token: TOKEN,
    addresses: [{ host: "127.0.0.1", port }],
    expiresAt: null,
    name: "Kitchen",
  };
}

const json =
  (body: unknown, status = 200): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

async function codeOf(invitation: Invitation): Promise<string> {
  return await reachNetwork(invitation, HOTKEY).then(
    () => "reached",
    (error: { code?: string }) => error.code ?? String(error),
  );
}

describe("who is invited", () => {
  test("sees the card, having shown the token and the own version", async () => {
    const asked: unknown[] = [];
    const invitation = await invitationTo((request, response) => {
      const {
        "x-tah-invitation": token,
        "x-tah-protocol": protocol,
        "x-tah-hotkey": hotkey,
      } = request.headers;
      asked.push([request.url, token, protocol, hotkey]);
      json(CARD)(request, response);
    });
    const { url, card } = await reachNetwork(invitation, HOTKEY);
    expect(card).toEqual(CARD);
    expect(url).toBe(`https://127.0.0.1:${invitation.addresses[0]?.port}`);
    expect(asked).toEqual([["/v1/network", TOKEN, String(CONTROL_PROTOCOL), HOTKEY]]);
  });

  test("sends nothing, not even the token, to another key at the address", async () => {
    let asked = 0;
    const invitation = await invitationTo((request, response) => {
      asked++;
      json(CARD)(request, response);
    });
    expect(await codeOf({ ...invitation, keySha256: "00".repeat(32) })).toBe("network-wrong-key");
    expect(asked).toBe(0);
  });

  test("hears which side has to update", async () => {
    expect(await codeOf(await invitationTo(json({ protocol: CONTROL_PROTOCOL + 1, other: true })))).toBe(
      "protocol-mismatch",
    );
    const refusal = { code: "protocol-mismatch", message: "Update Train at Home on your computer." };
    expect(await codeOf(await invitationTo(json(refusal, 426)))).toBe("protocol-mismatch");
  });

  test("hears the network's own reason", async () => {
    const refusal = { code: "invitation-used-up", message: "Used up." };
    await expect(reachNetwork(await invitationTo(json(refusal, 403)), HOTKEY)).rejects.toMatchObject(refusal);
  });

  test("takes the address that answers, whichever it is", async () => {
    const invitation = await invitationTo(json(CARD));
    const dead = { host: "127.0.0.1", port: 1 };
    expect(await codeOf({ ...invitation, addresses: [dead, ...invitation.addresses] })).toBe("reached");
    const nobody = reachNetwork({ ...invitation, addresses: [dead] }, HOTKEY);
    await expect(nobody).rejects.toMatchObject({
      code: "network-unreachable",
      message: expect.stringContaining("127.0.0.1:1 (nothing listens there)"),
    });
  });

  test.each([
    ["no JSON", (_: unknown, response: { end(text: string): void }) => response.end("<html>")],
    [
      "a card without end",
      (_: unknown, response: { end(text: string): void }) => response.end("1".repeat(70_000)),
    ],
  ])("is not deceived by %s", async (_name, answer) =>
    expect(await codeOf(await invitationTo(answer))).toBe("network-strange"),
  );
});

test("pinned fetch brings headers, body and status, and follows no redirect", async () => {
  const invitation = await invitationTo((request, response) => {
    if (request.url === "/away") return void response.writeHead(302, { location: "/here" }).end();
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () =>
      json({ body, method: request.method, mine: request.headers["x-mine"] })(request, response),
    );
  });
  const fetch = pinnedFetch(invitation, HOTKEY);
  const url = `https://127.0.0.1:${invitation.addresses[0]?.port}`;
  const answer = await fetch(`${url}/here`, {
    method: "POST",
    body: new TextEncoder().encode("hi"),
    headers: { "x-mine": "1" },
  });
  expect([answer.status, await answer.json()]).toEqual([200, { body: "hi", method: "POST", mine: "1" }]);
  expect((await fetch(`${url}/away`)).status).toBe(302);
  await expect(fetch(`${url}/here`, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow(
    "enough",
  );
});
