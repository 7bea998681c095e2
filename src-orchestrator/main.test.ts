import { fork, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { RECEIPTS_PER_MESSAGE, isCounted } from "../src-protocol/control.ts";
import type { DaemonToOrchestrator, OrchestratorToDaemon } from "../src-protocol/daemon-ipc.ts";
import { receiptText } from "../src-protocol/receipt.ts";
import { sha256 } from "../src-protocol/signing.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { ReceiptRow } from "../src-protocol/state.ts";
import { FakeNet, until } from "./test-support/fake-node.test-support.ts";
import { temporaryFolder } from "./test-support/folder.test-support.ts";
import { TEST_NETWORK, hotkey, signedHeaders } from "./test-support/keys.test-support.ts";
import { corpusFile, corpusRun } from "./orchestrator.test-support.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function child(): {
  process: ChildProcess;
  exit: Promise<{ code: number | null }>;
  said: OrchestratorToDaemon[];
  /** Its first word, but for how far it has read. */
  first: Promise<OrchestratorToDaemon>;
} {
  const started = fork(MAIN, { stdio: ["ignore", "ignore", "inherit", "ipc"], execArgv: [] });
  children.push(started);
  const said: OrchestratorToDaemon[] = [];
  started.on("message", (message) => said.push(message as OrchestratorToDaemon));
  const first = new Promise<OrchestratorToDaemon>((resolve) =>
    started.on("message", (message) => {
      const word = message as OrchestratorToDaemon;
      if (word.type !== "reading") resolve(word);
    }),
  );
  const exit = new Promise<{ code: number | null }>((resolve) =>
    started.on("exit", (code) => resolve({ code })),
  );
  return { process: started, exit, said, first };
}

function startMessage(folder: string, change: Partial<RunSpec> = {}, port = 0): DaemonToOrchestrator {
  return {
    type: "start",
    network: TEST_NETWORK,
    folder: join(folder, "network"),
    memoryFolder: null,
    host: "127.0.0.1",
    port,
    run: corpusRun(change),
    corpusFile: corpusFile(folder),
    modelFiles: [],
    raoPerTeraflop: "1000000",
    replicas: 1,
    payouts: [],
    served: null,
  };
}

async function listening(folder: string, change: Partial<RunSpec> = {}) {
  const started = child();
  started.process.send(startMessage(folder, change));
  // However long a busy computer takes: its first word or its end.
  const first = await Promise.race([started.first, started.exit]);
  if (!("type" in first) || first.type !== "listening")
    throw new Error(`it listens not: ${JSON.stringify(first)}`);
  return { ...started, url: first.url };
}

test("killed while receipts arrive, it has every receipt it acknowledged and pays none twice", async () => {
  const folder = temporaryFolder();
  const net = new FakeNet();
  const change = { steps: null, microBatches: 8 };
  const first = await listening(folder, change);
  for (const number of [0, 1, 2]) net.node(first.url, number);
  const acknowledged = () => net.nodes.reduce((sum, node) => sum + node.stored.size, 0);
  await until("receipts are stored", () => acknowledged() > 100);
  first.process.kill("SIGKILL");
  await first.exit;
  const promised = new Set(net.nodes.flatMap((node) => [...node.stored]));
  expect(net.receipts.length).toBeGreaterThan(promised.size);
  net.close();

  const second = await listening(folder, change);
  const receiptsOf = async (number: number): Promise<ReceiptRow[]> => {
    const target = "/v1/account/receipts?limit=1000";
    const headers = signedHeaders(hotkey(number), "GET", target, "");
    const answer = await fetch(`${second.url}${target}`, { headers });
    return ((await answer.json()) as { receipts: ReceiptRow[] }).receipts;
  };
  const kept = (await Promise.all([0, 1, 2].map(receiptsOf))).flat();
  const ids = new Set(kept.map((row) => row.id));
  expect([...promised].filter((id) => !ids.has(id))).toEqual([]);

  // Everything is sent again from the nodes' outboxes: what was not stored before is now.
  const again = new FakeNet();
  const sender = again.node(second.url, 0);
  await until("welcome", () => sender.heard.some((message) => message.type === "welcome"));
  const all = net.receipts.map((one) => one.receipt);
  for (let at = 0; at < all.length; at += RECEIPTS_PER_MESSAGE)
    sender.send({ type: "receipts", receipts: all.slice(at, at + RECEIPTS_PER_MESSAGE) });
  // A step that is under way is not finished: its receipts wait, and are earned when it is.
  const reached = ((await (await fetch(`${second.url}/v1/run`)).json()) as { step: number }).step;
  const done = all.filter(({ body }) => body.step < reached).map(({ body }) => sha256(receiptText(body)));
  await until("all of finished steps are answered", () => {
    const answered = sender.heard.flatMap((message) =>
      message.type === "receiptsStored" ? [...message.stored, ...message.refused.map(({ id }) => id)] : [],
    );
    const answers = new Set(answered);
    return done.every((id) => answers.has(id));
  });
  const credited = new Map<string, ReceiptRow>();
  for (const row of (await Promise.all([0, 1, 2].map(receiptsOf))).flat()) {
    const key = `${row.stage}/${row.step}`;
    expect(credited.has(key), `${key} is paid once`).toBe(false);
    credited.set(key, row);
  }
  const unpaid = all.filter((one) => !sender.stored.has(sha256(receiptText(one.body))));
  expect(unpaid.filter(({ body }) => body.step < reached)).toEqual([]);
  for (const number of [0, 1, 2]) {
    const headers = signedHeaders(hotkey(number), "GET", "/v1/account", "");
    const account = (await (await fetch(`${second.url}/v1/account`, { headers })).json()) as {
      accruedRao: string;
    };
    const rows = await receiptsOf(number);
    expect(BigInt(account.accruedRao)).toBe(rows.reduce((sum, row) => sum + BigInt(row.amountRao), 0n));
  }
  again.close();
});

test("killed while it trains, it goes on with who was there: nobody is given anything anew, and what was not heard is said again", async () => {
  const folder = temporaryFolder();
  const net = new FakeNet();
  const change = { steps: null };
  const first = await listening(folder, change);
  for (const number of [0, 1, 2, 3]) net.node(first.url, number);
  const stepOf = async (url: string) =>
    ((await (await fetch(`${url}/v1/run`)).json()) as { step: number }).step;
  await until("some steps", async () => (await stepOf(first.url)) >= 3);
  first.process.kill("SIGKILL");
  await first.exit;
  const reached = Math.max(...net.receipts.map(({ receipt: { body } }) => body.step));
  const before = net.nodes.map((node) => ({ node, heard: node.heard.filter(isCounted).length }));
  const second = await listening(folder, change);
  const again = new FakeNet();
  const back = before.map(({ node, heard }, number) => {
    const { signer, disk, lane, assignment } = node;
    const next = again.node(second.url, number, { signer, disk, before: { lane, heard } });
    next.assignment = assignment;
    return next;
  });
  await until("all are welcome", () => back.every(({ lane }) => lane !== ""));
  // What it had said when it was killed and what was not heard of it is said again by both sides.
  for (const [at, { node }] of before.entries()) {
    const welcome = back[at]?.heard.find((message) => message.type === "welcome");
    expect(welcome).toMatchObject({ lane: node.lane });
    const unheard = node.said.filter(isCounted).slice(welcome?.type === "welcome" ? welcome.heard : 0);
    for (const message of unheard) back[at]?.send(message);
  }
  await until("it goes on", async () => (await stepOf(second.url)) > reached + 3);
  expect(back.flatMap(({ heard }) => heard).filter(({ type }) => type === "assign")).toEqual([]);

  // One that is gone meanwhile is not waited for as long as a second: the spare one takes its place.
  second.process.kill("SIGKILL");
  await second.exit;
  const third = await listening(folder, change);
  const gone = back.find(({ assignment }) => assignment?.stage === 1);
  const last = new FakeNet();
  for (const [number, { signer, disk }] of back.entries())
    if (back[number] !== gone) last.node(third.url, number, { signer, disk });
  const stepThen = await stepOf(third.url);
  await until("the others go on", async () => (await stepOf(third.url)) > stepThen + 3);
  net.close();
  again.close();
  last.close();
});

test("it starts again where it was and says so", async () => {
  const folder = temporaryFolder();
  const first = await listening(folder, { steps: 5 });
  const net = new FakeNet();
  for (const number of [0, 1, 2]) net.node(first.url, number);
  const step = async (url: string) =>
    ((await (await fetch(`${url}/v1/run`)).json()) as { step: number }).step;
  await until("five steps", async () => (await step(first.url)) === 5);
  first.process.send({ type: "stop", reason: "a test" } satisfies DaemonToOrchestrator);
  expect((await first.exit).code).toBe(0);
  net.close();
  const second = await listening(folder, { steps: 5 });
  expect(await step(second.url)).toBe(5);
});

test("Ctrl-C does not end it; the end of the daemon does, at once", async () => {
  const started = await listening(temporaryFolder());
  started.process.kill("SIGINT");
  expect((await fetch(`${started.url}/healthz`)).status).toBe(200);
  started.process.disconnect();
  const at = performance.now();
  expect((await started.exit).code).toBe(0);
  // Half a second on a quiet computer.
  expect(performance.now() - at).toBeLessThan(20_000);
});

test("a port in use is told to the daemon with one sentence, and it exits with 1", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.on("listening", resolve));
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const started = child();
  started.process.send(startMessage(temporaryFolder(), {}, port));
  expect((await started.exit).code).toBe(1);
  expect(started.said).toEqual([
    {
      type: "failed",
      code: "port-in-use",
      message: `Port ${port} of 127.0.0.1 is used by another program. Stop that one, or choose another port.`,
    },
  ]);
  taken.close();
});

test("a run that makes no sense is a failure, not a crash", async () => {
  const started = child();
  started.process.send({ ...startMessage(temporaryFolder()), run: { runId: 5 } });
  expect((await started.exit).code).toBe(1);
  expect(started.said[0]).toMatchObject({ type: "failed", code: "bad-run" });
});

test("started by hand it says how it is started", () => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN], { encoding: "utf8" });
  expect(status).toBe(2);
  expect(stderr).toContain("npm start");
});
