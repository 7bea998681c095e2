import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Card } from "./cards.ts";
import type { Hotkey } from "../wallet/wallet.ts";
import { mayRun, onCards } from "./card-workers.ts";
import { type Child, startChild } from "../children/child.ts";
import type { Sandbox } from "../children/sandbox.ts";
import type { Member } from "../supervision/worker-process.ts";

const card = (index: number): Card => ({
  index,
  uuid: `GPU-0000000${index}`,
  name: "NVIDIA GeForce RTX 3090",
});
const own: Member = { name: "worker", hotkey: {} as Hotkey, folder: "/data/worker" };

let folder: string;
let child: Child | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cards "));
});
afterEach(() => {
  child?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

it("one card, or none, is one worker, told of no card", () => {
  expect(onCards(own, [])).toEqual([own]);
  expect(onCards(own, [card(0)])).toEqual([own]);
});

it("three cards are three workers of the same hotkey, each with a card and a folder of its own", () => {
  const members = onCards(own, [card(0), card(1), card(2)]);
  expect(members.map(({ name, folder, environment }) => [name, folder, environment])).toEqual([
    ["worker", "/data/worker", { CUDA_VISIBLE_DEVICES: "GPU-00000000" }],
    ["worker 2", "/data/worker-2", { CUDA_VISIBLE_DEVICES: "GPU-00000001" }],
    ["worker 3", "/data/worker-3", { CUDA_VISIBLE_DEVICES: "GPU-00000002" }],
  ]);
  expect(new Set(members.map(({ hotkey }) => hotkey)).size).toBe(1);
});

it("on the processor, and where no one can say which card is taken, the first worker is alone", () => {
  const members = onCards(own, [card(0), card(1)]);
  const running = (provider: Parameters<typeof mayRun>[1]) =>
    members.filter((member) => mayRun(member, provider)).map(({ name }) => name);
  expect(running("cpu")).toEqual(["worker"]);
  expect(running("webgpu")).toEqual(["worker"]);
  expect(running("cuda")).toEqual(["worker", "worker 2"]);
});

it.each([
  ["in a worker's sandbox", true],
  ["without one", false],
])("a real process sees the card that it was given: %s", async (_, isConfined) => {
  const script = join(folder, "child.mjs");
  writeFileSync(
    script,
    "process.send({ sees: process.env.CUDA_VISIBLE_DEVICES }); setInterval(() => {}, 1000);",
  );
  const sandbox: Sandbox | null = isConfined ? { read: [], write: [folder] } : null;
  const [, second] = onCards(own, [card(0), card(1)]);
  const said = await new Promise((resolve) => {
    const events = { onMessage: resolve, onLine: () => {}, onExit: () => resolve("ended") };
    child = startChild(script, events, sandbox, second?.environment);
  });
  expect(said).toEqual({ sees: "GPU-00000001" });
});
