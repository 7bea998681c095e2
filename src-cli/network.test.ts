import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseInvitation } from "../src-protocol/invitation.ts";
import { familyFolder } from "../src-engine/families/folder.test-support.ts";
import { DaemonProcess, isAlive } from "./daemon-process.ts";
import { servedOf } from "./network-serve.ts";
import type { ServeOptions } from "./network-serve.ts";
import { readManifest } from "./trained-weights.ts";

const TAH = join(import.meta.dirname, "tah.ts");
const started: ChildProcess[] = [];
let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "tah-served-"));
});
afterEach(async () => {
  for (const child of started.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
  rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** A network in processes of its own, as an operator starts it. */
async function serve(...what: string[]) {
  const words = [
    "network",
    "serve",
    "--home",
    home,
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--address",
    "127.0.0.1",
    ...(what.length > 0 ? what : ["--model", "tiny"]),
  ];
  const child = spawn(process.execPath, [TAH, ...words, "--stages", "2", "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  started.push(child);
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line) as { keySha256: string; invitation: string | null; log: string };
    const { pid } = JSON.parse(readFileSync(join(home, "network", "operator.json"), "utf8")) as {
      pid: number;
    };
    return { child, ended, orchestrator: pid, ...said };
  }
  throw new Error("it ended without a word");
}

function tah(...words: string[]): { status: number | null; data: Record<string, unknown>; stderr: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [TAH, "network", ...words, "--home", home, "--json"],
    { encoding: "utf8" },
  );
  return { status, stderr, data: JSON.parse(stdout) as Record<string, unknown> };
}

async function until(what: string, condition: () => boolean, withinMs = 20_000): Promise<void> {
  const end = Date.now() + withinMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not in ${withinMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("a network is served, invites, survives a kill with its key and invitations, and ends with SIGTERM", async () => {
  const first = await serve();
  expect(parseInvitation(first.invitation ?? "", Date.now())).toMatchObject({ keySha256: first.keySha256 });
  expect(tah("go-back", "--yes"), "nothing is asked").toMatchObject({
    status: 0,
    data: { question: null, isDone: false },
  });
  const made = tah("invite", "--uses", "2", "--expires", "never");
  expect(made).toMatchObject({ status: 0, data: { uses: 2, used: 0, expiresAt: null } });
  expect(tah("revoke", String(made.data["id"]))).toMatchObject({ status: 0, data: { evicted: [] } });
  expect(tah("revoke", "nonsense")).toMatchObject({
    status: 1,
    data: { error: { code: "no-such-invitation" } },
  });
  expect(tah("status").data).toMatchObject({ owners: [], run: { step: 0, nodes: 0 }, open: false });

  first.child.kill("SIGKILL");
  await until("its children are gone too", () => !isAlive(first.orchestrator));
  // The same key as a certificate of somebody else's making: invitations pin the key alone.
  const pem = join(home, "network", "network-key.pem");
  const own = join(home, "own.pem");
  renameSync(pem, own);
  const again = await serve("--model", "tiny", "--cert", own, "--key", own);
  expect(again.keySha256).toBe(first.keySha256);
  expect(existsSync(pem)).toBe(false);
  // The first one is good still, so none is made.
  expect(again.invitation).toBeNull();
  const { invitations } = tah("invites").data as { invitations: { id: string; revokedAt: number | null }[] };
  expect(invitations.map(({ revokedAt }) => revokedAt !== null).toSorted()).toEqual([false, true]);
  expect(readFileSync(again.log, "utf8")).not.toContain(first.invitation);

  again.child.kill("SIGTERM");
  expect(await again.ended).toBe(0);
  expect(isAlive(again.orchestrator)).toBe(false);
  expect(tah("status")).toMatchObject({ status: 1, data: { error: { code: "network-not-served" } } });
}, 120_000);

test("a run goes on in the codecs and the steps that it was begun in, until its operator names others", async () => {
  const data = join(home, "data");
  mkdirSync(data);
  writeFileSync(join(data, "letters.u16"), new Uint16Array(4_000));
  const own = ["--model", familyFolder("llama-3"), "--data", data, "--steps", "6"];
  for (const [model, first] of [
    [["--model", "tiny"], "f16"],
    [own, "f32"],
  ] as const) {
    const runs: { codecs: unknown; dealt: unknown; run: string }[] = [];
    const words = ["--codec", first, "--micro-batches", "6", "--batch", "3"];
    for (const said of [words, [], ["--codec", "int8b64"]]) {
      const { child, ended } = await serve(...model, ...said);
      const { codecs, dealt, run } = tah("status").data as {
        codecs?: unknown;
        dealt: unknown;
        run: { runId: string };
      };
      runs.push({ codecs: codecs ?? null, dealt, run: run.runId });
      child.kill("SIGTERM");
      await ended;
    }
    const [begun, again, other] = runs;
    expect(begun?.codecs).toEqual(first === "f32" ? null : { forward: first, backward: first });
    expect(begun?.dealt).toEqual({ batch: 3, microBatches: 6 });
    expect(again).toEqual(begun);
    expect(other?.codecs).toEqual({ forward: "int8b64", backward: "int8b64" });
    expect(other?.run).not.toBe(begun?.run);
  }
}, 120_000);

test("a folder of Hugging Face is trained by two homes in the class exact, and verified from the network's folder", async () => {
  const data = join(home, "data");
  mkdirSync(data);
  // The fixture knows 40 tokens.
  const text = "the cat sat on the mat and the bird flew over the house ".repeat(60);
  writeFileSync(
    join(data, "letters.u16"),
    Uint16Array.from(text, (letter) => letter.charCodeAt(0) % 40),
  );
  const what = ["--model", familyFolder("llama-3"), "--data", data, "--steps", "6"];
  const { invitation } = await serve(...what);
  const daemons = ["mine", "theirs"].map(
    (name) =>
      new DaemonProcess(join(home, name), [
        "--no-probe",
        "--no-neighbours",
        "--join",
        invitation ?? "",
        "--yes",
      ]),
  );
  try {
    const network = join(home, "network");
    await until("every stage has stored its last step", () => readManifest(network)?.step === 6, 90_000);
    const lines = (): string[] => readFileSync(join(network, "record.jsonl"), "utf8").trimEnd().split("\n");
    await until("all links are recorded", () => lines().length === 1 + 6 * 2);
  } finally {
    for (const daemon of daemons) daemon.kill();
    await Promise.all(daemons.map(({ ended }) => ended));
  }
  const { stdout } = spawnSync(process.execPath, [TAH, "run", "verify", home, "--steps", "1..6", "--json"], {
    encoding: "utf8",
  });
  expect(JSON.parse(stdout)).toMatchObject({ arithmetic: "exact", step: 6, same: 12, differs: null });
}, 180_000);

test("addresses and certificates are looked at before anything starts", () => {
  const options: ServeOptions = {
    home,
    name: "Kitchen",
    operator: "",
    open: false,
    page: false,
    host: "127.0.0.1",
    port: 0,
    addresses: [],
    cert: null,
    key: null,
    data: null,
    model: "tiny",
    stages: null,
    steps: null,
    fast: false,
    codec: "f32",
    microBatches: null,
    batch: null,
    computers: null,
    pay: null,
  };
  expect(servedOf(options).addresses).toEqual([{ host: "127.0.0.1", port: null }]);
  const addresses = ["train.example.org", "203.0.113.7:7440", "[2001:db8::1]:443"];
  expect(servedOf({ ...options, addresses }).addresses).toEqual([
    { host: "train.example.org", port: null },
    { host: "203.0.113.7", port: 7440 },
    { host: "2001:db8::1", port: 443 },
  ]);
  for (const [change, code] of [
    [{ addresses: ["https://x"] }, "bad-address"],
    [{ addresses: ["host:70000"] }, "bad-address"],
    [{ cert: "only.pem" }, "bad-option"],
    [{ name: "x".repeat(41) }, "bad-option"],
    [{ name: "line\nbreak" }, "bad-option"],
  ] as const)
    expect(() => servedOf({ ...options, ...change })).toThrow(expect.objectContaining({ code }));
});
