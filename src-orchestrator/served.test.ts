import { readFileSync, statSync } from "node:fs";
import { get } from "node:https";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import {
  CONTROL_EXPORTER_BYTES,
  CONTROL_EXPORTER_LABEL,
  CONTROL_PROTOCOL,
  LOOPBACK_CHANNEL,
  orchestratorMessage,
  proofText,
} from "../src-protocol/control.ts";
import type { ServedNetwork } from "../src-protocol/daemon-ipc.ts";
import { Failure } from "../src-protocol/failure.ts";
import { parseInvitation } from "../src-protocol/invitation.ts";
import type { Invitation } from "../src-protocol/invitation.ts";
import { operatorFile, operatorStatus } from "../src-protocol/operator.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";
import type { SessionSigner } from "../src-protocol/signing.ts";
import { OperatorClient } from "../src-cli/operator-client.ts";
import { reachNetwork } from "../src-daemon/networks/network-card.ts";
import { Control } from "../src-worker/control/control.ts";
import { OrchestratorRoute } from "../src-worker/control/orchestrator-route.ts";
import { FakeNet, until } from "./test-support/fake-node.test-support.ts";
import { temporaryFolder } from "./test-support/folder.test-support.ts";
import { delegate, hotkey } from "./test-support/keys.test-support.ts";
import { openOrchestrator } from "./orchestrator.test-support.ts";
import type { Orchestrator, OrchestratorOptions } from "./orchestrator.ts";
import { KEY_FILE } from "./control/tls-identity.ts";
import { storeRow } from "./stores/run-store.ts";

const SERVED: ServedNetwork = {
  name: "Kitchen",
  operator: "Anna",
  open: false,
  page: false,
  addresses: [{ host: "127.0.0.1", port: null }],
  certificate: null,
};

let home: string;
let clock: number;
let orchestrator: Orchestrator;
let operator: OperatorClient;
const controls: Control[] = [];

beforeEach(async () => {
  home = temporaryFolder();
  clock = Date.now();
  await serve();
});
afterEach(async () => {
  await Promise.all(controls.splice(0).map((control) => control.close("the test is over", 0)));
});

async function serve(
  change: Partial<ServedNetwork> = {},
  options: Partial<OrchestratorOptions> = {},
): Promise<void> {
  const folder = join(home, "network");
  const { mkdirSync } = process.getBuiltinModule("node:fs");
  mkdirSync(folder, { recursive: true });
  const times = { helloTimeoutMs: 5_000, heartbeatMs: 500, deadAfterMs: 10_000 };
  const served = { ...SERVED, ...change };
  ({ orchestrator } = await openOrchestrator({}, { folder, served, times, now: () => clock, ...options }));
  operator = OperatorClient.of(home);
}

async function invite(
  uses = 1,
  expiresInSeconds: number | null = null,
): Promise<Invitation & { id: string }> {
  const { id, invitation } = await operator.invite({ uses, expiresInSeconds });
  const parsed = parseInvitation(invitation, clock);
  if (parsed instanceof Failure) throw parsed;
  return { ...parsed, id };
}

interface Node {
  readonly control: Control;
  readonly signer: SessionSigner;
  welcomed: boolean;
  refused: string | null;
}

/** A worker's own connection to the orchestrator, without the work. */
function node(
  invitation: Pick<Invitation, "keySha256" | "token">,
  number: number,
  country: string | null = null,
): Node {
  const owner = hotkey(number);
  const signer = createSessionSigner();
  const { network } = statusNow();
  const said = { welcomed: false, refused: null as string | null };
  const control = new Control({
    route: new OrchestratorRoute(orchestrator.url, invitation, owner.address),
    delegation: delegate(owner, signer.publicKey, network, clock),
    signer,
    capabilities: { platform: "test", threads: 1, memoryBytes: 1e9, executionProvider: "cpu" },
    linkAddress: { host: "127.0.0.1", port: 9 },
    otherAddresses: () => [],
    restorable: () => [],
    country: () => country,
    onInstruction: () => {},
    onConnection: (connected) => {
      said.welcomed ||= connected;
    },
    onRefused: ({ code }) => {
      said.refused ??= code;
    },
  });
  controls.push(control);
  return Object.assign(said, { control, signer });
}

let known: { network: string } | null = null;
function statusNow(): { network: string } {
  if (known === null) throw new Error("ask for the status first");
  return known;
}
beforeEach(async () => {
  known = await operator.status();
});

async function outcome(of: Node): Promise<string> {
  await until("it is welcomed or refused", () => of.welcomed || of.refused !== null, 20_000);
  return of.refused ?? "welcome";
}

describe("a served network", () => {
  test("keeps its key over restarts, for nobody else to read, and shows a card to the invited", async () => {
    const invitation = await invite();
    expect(statSync(join(home, "network", KEY_FILE)).mode & 0o777).toBe(0o600);
    const { card } = await reachNetwork(invitation, hotkey(1).address);
    expect(card).toMatchObject({
      protocol: CONTROL_PROTOCOL,
      name: "Kitchen",
      operator: "Anna",
      testUnits: true,
      open: false,
      run: { model: "llama", stages: 3, step: 0, loss: null },
    });
    expect(card.asks.downloadBytes).toBe(orchestrator.host.run.corpus.bytes);
    // A worker's own program is most of what a small model takes.
    expect(card.asks.memoryBytes).toBeGreaterThan(200e6);
    expect(card.asks.bytesPerStep).toBeGreaterThan(0);
    expect(card.asks.megabitsPerSecond).toBeNull();
    await orchestrator.close();
    await serve();
    expect((await invite()).keySha256).toBe(invitation.keySha256);
    const { network } = operatorStatus.parse(await operator.status());
    expect(network).toBe(card.network);
  });

  test("refuses who was not invited before anything is read, and says why", async () => {
    const good = await invite();
    const asked = async (token: string | null, addresses = good.addresses): Promise<string> =>
      await reachNetwork({ ...good, token, addresses }, hotkey(1).address).then(
        () => "card",
        (error: Failure) => error.code,
      );
    expect(await asked(good.token)).toBe("card");
    expect(await asked(null)).toBe("invitation-needed");
    expect(await asked("00".repeat(16))).toBe("invitation-unknown");
    expect(await outcome(node({ ...good, token: null }, 1))).toBe("invitation-needed");
    expect(await outcome(node({ ...good, token: "00".repeat(16) }, 1))).toBe("invitation-unknown");
    const short = await invite(1, 60);
    clock += 60_000;
    await expect(reachNetwork(short, hotkey(1).address)).rejects.toMatchObject({
      code: "invitation-expired",
    });
    const { id, ...gone } = await invite();
    await operator.revoke(id, false);
    await expect(reachNetwork({ ...gone }, hotkey(1).address)).rejects.toMatchObject({
      code: "invitation-revoked",
    });
    await expect(operator.goBack({ resumeStep: 0, lostSteps: 40 })).rejects.toMatchObject({
      code: "nothing-asked",
    });
    await expect(operator.revoke("nonsense", false)).rejects.toMatchObject({ code: "no-such-invitation" });
    expect(orchestrator.host.view().nodes).toBe(0);
  });

  test("lets in no more owners than the invitation is good for, however they race, and counts over a restart", async () => {
    const invitation = await invite(3);
    const nodes = Array.from({ length: 8 }, (_, number) => node(invitation, number));
    const outcomes = await Promise.all(nodes.map(outcome));
    expect(outcomes.filter((one) => one === "welcome")).toHaveLength(3);
    expect(new Set(outcomes)).toEqual(new Set(["welcome", "invitation-used-up"]));
    const [row] = (await operator.invitations()).invitations;
    expect(row).toMatchObject({ uses: 3, used: 3 });
    const inside = outcomes.indexOf("welcome");
    const outside = outcomes.indexOf("invitation-used-up");
    await Promise.all(controls.splice(0).map((control) => control.close("moving", 0)));
    await orchestrator.close();
    await serve();
    expect(await outcome(node(invitation, inside))).toBe("welcome");
    expect(await outcome(node(invitation, outside))).toBe("invitation-used-up");
    expect((await operator.invitations()).invitations[0]).toMatchObject({ used: 3 });
  });

  test("shows one owner's several computers as that: one use, each with its own receipts", async () => {
    const invitation = await invite(1);
    const nodes = [node(invitation, 5), node(invitation, 5)];
    expect(await Promise.all(nodes.map(outcome))).toEqual(["welcome", "welcome"]);
    const status = await operator.status();
    expect(status.owners).toHaveLength(1);
    expect(status.owners[0]?.hotkey).toBe(hotkey(5).address);
    const keys = status.owners[0]?.nodes.map(({ sessionKey }) => sessionKey) ?? [];
    expect(keys.toSorted()).toEqual(nodes.map(({ signer }) => signer.publicKey).toSorted());
    expect(status.owners[0]?.nodes.every(({ receipts }) => receipts === 0)).toBe(true);
  });

  test("names to its operator who was put aside and why, and writes it into the log", async () => {
    await orchestrator.close();
    const lines: string[] = [];
    await serve({ open: true }, { replicas: 2, onLine: (line) => lines.push(line) });
    expect((await operator.status()).putAside).toBeUndefined();
    const net = new FakeNet();
    for (const number of [1, 2, 3, 4]) net.node(orchestrator.url, number);
    await until("they train together", () => orchestrator.host.pipeline().generation > 0 && isShared());
    const liar = net.nodes.find(({ assignment }) => assignment?.stage === 1);
    const generation = liar?.assignment?.generation ?? 0;
    liar?.send({ type: "counted", generation, step: 1, microBatch: 0, loss: null });
    await until("it is put aside", () => lines.length > 0);
    const { putAside } = await operator.status();
    expect(putAside).toEqual([
      {
        hotkey: liar?.hotkey.address,
        sessionKey: liar?.signer.publicKey,
        stage: 1,
        step: 0,
        code: "other-step",
        at: clock,
        times: 1,
      },
    ]);
    expect(lines[0]).toMatch(/^put aside: 5\w+ \(computer [0-9a-f]{8}\), slice 2, step 1: other-step$/);
    net.close();

    function isShared(): boolean {
      const view = orchestrator.host.view();
      return view.phase === "training" && view.redone !== undefined;
    }
  });

  test("asks its operator before a run begins again from nothing, and does so on its word alone", async () => {
    const { run } = orchestrator.host;
    const point = { step: 40, at: clock, loss: 2, heldOutLoss: null, tokensPerSecond: null };
    storeRow(orchestrator.store, run.runId, { kind: "point", point });
    await orchestrator.close();
    const lines: string[] = [];
    await serve({ open: true }, { onLine: (line) => lines.push(line) });
    const net = new FakeNet();
    for (const number of [1, 2, 3]) net.node(orchestrator.url, number);
    await until("the operator is asked", () => lines.length > 0);
    const { question, run: view } = await operator.status();
    expect(question).toEqual({ resumeStep: 0, lostSteps: 40 });
    expect(view).toMatchObject({ phase: "waiting", detail: lines[0] });
    expect(lines[0]).toContain("to go on from step 0, 40 steps would be lost");
    expect(await operator.goBack({ resumeStep: 0, lostSteps: 40 })).toEqual(question);
    await until("they train", () => orchestrator.host.view().phase === "training");
    expect((await operator.status()).question).toBeUndefined();
    net.close();
  });

  test("keeps who came in when the invitation is revoked, and throws them out when that is wanted", async () => {
    const invitation = await invite(2);
    const inside = node(invitation, 1);
    expect(await outcome(inside)).toBe("welcome");
    expect(await operator.revoke(invitation.id, false)).toMatchObject({ evicted: [] });
    expect(await outcome(node(invitation, 2))).toBe("invitation-revoked");
    inside.control.reconnect();
    await until("it is back", () => orchestrator.host.view().nodes === 1);
    expect(await operator.revoke(invitation.id, true)).toMatchObject({ evicted: [hotkey(1).address] });
    await until("it had to leave", () => inside.refused === "invitation-revoked", 20_000);
    expect(orchestrator.host.view().nodes).toBe(0);
  });

  test("open to anybody needs no invitation, and its line has no token", async () => {
    await orchestrator.close();
    await serve({ open: true });
    const line = parseInvitation((await operator.openInvitation()).invitation, clock);
    if (line instanceof Failure) throw line;
    expect(line.token).toBeNull();
    expect((await reachNetwork(line, hotkey(1).address)).card.open).toBe(true);
    expect(await outcome(node(line, 1))).toBe("welcome");
  });

  test("with another key than the invitation's is told nothing by a worker", async () => {
    const invitation = await invite();
    expect(await outcome(node({ ...invitation, keySha256: "ab".repeat(32) }, 1))).toBe("network-wrong-key");
    expect((await operator.invitations()).invitations[0]).toMatchObject({ used: 0 });
  });

  test.each([
    [CONTROL_PROTOCOL - 1, "Update the app on this computer"],
    [CONTROL_PROTOCOL + 1, "whoever operates it has to update"],
  ])("tells a node of version %i which side has to update", async (version, advice) => {
    const { token } = await invite();
    const headers = { "x-tah-protocol": String(version), "x-tah-invitation": token ?? "" };
    const answer = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      get(`${orchestrator.url}/v1/network`, { headers, rejectUnauthorized: false }, (response) => {
        let body = "";
        response.on("data", (piece) => (body += String(piece)));
        response.on("end", () => resolve({ status: response.statusCode, body }));
      }).on("error", reject);
    });
    expect(answer.status).toBe(426);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "protocol-mismatch" });
    expect(answer.body).toContain(advice);
  });

  test("takes a proof only on the connection that it was made for", async () => {
    const invitation = await invite();
    const owner = hotkey(1);
    const signer = createSessionSigner();
    const { network } = statusNow();
    const route = new OrchestratorRoute(orchestrator.url, invitation, owner.address);
    const connection = async () => {
      const socket = new WebSocket(`${orchestrator.url.replace("https", "wss")}/v1/control`, {
        ...(route.controlAgent && { agent: route.controlAgent }),
        headers: { ...route.headers },
      });
      const heard: ReturnType<typeof orchestratorMessage.parse>[] = [];
      let channel = "";
      socket.on("upgrade", (response) => {
        channel = (response.socket as TLSSocket)
          .exportKeyingMaterial(CONTROL_EXPORTER_BYTES, CONTROL_EXPORTER_LABEL, Buffer.alloc(0))
          .toString("hex");
      });
      socket.on("message", (data) => heard.push(orchestratorMessage.parse(JSON.parse(String(data)))));
      await until("it is challenged", () => heard.length > 0);
      const [challenge] = heard;
      if (challenge?.type !== "challenge") throw new Error("no challenge");
      const prove = async (bound: string): Promise<string> => {
        const say = (message: unknown): void => socket.send(JSON.stringify(message));
        say({
          type: "hello",
          protocol: CONTROL_PROTOCOL,
          delegation: delegate(owner, signer.publicKey, network, clock),
          capabilities: { platform: "test", threads: 1, memoryBytes: 1e9, executionProvider: "cpu" },
          linkAddress: { host: "127.0.0.1", port: 9 },
          restorable: [],
        });
        say({ type: "proof", signature: signer.sign(proofText(network, challenge.nonce, bound)) });
        await until("it is answered", () =>
          heard.some(({ type }) => type === "welcome" || type === "refused"),
        );
        socket.terminate();
        const last = heard.find(({ type }) => type === "welcome" || type === "refused");
        return last?.type === "refused" ? last.code : "welcome";
      };
      return { channel, prove };
    };
    const [one, other, third] = [await connection(), await connection(), await connection()];
    expect(one.channel).not.toBe(other.channel);
    // What somebody in between would have: the right nonce, and a proof for his own connection.
    expect(await one.prove(other.channel)).toBe("bad-proof");
    expect(await other.prove(LOOPBACK_CHANNEL)).toBe("bad-proof");
    expect(await third.prove(third.channel)).toBe("welcome");
  });

  test("is ruled by who can read its folder alone", async () => {
    const path = join(home, "network", "operator.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { url } = operatorFile.parse(JSON.parse(readFileSync(path, "utf8")));
    for (const authorization of ["", "Bearer ", `Bearer ${"0".repeat(64)}`]) {
      const answer = await fetch(`${url}/invitations`, { headers: { authorization } });
      expect([answer.status, await answer.json()]).toMatchObject([401, { code: "not-the-operator" }]);
    }
    await expect(operator.invite({ uses: 0, expiresInSeconds: null })).rejects.toMatchObject({
      code: "bad-request",
    });
    await orchestrator.close();
    expect(() => OperatorClient.of(home)).toThrow(expect.objectContaining({ code: "network-not-served" }));
  });

  test("shows its run to everybody only when its operator wants that, and nothing but the run", async () => {
    const address = () => orchestrator.url;
    expect((await fetchPage(`${address()}/`)).status).toBe(401);
    await orchestrator.close();
    await serve({ page: true });
    const page = await fetchPage(`${address()}/`, { "sec-fetch-site": "cross-site" });
    expect(page.status).toBe(200);
    expect(page.text).toContain("Kitchen, operated by Anna");
    expect(page.policy).toContain("default-src 'none'");
    expect((await fetchPage(`${address()}/loss.svg?7`)).text).toMatch(/^<svg /);
    for (const path of ["/v1/run", "/v1/network", "/v1/claims", "//", "/index.html"])
      expect([path, (await fetchPage(`${address()}${path}`)).status]).toEqual([path, 401]);
  });

  test("counts computers by country on its page where their owners say so, and as long as they do", async () => {
    await orchestrator.close();
    await serve({ page: true });
    const { keySha256, token } = await invite(5);
    const page = async (): Promise<string> => (await fetchPage(`${orchestrator.url}/`)).text;
    const said = node({ keySha256, token }, 1, "DE");
    expect(await outcome(said)).toBe("welcome");
    expect(await outcome(node({ keySha256, token }, 2))).toBe("welcome");
    expect(await page()).toMatch(/<span>Germany<\/span><span>1<\/span>.*<span>Not said<\/span><span>1</);
    said.control.send({ type: "country", country: "AT" });
    const countries = () => orchestrator.host.view().countries?.map(({ country }) => country);
    await until("it stands elsewhere", () => countries()?.[0] === "AT", 20_000);
    expect(await page()).toContain("<span>Austria</span><span>1</span>");
    said.control.send({ type: "country", country: null });
    await until("it has taken that back", () => countries() === undefined, 20_000);
    expect(await page()).not.toContain("by country");
  });

  test("F2: refuses who names a country that is none, and nothing of it reaches the page", async () => {
    await orchestrator.close();
    await serve({ page: true });
    const { keySha256, token } = await invite(5);
    for (const [index, country] of ["<b>", "ZZ"].entries())
      expect([country, await outcome(node({ keySha256, token }, index + 1, country))]).toEqual([
        country,
        "bad-message",
      ]);
    const later = node({ keySha256, token }, 9, "FR");
    expect(await outcome(later)).toBe("welcome");
    later.control.send({ type: "country", country: "<script>alert(1)</script>" });
    await until("it is refused", () => later.refused !== null || !orchestrator.host.view().countries, 20_000);
    const { text } = await fetchPage(`${orchestrator.url}/`);
    expect(text).not.toMatch(/<script|alert|<b>|ZZ|by country/);
  });
});

/** As a browser asks: without an invitation. */
function fetchPage(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; policy: string }> {
  return new Promise((resolve, reject) => {
    get(url, { rejectUnauthorized: false, headers }, (answer) => {
      let text = "";
      answer.on("data", (data) => (text += String(data)));
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          text,
          policy: String(answer.headers["content-security-policy"]),
        }),
      );
    }).on("error", reject);
  });
}
