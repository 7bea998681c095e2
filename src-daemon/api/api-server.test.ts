import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import { ALWAYS } from "../../src-protocol/policy.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import type { Handlers } from "./api-calls.ts";
import { CALL_LIMIT_BYTES, startApiServer } from "./api-server.ts";
import type { ApiServer } from "./api-server.ts";
import { EMBEDDED_CHAIN, embeddedNetwork, initialState } from "../state/initial-state.ts";
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
let store: StateStore;
let points: Set<(point: HistoryPoint) => void>;
const sockets: WebSocket[] = [];

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
  signIn = new SignIn({ dataFolder: folder, now: () => Date.now() + later });
  const handlers = {
    "state.get": () => store.get(),
    "policy.pause": () => {
      throw new Failure("not-now", "Not now, later.");
    },
    "daemon.quit": () => ({}),
  } as unknown as Handlers;
  return startApiServer({
    signIn,
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

async function cookie(): Promise<string> {
  const answer = await get(new URL(server.loginUrl()).pathname + new URL(server.loginUrl()).search);
  return (answer.headers["set-cookie"]?.[0] ?? "").split(";")[0] ?? "";
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
  it("turns a one-time address into a cookie that scripts cannot read and other sites cannot send", async () => {
    const url = new URL(server.loginUrl());
    expect(url.searchParams.get("token")).toMatch(/^[0-9a-f]{64}$/);
    const answer = await get(url.pathname + url.search);
    expect(answer.status).toBe(303);
    expect(answer.headers.location).toBe("/");
    expect(answer.headers["set-cookie"]?.[0]).toMatch(/^tah-\w+=.*; HttpOnly; SameSite=Strict; Path=\//);
  });

  it("refuses an address that was used before", async () => {
    const url = new URL(server.loginUrl());
    await get(url.pathname + url.search);
    const again = await get(url.pathname + url.search);
    expect(again.status).toBe(403);
    expect(again.headers["set-cookie"]).toBeUndefined();
    expect(again.body).toMatch(/tah open/);
  });

  it("leaves a browser that is signed in alone when it opens a used address again", async () => {
    const url = new URL(server.loginUrl());
    const first = await get(url.pathname + url.search);
    const Cookie = (first.headers["set-cookie"]?.[0] ?? "").split(";")[0] ?? "";
    const again = await get(url.pathname + url.search, { Cookie });
    expect([again.status, again.headers["set-cookie"]]).toEqual([303, undefined]);
  });

  it("is not used up by a preview of the link", async () => {
    const url = new URL(server.loginUrl());
    expect((await get(url.pathname + url.search, {}, "HEAD")).status).toBe(403);
    expect((await get(url.pathname + url.search)).status).toBe(303);
  });

  it.each(["", "?token=", `?token=${"0".repeat(64)}`, "?token=__proto__"])(
    "refuses /login%s",
    async (query) => {
      expect((await get(`/login${query}`)).status).toBe(403);
    },
  );

  it("F12: ends with the daemon, with a sign-out, and with time: its cookie goes to every port of this computer", async () => {
    const Cookie = await cookie();
    const Origin = `http://127.0.0.1:${server.port}`;
    const tab = await open({ Cookie, Origin });
    if (typeof tab === "number") throw new Error(`refused with ${tab}`);
    const own = await program();
    const unused = new URL(server.loginUrl());
    const closed = new Promise((resolve) => tab.once("close", resolve));
    server.signOut();
    await closed;
    expect(own.readyState).toBe(WebSocket.OPEN);
    expect(await open({ Cookie, Origin })).toBe(403);
    expect((await get(unused.pathname + unused.search)).status).toBe(403);

    const next = await cookie();
    expect(signIn.cookieHolds(next)).toBe(true);
    expect(new SignIn({ dataFolder: folder, now: Date.now }).cookieHolds(next)).toBe(false);
    expect(signIn.cookieHolds(next.replace("=", "=9"))).toBe(false);
    expect(signIn.cookieHolds(undefined)).toBe(false);
    later = 8 * 24 * 3600 * 1000;
    expect(signIn.cookieHolds(next)).toBe(false);
  });

  it("F12: an address that was not used within two minutes opens nothing", async () => {
    const url = new URL(server.loginUrl());
    later += 121_000;
    expect((await get(url.pathname + url.search)).status).toBe(403);
  });

  it("forgets the oldest of too many unused addresses", () => {
    const first = signIn.newLogin();
    for (let count = 0; count < 16; count += 1) signIn.newLogin();
    expect(signIn.redeem(first)).toBe(false);
  });
});

describe("the dashboard's files", () => {
  it("are served to a signed-in browser with a strict policy", async () => {
    const answer = await get("/", { Cookie: await cookie() });
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
    expect((await get("/assets/app-1a2b.js", { Cookie: await cookie() })).headers["content-type"]).toMatch(
      /javascript/,
    );
  });

  it("are not served to anybody else", async () => {
    expect((await get("/")).status).toBe(401);
    expect((await get("/assets/app-1a2b.js")).status).toBe(401);
    expect((await get("/", { Cookie: "tah=1" })).status).toBe(401);
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
  ])("and nothing else is, even with a cookie: %s", async (path) => {
    const answer = await get(path, { Cookie: await cookie() });
    expect(answer.status).toBe(404);
    expect(answer.body).not.toMatch(/token|next door|root:/);
  });

  it("answer to GET alone", async () => {
    expect((await get("/", { Cookie: await cookie() }, "POST")).status).toBe(405);
  });
});

describe("foreign pages", () => {
  it.each(["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", "[::1]:80"])(
    "reach nothing under the host name %s",
    async (Host) => {
      const Cookie = await cookie();
      expect((await get("/", { Cookie, Host })).status).toBe(421);
      expect(await open({ Cookie, Host, Origin: `http://${Host}` })).toBe(421);
    },
  );

  it.each(["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1.evil.example"])(
    "open no socket from the origin %s, with a good cookie or a good token",
    async (Origin) => {
      const Cookie = await cookie();
      expect(await open({ Cookie, Origin })).toBe(403);
      expect(await open({ Authorization: `Bearer ${signIn.bearer}`, Origin })).toBe(403);
      expect((await get("/", { Cookie, Origin })).status).toBe(403);
    },
  );
});

describe("the socket", () => {
  it("opens for a signed-in browser and for a program with the token", async () => {
    const Cookie = await cookie();
    expect(await open({ Cookie, Origin: server.url })).toBeInstanceOf(WebSocket);
    expect(await program()).toBeInstanceOf(WebSocket);
  });

  it("opens for nobody else", async () => {
    expect(await open({ Origin: server.url })).toBe(403);
    expect(await open({ Cookie: await cookie() })).toBe(403);
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
