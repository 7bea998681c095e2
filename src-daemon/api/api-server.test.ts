import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { API_SCOPES } from "../../src-protocol/api-scopes.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import type { MethodName } from "../../src-protocol/methods.ts";
import { ALWAYS } from "../../src-protocol/policy.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import type { Handlers } from "./api-calls.ts";
import { CALL_LIMIT_BYTES, startApiServer } from "./api-server.ts";
import type { ApiServer } from "./api-server.ts";
import { EMBEDDED_CHAIN, embeddedNetwork, initialState } from "../state/initial-state.ts";
import { ApiTokens, refusalOf } from "./api-tokens.ts";
import type { Browser } from "./browser-memory.ts";
import { FakeBrowser, loginOf } from "./browser.test-support.ts";
import { localSocketPath } from "./local-socket.ts";
import { SignIn } from "./sign-in.ts";
import { StateStore } from "../state/state-store.ts";

const decision = { action: "run", reasons: ["always-allowed"], nextChange: null } as const;

let folder: string;
let bundle: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tah api "));
  bundle = join(folder, "renderer");
  mkdirSync(join(bundle, "assets"), { recursive: true });
  writeFileSync(join(bundle, "index.html"), "<title>Train at Home</title>");
  writeFileSync(join(bundle, "assets", "app-1a2b.js"), "export {}");
  writeFileSync(join(bundle, ".sources"), "hidden");
  writeFileSync(join(bundle, "notes.md"), "not a part of a page");
  writeFileSync(join(folder, "api.json"), "the daemon's token");
  mkdirSync(join(folder, "renderer-old"));
  writeFileSync(join(folder, "renderer-old", "page.html"), "next door");
  symlinkSync(join(folder, "api.json"), join(bundle, "link.json"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let server: ApiServer;
let signIn: SignIn;
let later = 0;
let kept: readonly Browser[] = [];
let tokens: ApiTokens;
const done: [who: string, method: string, code: string | null][] = [];
let store: StateStore;
let points: Set<(point: HistoryPoint) => void>;
const sockets: WebSocket[] = [];

function signInFor(browsers: readonly Browser[]): SignIn {
  return new SignIn({
    browsers,
    keep: (next) => (kept = next),
    now: () => Date.now() + later,
    steady: () => performance.now() + later,
  });
}

async function start(port: Parameters<typeof startApiServer>[0]["port"] = { kind: "likely", number: 0 }) {
  points = new Set();
  store = new StateStore(
    initialState({
      version: "1",
      startedAt: 0,
      dataFolder: folder,
      hotkey: ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
      policy: { decision: { ...decision, reasons: [...decision.reasons] }, rules: ALWAYS, override: null },
      network: embeddedNetwork(2, []),
      chain: EMBEDDED_CHAIN,
    }),
    Date.now,
  );
  later = 0;
  kept = [];
  signIn = signInFor(kept);
  tokens = new ApiTokens(join(folder, "tokens.json"), () => Date.now() + later);
  const handlers = {
    "state.get": () => store.get(),
    "policy.pause": () => {
      throw new Failure("not-now", "Not now, later.");
    },
    "daemon.quit": () => ({}),
  } as unknown as Handlers;
  return startApiServer({
    signIn,
    tokens,
    socketPath: localSocketPath(folder),
    onCall: (...call) => void done.push(call),
    bundle,
    port,
    store,
    handlers,
    onPoint(listener) {
      points.add(listener);
      return () => void points.delete(listener);
    },
  });
}
beforeEach(async () => {
  server = await start();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await server.close();
});

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A request exactly as written: no library tidies the path up first. */
function get(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: "127.0.0.1", port: server.port, path, method, headers, agent: false },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => (body += text));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      },
    );
    request.on("error", reject).end();
  });
}

/** A browser that is signed in, with its open connection. */
async function signedIn(): Promise<{ browser: FakeBrowser; tab: WebSocket }> {
  const browser = new FakeBrowser();
  const tab = await browser.visit({ url: server.url, login: loginOf(server.loginUrl()) });
  if (typeof tab === "string") throw new Error(`refused: ${tab}`);
  sockets.push(tab);
  return { browser, tab };
}

/** Resolves with the open socket, or with the status it was refused with. */
function open(headers: Record<string, string>, path = "/rpc"): Promise<WebSocket | number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, { headers });
    sockets.push(socket);
    socket.on("open", () => resolve(socket));
    socket.on("unexpected-response", (_request, response) => resolve(response.statusCode ?? 0));
    socket.on("error", reject);
  });
}

async function program(): Promise<WebSocket> {
  const socket = await open({ Authorization: `Bearer ${signIn.bearer}` });
  if (typeof socket === "number") throw new Error(`refused with ${socket}`);
  return socket;
}

function ask(socket: WebSocket, text: string): Promise<unknown> {
  return new Promise((resolve) => {
    socket.once("message", (data) => resolve(JSON.parse(data.toString())));
    socket.once("close", (code) => resolve({ closed: code }));
    socket.send(text);
  });
}

describe("signing in", () => {
  it("F12: sets no cookie anywhere: a cookie would go to every port of this computer", async () => {
    await signedIn();
    for (const path of ["/", "/assets/app-1a2b.js", "/login", "/missing"])
      expect((await get(path)).headers["set-cookie"]).toBeUndefined();
  });

  it("is by an address whose secret never reaches a server, works once, and not for long", async () => {
    const url = new URL(server.loginUrl());
    expect([url.search, url.pathname]).toEqual(["", "/"]);
    const login = loginOf(url.href);
    expect(login).toMatch(/^[0-9a-f]{64}$/);
    expect(await new FakeBrowser().visit({ url: server.url, login })).toBeInstanceOf(WebSocket);
    expect(await new FakeBrowser().visit({ url: server.url, login })).toBe("not-signed-in");
    const late = loginOf(server.loginUrl());
    later += 121_000;
    expect(await new FakeBrowser().visit({ url: server.url, login: late })).toBe("not-signed-in");
  });

  it("is remembered over a restart, by the browser's public key alone", async () => {
    const { browser } = await signedIn();
    const remembered = kept;
    expect(JSON.stringify(remembered)).not.toMatch(/[0-9a-f]{64}/);
    await server.close();
    server = await start();
    expect(await browser.visit({ url: server.url })).toBe("not-signed-in");
    await server.close();
    const before = remembered;
    server = await start();
    signIn = signInFor(before);
    await expect(
      signIn.admit(await browser.hello(server.url, "ab".repeat(32), null), server.url, "ab".repeat(32)),
    ).resolves.toBeUndefined();
    later += 91 * 24 * 3600 * 1000;
    await expect(
      signIn.admit(await browser.hello(server.url, "ab".repeat(32), null), server.url, "ab".repeat(32)),
    ).rejects.toMatchObject({ code: "not-signed-in" });
  });

  it("F12: what a page of another port signs or hears opens nothing", async () => {
    const { browser } = await signedIn();
    const { url } = server;
    const elsewhere = await browser.hello("http://127.0.0.1:1", "ab".repeat(32), null);
    expect(await browser.visit({ url, change: () => elsewhere })).toBe("not-signed-in");
    expect(await browser.visit({ url, origin: "http://127.0.0.1:1" })).toBe("403");
    const stranger = new FakeBrowser();
    const { publicKey } = elsewhere;
    expect(await stranger.visit({ url, change: (hello) => ({ ...hello, publicKey }) })).toBe("not-signed-in");
    for (const change of [
      () => null,
      () => [],
      () => ({ type: "hello" }),
      () => ({ ...elsewhere, extra: 1 }),
    ])
      expect(await browser.visit({ url, change })).toBe("not-signed-in");
    expect(await browser.visit({ url })).toBeInstanceOf(WebSocket);
  });

  it("ends with a sign-out, for every browser and every unused address; programs stay", async () => {
    const { browser, tab } = await signedIn();
    const own = await program();
    const unused = loginOf(server.loginUrl());
    const closed = new Promise((resolve) => tab.once("close", resolve));
    server.signOut();
    await closed;
    expect(own.readyState).toBe(WebSocket.OPEN);
    expect(await browser.visit({ url: server.url })).toBe("not-signed-in");
    expect(await browser.visit({ url: server.url, login: unused })).toBe("not-signed-in");
  });

  it("forgets the oldest of too many unused addresses", async () => {
    const login = signIn.newLogin();
    for (let count = 0; count < 16; count += 1) signIn.newLogin();
    expect(await new FakeBrowser().visit({ url: server.url, login })).toBe("not-signed-in");
  });
});

describe("tokens", () => {
  const asks = async (socket: WebSocket, method: string): Promise<unknown> =>
    ask(socket, JSON.stringify({ id: 1, method, params: {} }));

  it("allow what their scopes say, end by time, and are worth nothing once revoked", async () => {
    const { id, token } = tokens.create("Agent", ["read"], 1);
    const socket = await open({ Authorization: `Bearer ${token}` });
    if (typeof socket === "number") throw new Error(`refused with ${socket}`);
    expect(await asks(socket, "state.get")).toMatchObject({ type: "result" });
    for (const method of ["policy.pause", "daemon.quit", "session.newLogin", "earnings.claim"])
      expect(await asks(socket, method)).toMatchObject({ error: { code: "scope-needed" } });
    expect(done.at(-1)).toEqual(["token Agent", "earnings.claim", "scope-needed"]);
    const ended = new Promise((resolve) => socket.once("close", resolve));
    tokens.revoke(id);
    server.endToken(id);
    await ended;
    expect(await open({ Authorization: `Bearer ${token}` })).toBe(403);
    const { token: short } = tokens.create("Short", ["control"], 1);
    later += 25 * 3600 * 1000;
    expect(await open({ Authorization: `Bearer ${short}` })).toBe(403);
  });
});

describe("keys and payout addresses", () => {
  const KEYS = [
    "wallet.create",
    "wallet.import",
    "wallet.backup",
    "wallet.use",
    "wallet.payout",
    "payout.bind",
  ];

  it("are for a person: not for a token with every scope, and not for nobody", async () => {
    const { token } = tokens.create("Agent", [...API_SCOPES], 1);
    const socket = await open({ Authorization: `Bearer ${token}` });
    if (typeof socket === "number") throw new Error(`refused with ${socket}`);
    for (const method of KEYS)
      expect(await ask(socket, JSON.stringify({ id: 1, method, params: {} }))).toMatchObject({
        error: { code: "scope-needed" },
      });
    const inBrowser = { who: "owner (browser)", scopes: new Set(API_SCOPES) };
    for (const method of KEYS) expect(refusalOf(inBrowser, method as MethodName)).toBeNull();
    expect(refusalOf(inBrowser, "session.newToken")?.code).toBe("scope-needed");
  });
});

describe.skipIf(process.platform === "win32")("the local socket", () => {
  it("is its owner's alone, and needs no token", async () => {
    const path = server.socketPath;
    if (path === null) throw new Error("there is no socket");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const socket = new WebSocket("ws://localhost/rpc", { createConnection: () => connect(path) });
    sockets.push(socket);
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    expect(await ask(socket, '{"id":1,"method":"daemon.quit"}')).toMatchObject({ type: "result" });
    expect(done.at(-1)).toEqual(["owner (local socket)", "daemon.quit", null]);
    expect(localSocketPath(`/${"x".repeat(120)}`)).toBeNull();
  });

  it("answers while strangers hold every place of the port, who hold none of them for long", async () => {
    const slow = Array.from({ length: 400 }, (_, index) => {
      const socket = connect(server.port, "127.0.0.1");
      socket.on("error", () => {});
      if (index % 2 === 0) socket.write("GET / HTTP/1.1\r\nHost: ");
      return socket;
    });
    const path = server.socketPath ?? "";
    const socket = new WebSocket("ws://localhost/rpc", { createConnection: () => connect(path) });
    sockets.push(socket);
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    expect(await ask(socket, '{"id":1,"method":"state.get"}')).toMatchObject({ type: "result" });
    // And a browser comes in beside them.
    expect(await signedIn()).toBeDefined();
    for (const each of slow) each.destroy();
  });
});

describe("the dashboard's files", () => {
  it("are served with a strict policy", async () => {
    const answer = await get("/");
    expect(answer.body).toContain("<title>Train at Home</title>");
    const policy = String(answer.headers["content-security-policy"]);
    for (const part of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ])
      expect(policy.split("; ")).toContain(part);
    expect(policy).not.toMatch(/unsafe|\*/);
    expect(answer.headers["x-content-type-options"]).toBe("nosniff");
    expect((await get("/assets/app-1a2b.js")).headers["content-type"]).toMatch(/javascript/);
  });

  it("are no picture or script for a page of another site, though a link may lead to them", async () => {
    for (const site of ["cross-site", "same-site"]) {
      const sec = { "Sec-Fetch-Site": site };
      expect((await get("/icon.svg", { ...sec, "Sec-Fetch-Mode": "no-cors" })).status).toBe(403);
      expect((await get("/", { ...sec, "Sec-Fetch-Mode": "navigate" })).status).toBe(200);
    }
  });

  it.each([
    "/../api.json",
    "/%2e%2e/api.json",
    "/..%2fapi.json",
    "/assets/../../api.json",
    "/assets/%2e%2e/%2e%2e/api.json",
    "/..\\api.json",
    "/..%5capi.json",
    "/../renderer-old/page.html",
    "//etc/passwd",
    "/%00/index.html",
    "/index.html%00.js",
    "/%",
    "/link.json",
    "/.sources",
    "/notes.md",
    "/assets",
    "/missing.js",
  ])("and nothing else is: %s", async (path) => {
    const answer = await get(path);
    expect(answer.status).toBe(404);
    expect(answer.body).not.toMatch(/token|next door|root:/);
  });

  it("answer to GET alone", async () => {
    expect((await get("/", {}, "POST")).status).toBe(405);
  });
});

describe("foreign pages", () => {
  it.each(["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", "[::1]:80"])(
    "reach nothing under the host name %s",
    async (Host) => {
      expect((await get("/", { Host })).status).toBe(421);
      expect(await open({ Host, Origin: `http://${Host}` })).toBe(421);
    },
  );

  it.each(["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1.evil.example"])(
    "open no socket from the origin %s, with a good token or without",
    async (Origin) => {
      expect(await open({ Origin })).toBe(403);
      expect(await open({ Authorization: `Bearer ${signIn.bearer}`, Origin })).toBe(403);
      expect((await get("/", { Origin })).status).toBe(403);
    },
  );
});

describe("the socket", () => {
  it("opens for a signed-in browser and for a program with the token", async () => {
    await signedIn();
    expect(await program()).toBeInstanceOf(WebSocket);
  });

  it("opens for nobody else", async () => {
    expect(await new FakeBrowser().visit({ url: server.url })).toBe("not-signed-in");
    expect(await open({})).toBe(403);
    expect(await open({ Authorization: `Bearer ${"0".repeat(64)}` })).toBe(403);
    expect(await open({ Authorization: "Bearer " })).toBe(403);
    expect(await open({ Authorization: `Bearer ${signIn.bearer}` }, "/elsewhere")).toBe(404);
  });

  it.each([
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "state.get.constructor",
    "",
    7,
    null,
    ["state.get"],
  ])("knows no method %j", async (method) => {
    const answer = await ask(await program(), JSON.stringify({ id: 3, method, params: {} }));
    expect(answer).toMatchObject({ type: "error", id: 3, error: { code: "bad-request" } });
  });

  it("refuses parameters that the table does not know", async () => {
    const socket = await program();
    const calls = [
      { method: "state.get", params: { extra: 1 } },
      { method: "policy.pause", params: { minutes: 1e9, by: "cli" } },
      { method: "policy.pause", params: { minutes: 5, by: "stranger" } },
      { method: "policy.setRules", params: { rules: { schedule: "never" } } },
    ];
    for (const [id, call] of calls.entries())
      expect(await ask(socket, JSON.stringify({ id, ...call }))).toMatchObject({
        type: "error",
        id,
        error: { code: "bad-parameters" },
      });
  });

  it("answers a failing call with its code and sentence, never with a stack", async () => {
    const call = { id: 1, method: "policy.pause", params: { minutes: 5, by: "cli" } };
    expect(await ask(await program(), JSON.stringify(call))).toEqual({
      type: "error",
      id: 1,
      error: { code: "not-now", message: "Not now, later." },
    });
  });

  it.each(["", "no json", "[]", "null", "{}", '{"id":-1}', '{"id":1.5,"method":"state.get"}'])(
    "is closed by what is no call at all: %j",
    async (text) => {
      expect(await ask(await program(), text)).toEqual({ closed: 1007 });
    },
  );

  it("is closed by a message that is too large", async () => {
    const text = JSON.stringify({ id: 1, method: "state.get", params: { x: "x".repeat(CALL_LIMIT_BYTES) } });
    expect(await ask(await program(), text)).toEqual({ closed: 1009 });
  });

  it("carries the state, then its changes and finished steps", async () => {
    const socket = await program();
    const seen: unknown[] = [];
    expect(await ask(socket, '{"id":1,"method":"state.subscribe"}')).toMatchObject({
      id: 1,
      result: { version: "1" },
    });
    const done = new Promise<void>((resolve) =>
      socket.on("message", (data) => {
        if (seen.push(JSON.parse(data.toString())) === 2) resolve();
      }),
    );
    store.update((state) => ({ ...state, version: "2" }));
    const point = { step: 1, at: 0, loss: 5, heldOutLoss: null, tokensPerSecond: null };
    for (const listener of points) listener(point);
    await done;
    expect(seen).toContainEqual({ type: "patch", operations: [{ path: ["version"], value: "2" }] });
    expect(seen).toContainEqual({ type: "point", point });
  });
});

describe("the port", () => {
  it("that was asked for must be free", async () => {
    const blocker = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => blocker.once("listening", resolve));
    const { port } = blocker.address() as AddressInfo;
    await expect(start({ kind: "exact", number: port })).rejects.toThrow(
      /is in use by another program.*--port/,
    );
    const other = await start({ kind: "likely", number: port });
    expect(other.port).not.toBe(port);
    await other.close();
    blocker.close();
  });
});
