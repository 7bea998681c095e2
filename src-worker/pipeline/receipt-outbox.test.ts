import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { RECEIPTS_PER_MESSAGE } from "../../src-protocol/control.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import { receiptId, ReceiptOutbox } from "./receipt-outbox.ts";

const { publicKey } = createSessionSigner(new Uint8Array(32));

let folder: string;
let path: string;
const opened: ReceiptOutbox[] = [];

async function open(): Promise<ReceiptOutbox> {
  const outbox = await ReceiptOutbox.open(path);
  opened.push(outbox);
  return outbox;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-outbox-"));
  path = join(folder, "receipts.jsonl");
});
afterEach(async () => {
  for (const outbox of opened.splice(0)) await outbox.close();
  rmSync(folder, { recursive: true, force: true });
});

function receipt(step: number): SignedReceipt {
  return {
    body: {
      network: "n",
      runId: "r",
      stage: 0,
      step,
      microBatches: 1,
      tokens: 1,
      flops: 1,
      worker: publicKey,
      previous: null,
      next: publicKey,
      x: null,
      dy: sha256("dy"),
      y: sha256("y"),
      dx: null,
      link: sha256(String(step)),
      finishedAt: 0,
    },
    workerSignature: "0".repeat(128),
    previousSignature: null,
    nextSignature: "0".repeat(128),
  };
}

it("a receipt is there after a kill until it was answered", async () => {
  const outbox = await open();
  await outbox.add([receipt(0), receipt(1)]);
  await outbox.answered([receiptId(receipt(0))]);
  // No close: the process was killed in the middle of the next line.
  appendFileSync(path, '{"earned":{"body":{"netw');
  const next = await open();
  expect(next.batches()).toEqual([[receipt(1)]]);
  await next.answered([receiptId(receipt(1))]);
  expect((await open()).batches()).toEqual([]);
  expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(1);
});

it("what is earned while the file is written anew is kept", async () => {
  const outbox = await open();
  const old = Array.from({ length: 4_200 }, (_, step) => receipt(step));
  await outbox.add(old);
  const added = [1, 2, 3].map((n) => outbox.add([receipt(10_000 + n)]));
  await Promise.all([outbox.answered(old.map(receiptId)), ...added, outbox.add([receipt(20_000)])]);
  expect(readFileSync(path, "utf8").trimEnd().split("\n").length).toBeLessThan(10);
  const kept = (await open()).batches().flat();
  expect(kept.map(({ body }) => body.step)).toEqual([10_001, 10_002, 10_003, 20_000]);
});

it("what is signed before its step is finished is told from what is earned, also after a kill", async () => {
  const outbox = await open();
  for (const step of [0, 1, 2]) await outbox.keep(receipt(step));
  await outbox.add([receipt(0)]);
  await outbox.answered([receiptId(receipt(1))]);
  expect(outbox.batches()).toEqual([[receipt(0)]]);
  const next = await open();
  expect(next.batches()).toEqual([[receipt(0)]]);
  expect(next.open).toEqual([receipt(2)]);
});

it("F6: what was stored is kept until it is called safe, and sent again meanwhile", async () => {
  const outbox = await open();
  await outbox.add([receipt(0), receipt(1), receipt(2)]);
  await outbox.stored([receiptId(receipt(0)), receiptId(receipt(1))]);
  await outbox.answered([receiptId(receipt(1))]);
  // Killed, and a new process connects.
  const next = await open();
  expect(next.batches()).toEqual([[receipt(0), receipt(2)]]);
  await next.safe();
  expect(next.batches()).toEqual([[receipt(2)]]);
  expect((await open()).batches()).toEqual([[receipt(2)]]);
});

it("a damaged line costs itself only, and the damaged file is kept", async () => {
  const outbox = await open();
  await outbox.add([receipt(0), receipt(1), receipt(2)]);
  const lines = readFileSync(path, "utf8").split("\n");
  writeFileSync(path, [lines[0], lines[1], "####", lines[3], ""].join("\n"));
  expect((await open()).batches()).toEqual([[receipt(0), receipt(2)]]);
  expect(readdirSync(folder).filter((name) => name.endsWith(".corrupt"))).toHaveLength(1);
});

it("what waits is sent in messages that the orchestrator takes", async () => {
  const outbox = await open();
  await outbox.add(Array.from({ length: RECEIPTS_PER_MESSAGE + 1 }, (_, i) => receipt(i)));
  expect(outbox.batches().map((batch) => batch.length)).toEqual([RECEIPTS_PER_MESSAGE, 1]);
});

it("F14: what was lost with an emptied, cut or missing file is said, and only then", async () => {
  const said: string[] = [];
  const look = async (hasWorked: boolean): Promise<string[]> => {
    said.splice(0);
    opened.push(await ReceiptOutbox.open(path, hasWorked, ({ code }) => said.push(code)));
    return [...said];
  };
  expect(await look(false)).toEqual([]);
  expect(await look(true)).toEqual([]);
  await opened.at(-1)?.add([receipt(0)]);
  await opened.at(-1)?.answered([receiptId(receipt(0))]);
  expect(await look(true)).toEqual([]);
  writeFileSync(path, "");
  expect(await look(true)).toEqual(["receipts-lost"]);
  rmSync(path);
  expect(await look(true)).toEqual(["receipts-lost"]);
  appendFileSync(path, "\u0000\u0000\n");
  expect(await look(true)).toEqual(["receipts-damaged"]);
  expect(readdirSync(folder).filter((name) => name.endsWith(".corrupt"))).toHaveLength(1);
});
