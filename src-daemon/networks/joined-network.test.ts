import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ApiClient } from "../../src-cli/api-client.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { awayText } from "../../src-protocol/network-text.ts";
import { processList } from "../supervision/process-list.ts";
import { serveNetwork } from "./served-network.test-support.ts";
import type { ServedNetwork } from "./served-network.test-support.ts";

/** Real processes: a network for others, and data folders that share nothing but its invitation. */
const MAIN = join(import.meta.dirname, "..", "main.ts");
const WITHIN_MS = 60_000;

interface House {
  readonly home: string;
  readonly client: ApiClient;
  state(): DaemonState;
  /** Resolves when the state is so. */
  until(what: string, holds: (state: DaemonState) => boolean): Promise<DaemonState>;
}

let root: string;
let network: ServedNetwork | null;
const daemons: ChildProcess[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tah joined "));
  network = null;
});
afterEach(async () => {
  await Promise.all(
    daemons.splice(0).map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await gone;
    }),
  );
  await network?.kill();
  rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

/** A daemon in a data folder of this name. */
async function house(name: string, ...options: string[]): Promise<House> {
  const home = join(root, name);
  const child = spawn(
    process.execPath,
    [MAIN, "--home", home, "--model", "tiny", "--no-probe", "--no-neighbours", ...options],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  daemons.push(child);
  await new Promise<void>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`The daemon ended with ${code}.`)));
    let said = "";
    child.stdout.on("data", (data) => {
      said += String(data);
      if (/^Ctrl-C ends/m.test(said)) resolve();
    });
  });
  const client = await ApiClient.connect(join(home, "api.json"));
  let checks: (() => void)[] = [];
  let state = await client.follow({
    onState(next) {
      state = next;
      for (const check of checks) check();
    },
  });
  return {
    home,
    client,
    state: () => state,
    until(what, holds) {
      if (holds(state)) return Promise.resolve(state);
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          reject(
            new Error(`Not in time: ${what}. ${JSON.stringify({ ...state, activity: [], rules: null })}`),
          );
        }, WITHIN_MS);
        const check = (): void => {
          if (!holds(state)) return;
          clearTimeout(late);
          checks = checks.filter((each) => each !== check);
          resolve(state);
        };
        checks.push(check);
      });
    },
  };
}

const stepOf = ({ run }: DaemonState): number => run?.step ?? 0;
const processesOf = ({ home }: House) =>
  processList.parse(JSON.parse(readFileSync(join(home, "processes.json"), "utf8")));

it("two data folders that share nothing but an invitation train together, part, and go on", async () => {
  network = await serveNetwork(join(root, "served"));
  const invitation = await network.invite(2);

  // One says yes as it starts, the other is asked, and until then nothing of it works.
  const [mine, theirs] = await Promise.all([
    house("mine", "--join", invitation, "--yes"),
    house("theirs", "--join", invitation),
  ]);
  expect(theirs.state().network.offer).toMatchObject({ card: { name: "Maple Street", operator: "Ada" } });
  expect(existsSync(join(theirs.home, "processes.json"))).toBe(false);
  expect(existsSync(join(theirs.home, "networks"))).toBe(false);
  expect(existsSync(join(theirs.home, "corpus"))).toBe(false);
  await theirs.client.call("network.answer", { consent: true });

  await Promise.all([mine, theirs].map((each) => each.until("training", (state) => stepOf(state) >= 20)));
  expect(processesOf(mine)).toMatchObject({ orchestrator: null, workers: [{ name: "worker" }] });
  expect(mine.state().network).toMatchObject({ kind: "remote", name: "Maple Street", connected: true });
  expect(
    mine
      .state()
      .run?.stages.map(({ holder }) => holder?.mine)
      .toSorted(),
  ).toEqual([false, true]);
  const { points } = await mine.client.call("run.history", {});
  expect(points.at(-1)?.loss).toBeLessThan(points[0]?.loss ?? 0);
  await mine.until("receipts", ({ earnings }) => earnings.receipts > 0);

  // Who switches works for itself; the other waits, and says for what.
  const { networks } = await theirs.client.call("network.switch", { network: null });
  const [left] = networks;
  expect(theirs.state().network).toMatchObject({ kind: "embedded", id: null });
  await mine.until(
    "waits for a node",
    ({ run }) => run?.phase === "waiting" && /look|wait/i.test(run.detail),
  );
  await theirs.until("its own training", (state) => stepOf(state) >= 1);
  const alone = stepOf(mine.state());
  await theirs.client.call("network.switch", { network: left?.id ?? null });
  await mine.until("goes on", (state) => stepOf(state) >= alone + 3);

  // The network dies: said with since and when next; it comes back, and so do all.
  const { port } = network;
  await network.kill();
  const lost = await mine.until("away", ({ network: { away } }) => away !== null && away.nextTryAt !== null);
  expect(awayText(lost.network, Date.now())).toMatch(
    /^Waiting: cannot reach Maple Street at https:\/\/127\.0\.0\.1:\d+ since .*\(nothing answers there|the connection broke|closed\)/,
  );
  expect(lost.network.kind).toBe("remote");
  network = await serveNetwork(join(root, "served"), port);
  const before = stepOf(mine.state());
  await mine.until("there again", (state) => state.network.away === null && stepOf(state) > before);
  for (const { client } of [mine, theirs]) client.close();
}, 150_000);

it("an invitation with a wrong letter stops the start with one sentence, and nothing is begun", async () => {
  const home = join(root, "mine");
  const child = spawn(process.execPath, [MAIN, "--home", home, "--join", "tah1aaaa", "--no-probe"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  daemons.push(child);
  let complaint = "";
  child.stderr.on("data", (data) => (complaint += String(data)));
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect(code).toBe(1);
  expect(complaint).toMatch(/^The invitation has a wrong letter.*\n$/);
  expect(existsSync(join(home, "networks.json"))).toBe(false);
  expect(existsSync(join(home, "network"))).toBe(false);
}, 30_000);
