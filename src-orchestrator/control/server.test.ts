import { readdirSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { accountAnswer, historyAnswer, runView, watchMessage } from "../../src-protocol/api.ts";
import type { WatchMessage } from "../../src-protocol/api.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import { until } from "../test-support/fake-node.test-support.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { hotkey, signedHeaders } from "../test-support/keys.test-support.ts";
import { corpusRun, embeddedOptions, openOrchestrator } from "../orchestrator.test-support.ts";
import { startOrchestrator } from "../orchestrator.ts";
import { UNNAMED_UPLOADS } from "./upload-quota.ts";

const ME = hotkey(0);

/** `fetch` does not let a test choose its Host header. */
function status(url: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}

describe("the public picture", () => {
  test("is the run now, its history, and every change to whoever watches", async () => {
    const { orchestrator, net } = await openOrchestrator({ steps: 6 });
    const { url } = orchestrator;
    const seen: { at: number; message: WatchMessage }[] = [];
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/watch`);
    socket.on("message", (data) =>
      seen.push({ at: Date.now(), message: watchMessage.parse(JSON.parse(String(data))) }),
    );
    await until("the first picture", () => seen.length === 1);
    expect(seen[0]?.message).toMatchObject({
      type: "run",
      run: { phase: "waiting", nodes: 0, parameterCount: 2_541_312 },
    });
    for (const number of [0, 1, 2]) net.node(url, number);
    const finished = ({ message }: (typeof seen)[number]) =>
      message.type === "run" && message.run.phase === "finished";
    await until("finished", () => seen.some(finished));
    const points = seen.flatMap(({ message }) => (message.type === "point" ? [message.point] : []));
    expect([...new Set(points.map((point) => point.step))]).toEqual([1, 2, 3, 4, 5, 6]);
    const pictures = seen.filter(({ message }) => message.type === "run").length;
    expect(pictures).toBeLessThanOrEqual(2 + ((seen.at(-1)?.at ?? 0) - (seen[0]?.at ?? 0)) / 200);
    expect(runView.parse(await (await fetch(`${url}/v1/run`)).json()).phase).toBe("finished");
    const history = historyAnswer.parse(await (await fetch(`${url}/v1/run/history?sinceStep=4`)).json());
    expect(history.points.map((point) => [point.step, point.heldOutLoss])).toEqual([
      [5, 4],
      [6, 4],
    ]);
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ ok: true });
    socket.close();
  });

  test("is not given to web pages of other sites or under other host names", async () => {
    const { orchestrator } = await openOrchestrator();
    const url = `${orchestrator.url}/v1/run`;
    expect(await status(url, {})).toBe(200);
    expect(await status(url, { host: "evil.example" })).toBe(403);
    expect(await status(url, { host: "127.0.0.1.evil.example:80" })).toBe(403);
    expect(await status(url, { origin: "https://evil.example" })).toBe(403);
    const socket = new WebSocket(`${orchestrator.url.replace("http", "ws")}/v1/watch`, {
      origin: "https://evil.example",
    });
    await expect(new Promise((_, reject) => socket.on("error", reject))).rejects.toThrow("403");
  });

  test("errors are a code and a sentence", async () => {
    const { orchestrator } = await openOrchestrator();
    const answer = await fetch(`${orchestrator.url}/v1/nothing`);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toEqual({ code: "not-found", message: "There is no GET /v1/nothing here." });
    expect((await fetch(`${orchestrator.url}/v1/run/history?sinceStep=x`)).status).toBe(400);
  });
});

describe("signed requests", () => {
  async function ask(
    url: string,
    target: string,
    headers: Record<string, string>,
    body?: string,
    method = "GET",
  ) {
    const answer = await fetch(`${url}${target}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    return { status: answer.status, json: (await answer.json()) as { code?: string } };
  }

  test("an account is shown to its hotkey", async () => {
    const { orchestrator } = await openOrchestrator();
    const target = "/v1/account";
    const { status, json } = await ask(orchestrator.url, target, signedHeaders(ME, "GET", target, ""));
    expect(status).toBe(200);
    expect(accountAnswer.parse(json)).toMatchObject({
      hotkey: ME.address,
      payoutColdkey: ME.address,
      accruedRao: "0",
    });
  });

  test("are refused when anything about them was changed, is old, early, or was used before", async () => {
    const { orchestrator } = await openOrchestrator();
    const { url } = orchestrator;
    const target = "/v1/account/receipts?limit=5";
    const code = async (headers: Record<string, string>, to = target, body?: string, method?: string) =>
      (await ask(url, to, headers, body, method)).json.code;
    const signed = (change = {}) => signedHeaders(ME, "GET", target, "", change);
    expect(await code(signed())).toBeUndefined();
    expect(await code({})).toBe("not-signed");
    expect(await code({ ...signed(), "epistula-version": "1" })).toBe("not-signed");
    expect(await code({ ...signed(), "epistula-uuid": "x" })).toBe("not-signed");
    expect(await code(signed(), "/v1/account/receipts?limit=6")).toBe("bad-signature");
    expect(await code({ ...signed(), "epistula-signed-by": hotkey(1).address })).toBe("bad-signature");
    expect(await code(signed({ now: Date.now() - 9_000 }))).toBe("stale-request");
    expect(await code(signed({ now: Date.now() + 9_000 }))).toBe("stale-request");
    expect(await code(signed({ signedFor: ME.address }))).toBe("not-for-me");
    const once = signed();
    expect(await code(once)).toBeUndefined();
    expect(await code(once)).toBe("replayed-request");
    const body = '{"claim": 1}';
    const post = signedHeaders(ME, "POST", "/v1/claims", body);
    expect(await code(post, "/v1/claims", `${body} `, "POST")).toBe("bad-signature");
    expect(await code(post, "/v1/claims", body, "POST")).toBe("bad-request");
  });

  test("a used request stays used when the orchestrator starts again", async () => {
    const { orchestrator, folder } = await openOrchestrator();
    const headers = signedHeaders(ME, "GET", "/v1/account", "");
    expect((await ask(orchestrator.url, "/v1/account", headers)).status).toBe(200);
    await orchestrator.close();
    const again = await openOrchestrator({}, { folder });
    expect((await ask(again.orchestrator.url, "/v1/account", headers)).json.code).toBe("replayed-request");
  });
});

describe("blobs over HTTP", () => {
  const BYTES = Buffer.from("weights ".repeat(10_000));
  const DIGEST = sha256(BYTES);

  async function withNode() {
    const { orchestrator, net, folder } = await openOrchestrator();
    const signer = createSessionSigner();
    net.run = () => {};
    net.node(orchestrator.url, 0, { signer });
    net.node(orchestrator.url, 1);
    net.node(orchestrator.url, 2);
    await until("every stage is held", () => orchestrator.host.view().phase === "training");
    const spare = createSessionSigner();
    net.node(orchestrator.url, 3, { signer: spare });
    await until("joined", () => orchestrator.host.view().nodes === 4);
    const headers = (text: string, by = signer) => ({
      "x-tah-session": by.publicKey,
      "x-tah-signature": by.sign(text),
    });
    const put = (body: Buffer, text: string, digest = DIGEST, by = signer) =>
      fetch(`${orchestrator.url}/v1/blobs/sha256/${digest}`, {
        method: "PUT",
        body: new Uint8Array(body),
        headers: headers(text, by),
      });
    const get = (digest: string, by = signer) =>
      fetch(`${orchestrator.url}/v1/blobs/sha256/${digest}`, { headers: headers(`blob-get\n${digest}`, by) });
    return { put, get, folder, spare };
  }

  test("a connected node stores and fetches; it finds the corpus there", async () => {
    const { put, get } = await withNode();
    expect((await put(BYTES, `blob\n${DIGEST}\n${BYTES.length}`)).status).toBe(200);
    const answer = await get(DIGEST);
    expect(Buffer.from(await answer.arrayBuffer()).equals(BYTES)).toBe(true);
    const corpus = await get(corpusRun().corpus.sha256);
    expect((await corpus.text()).startsWith("Call me Ishmael.")).toBe(true);
  });

  test("nobody else does, and nothing wrong is stored", async () => {
    const { put, get } = await withNode();
    const stranger = createSessionSigner();
    const code = async (answer: Promise<Response>) =>
      ((await (await answer).json()) as { code: string }).code;
    expect(await code(put(BYTES, `blob\n${DIGEST}\n${BYTES.length}`, DIGEST, stranger))).toBe("not-a-node");
    expect(await code(put(BYTES, `blob\n${DIGEST}\n1`))).toBe("not-a-node");
    expect(await code(put(BYTES, "", "xyz"))).toBe("bad-digest");
    const other = sha256("other");
    expect(await code(put(BYTES, `blob\n${other}\n${BYTES.length}`, other))).toBe("blob-mismatch");
    const huge = Buffer.alloc(13 * 1024 * 1024);
    expect(await code(put(huge, `blob\n${DIGEST}\n${huge.length}`))).toBe("blob-too-large");
    expect(await code(get(other))).toBe("blob-unknown");
    expect(await code(get(corpusRun().corpus.sha256, stranger))).toBe("not-a-node");
  });

  test("a node without a stage stores nothing, and no node fills the disk with blobs that nothing names", async () => {
    const { put, get, spare } = await withNode();
    const store = async (body: Buffer, by?: typeof spare) =>
      (await put(body, `blob\n${sha256(body)}\n${body.length}`, sha256(body), by)).status;
    expect(await store(BYTES, spare)).toBe(403);
    expect((await get(corpusRun().corpus.sha256, spare)).status).toBe(200);
    for (let i = 0; i < UNNAMED_UPLOADS; i++) expect(await store(Buffer.from(`blob ${i}`))).toBe(200);
    expect(await store(Buffer.from("one more"))).toBe(429);
    expect(await store(Buffer.from("blob 0"))).toBe(200);
  });

  test("a damaged blob is a clear failure", async () => {
    const { get, put, folder } = await withNode();
    await put(BYTES, `blob\n${DIGEST}\n${BYTES.length}`);
    writeFileSync(join(folder, "blobs", "sha256", DIGEST.slice(0, 2), DIGEST), "short");
    const answer = await get(DIGEST);
    expect(answer.status).toBe(500);
    expect(await answer.json()).toMatchObject({ code: "blob-corrupt" });
  });
});

describe("starting", () => {
  const start = (options: Parameters<typeof startOrchestrator>[0]) =>
    startOrchestrator(options).then(
      async (started) => {
        await started.close();
        return "started";
      },
      (error: { code: string }) => error.code,
    );

  test("a port in use, another text and a missing text are each one clear failure", async () => {
    const taken = createTcpServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.on("listening", resolve));
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const options = embeddedOptions(temporaryFolder());
    expect(await start({ ...options, port })).toBe("port-in-use");
    taken.close();
    const other = embeddedOptions(temporaryFolder());
    const run = { ...other.run, corpus: { ...other.run.corpus, sha256: sha256("x") } };
    expect(await start({ ...other, run })).toBe("corpus-mismatch");
    expect(await start({ ...other, corpusFile: join(other.folder, "gone.txt") })).toBe("corpus-missing");
    expect(await start(other)).toBe("started");
    // The store has the text now.
    expect(await start({ ...other, corpusFile: join(other.folder, "gone.txt") })).toBe("started");
    expect(await start({ ...other, network: "elsewhere" })).toBe("other-network");
    expect(readdirSync(other.folder)).toContain("orchestrator.db");
  });

  test("a stored run keeps its mathematics but goes on as long as it is asked to, and the clock keeps its beginning", async () => {
    let now = 1_000_000;
    const options = { ...embeddedOptions(temporaryFolder()), now: () => now };
    const first = await startOrchestrator(options);
    expect(first.host.view().block).toBe(0);
    await first.close();
    now += 5 * 12_000 + 11_999;
    const again = await startOrchestrator({
      ...options,
      run: { ...options.run, seed: options.run.seed + 1, name: "Another name", steps: 99 },
    });
    expect(again.host.view()).toMatchObject({ name: "Test run", steps: 99, block: 5 });
    await again.close();
  });
});
