import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { secretFromSeed, sign, getPublicKey } from "@scure/sr25519";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { BTAUTH_HEADERS, btauthText } from "../../src-protocol/btauth.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { signableText } from "../../src-protocol/signable.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import { encodeSs58 } from "../../src-protocol/ss58.ts";
import { RefusedByNetwork, signedFetch, signedJson } from "./signed-request.ts";
import type { Hotkey } from "../wallet/wallet.ts";

const SECRET = secretFromSeed(new Uint8Array(32).fill(5));
const hotkey: Hotkey = {
  address: encodeSs58(getPublicKey(SECRET)),
  sign: (thing) => `0x${Buffer.from(sign(SECRET, Buffer.from(signableText(thing)))).toString("hex")}`,
};
const NOW = 1_800_000_000_000;

let server: Server | null = null;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((done) => (server === null ? done(null) : server.close(done)));
  server = null;
});

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof Failure) return error;
  throw new Error(`not a Failure: ${String(error)}`);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks);
}

describe("a signed request", () => {
  it("is signed over method, path, query and the exact bytes that arrive", async () => {
    const seen: { verified: boolean; headers: IncomingMessage["headers"]; body: string }[] = [];
    const url = await serve((request, response) => {
      void bodyOf(request).then((body) => {
        const header = (name: string) => String(request.headers[name] ?? "");
        const text = btauthText({
          method: request.method ?? "",
          target: request.url ?? "",
          bodySha256: sha256(body),
          nonce: header(BTAUTH_HEADERS.nonce),
          hotkey: header(BTAUTH_HEADERS.hotkey),
          receiver: header(BTAUTH_HEADERS.receiver),
        });
        const verified = verifySr25519(hotkey.address, text, header(BTAUTH_HEADERS.signature));
        seen.push({ verified, headers: request.headers, body: body.toString() });
        response.end("{}");
      });
    });
    const ports = { now: () => NOW };
    await signedFetch(hotkey, `${url}/v1/account/receipts?limit=5&name=a%20b`, ports);
    await signedFetch(hotkey, `${url}/v1/claims`, { ...ports, method: "POST", body: { text: "Ü 🙂", n: 1 } });
    await signedFetch(hotkey, `${url}/v1/account`, { ...ports, signedFor: hotkey.address });
    expect(seen.map(({ verified }) => verified)).toEqual([true, true, true]);
    expect(seen[0]?.headers).toMatchObject({
      "x-bittensor-version": "1",
      "x-bittensor-nonce": `${NOW}000000`,
      "x-bittensor-hotkey": hotkey.address,
    });
    expect(seen[0]?.headers["x-bittensor-receiver"]).toBeUndefined();
    expect(seen[2]?.headers["x-bittensor-receiver"]).toBe(hotkey.address);
    expect(seen[1]).toMatchObject({ body: '{"text":"Ü 🙂","n":1}' });
    expect(seen[1]?.headers["content-type"]).toBe("application/json");
  });

  it("has a fresh nonce of the present time unless told otherwise", async () => {
    const nonces: unknown[] = [];
    const url = await serve((request, response) => {
      const nonce = request.headers["x-bittensor-nonce"];
      nonces.push(nonce);
      expect(Math.abs(Number(nonce) / 1e6 - Date.now())).toBeLessThan(5000);
      response.end("{}");
    });
    await signedFetch(hotkey, url);
    await signedFetch(hotkey, url);
    expect(new Set(nonces).size).toBe(2);
  });

  it("that the network refuses carries the network's own code, sentence and status", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(409).end(JSON.stringify({ code: "claim-too-high", message: "More than accrued." }));
    });
    const failure = await failureOf(signedFetch(hotkey, url));
    expect(failure).toBeInstanceOf(RefusedByNetwork);
    expect(failure).toMatchObject({ code: "claim-too-high", message: "More than accrued.", status: 409 });
  });

  it.each([
    ["an error page", 502, "<html>Bad gateway</html>"],
    ["an empty error", 500, ""],
    ["an error without a code", 404, '{"error":"Not Found"}'],
    ["something else than JSON", 200, "<html>router login</html>"],
    ["JSON of another form", 200, '{"amount":1}'],
  ])("answered with %s is a bad answer, not a crash", async (_what, status, body) => {
    const url = await serve((_request, response) => response.writeHead(status).end(body));
    const failure = await failureOf(signedJson(hotkey, `${url}/v1/run`, z.strictObject({ step: z.int() })));
    expect(failure.code).toBe("network-bad-answer");
    expect(failure.message).toContain("/v1/run");
  });

  it("to a port where nothing listens says so", async () => {
    const url = await serve(() => undefined);
    server?.close();
    const failure = await failureOf(signedFetch(hotkey, url));
    expect(failure.code).toBe("network-unreachable");
    expect(failure.message).toContain("nothing answers there");
  });

  it("to a server that hangs up, is silent, or redirects fails clearly", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/hang-up") request.socket.destroy();
      if (request.url === "/redirect") response.writeHead(307, { location: "/elsewhere" }).end();
      if (request.url === "/half") response.writeHead(200, { "content-length": "100" }).write("{");
    });
    expect((await failureOf(signedFetch(hotkey, `${url}/hang-up`))).code).toBe("network-unreachable");
    expect((await failureOf(signedFetch(hotkey, `${url}/redirect`))).code).toBe("network-unreachable");
    const timeoutMs = 50;
    expect((await failureOf(signedFetch(hotkey, `${url}/silent`, { timeoutMs }))).code).toBe(
      "network-timeout",
    );
    const half = signedJson(hotkey, `${url}/half`, z.unknown(), { timeoutMs });
    expect((await failureOf(half)).code).toBe("network-timeout");
    const stopped = signedFetch(hotkey, `${url}/silent`, { signal: AbortSignal.abort() });
    expect((await failureOf(stopped)).code).toBe("request-stopped");
  });

  it.each(["ftp://x", "not an address", "", "file:///etc/passwd"])("to %j is never sent", async (url) => {
    expect((await failureOf(signedFetch(hotkey, url))).code).toBe("network-bad-address");
  });
});
