import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createSessionSigner, sha256, verifySession } from "../../src-protocol/signing.ts";
import { Blobs } from "./blobs.ts";
import { OrchestratorRoute } from "../control/orchestrator-route.ts";
import { chunksOf, serveBlob } from "./chunk-server.test-support.ts";
import { BlobCache } from "./blob-cache.ts";

const text = new TextEncoder().encode("Call me Ishmael.");
const corpus = { name: "whale", sha256: sha256(text), bytes: text.length };
const signer = createSessionSigner(new Uint8Array(32));

let folder: string;
let server: Server;
let requests: { method: string; target: string; body: Buffer; signature: string }[];
/** Other than the text itself. */
let answer: { status: number; body: Uint8Array } | null;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tah-corpus-"));
  requests = [];
  answer = null;
  server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const { method = "", url: target = "", headers } = request;
    requests.push({
      method,
      target,
      body: Buffer.concat(pieces),
      signature: String(headers["x-tah-signature"]),
    });
    if (answer === null) return serveBlob(request, response, text);
    if (answer.status !== 200) return void response.writeHead(answer.status).end(answer.body);
    serveBlob(request, response, answer.body, { ...chunksOf(text), bytes: answer.body.length });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

function blobs(): Blobs {
  return new Blobs(
    new OrchestratorRoute(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, null, null),
    signer,
  );
}

it("a text is fetched once, with a signed request, and then comes from the disk", async () => {
  expect(await new BlobCache(folder, blobs()).get(corpus)).toEqual(text);
  expect(new Uint8Array(await new BlobCache(folder, blobs()).get(corpus))).toEqual(text);
  // Its list of chunks, then they themselves.
  expect(requests).toHaveLength(2);
  for (const { signature } of requests)
    expect(verifySession(signer.publicKey, `blob-get\n${corpus.sha256}`, signature)).toBe(true);
});

it("a damaged copy on the disk is fetched again", async () => {
  writeFileSync(join(folder, corpus.sha256), "Call me Ahab.");
  expect(await new BlobCache(folder, blobs()).get(corpus)).toEqual(text);
  expect(new Uint8Array(readFileSync(join(folder, corpus.sha256)))).toEqual(text);
});

it.each([
  ["other bytes", { status: 200, body: new TextEncoder().encode("Call me Ahab!!!!") }, "blob-corrupt"],
  ["more bytes than the run says", { status: 200, body: new Uint8Array(10_000) }, "blob-too-large"],
  ["a refusal", { status: 404, body: new TextEncoder().encode("no such blob") }, "blob-refused"],
])("%s from the orchestrator are refused and not kept", async (_, given, code) => {
  answer = given;
  await expect(new BlobCache(folder, blobs()).get(corpus)).rejects.toMatchObject({ code });
  expect(() => readFileSync(join(folder, corpus.sha256))).toThrow("ENOENT");
});

it("a checkpoint is sent with its digest and length signed", async () => {
  const file = join(folder, "file");
  writeFileSync(file, text);
  await blobs().put(corpus.sha256, file, text.length);
  const [{ method, target, body, signature } = { method: "", target: "", body: null, signature: "" }] =
    requests;
  expect([method, target]).toEqual(["PUT", `/v1/blobs/sha256/${corpus.sha256}`]);
  expect(body).toEqual(Buffer.from(text));
  expect(verifySession(signer.publicKey, `blob\n${corpus.sha256}\n${text.length}`, signature)).toBe(true);
});

it("a store that refuses a checkpoint is quoted", async () => {
  answer = { status: 413, body: new TextEncoder().encode("too large") };
  const file = join(folder, "file");
  writeFileSync(file, text);
  await expect(blobs().put(corpus.sha256, file, text.length)).rejects.toThrow(/HTTP 413 too large/);
  await expect(blobs().put(corpus.sha256, join(folder, "gone"), 5)).rejects.toMatchObject({
    code: "disk-failed",
  });
});

it("a checkpoint's file is fetched once, and again when the disk has spoilt it", async () => {
  const file = (): Promise<string> => new BlobCache(folder, blobs()).file(corpus.sha256, 1000);
  expect(new Uint8Array(readFileSync(await file()))).toEqual(text);
  expect(await file()).toBe(join(folder, corpus.sha256));
  expect(requests).toHaveLength(2);
  writeFileSync(join(folder, corpus.sha256), "Call me Ahab.");
  expect(new Uint8Array(readFileSync(await file()))).toEqual(text);
  await expect(new BlobCache(join(folder, "other"), blobs()).file(corpus.sha256, 5)).rejects.toMatchObject({
    code: "blob-too-large",
  });
});
