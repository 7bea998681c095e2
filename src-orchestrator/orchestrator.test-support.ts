import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach } from "vitest";
import type { RunSpec } from "../src-protocol/model.ts";
import { sha256 } from "../src-protocol/signing.ts";
import { testRun } from "./runs/fleet.test-support.ts";
import { FakeNet } from "./test-support/fake-node.test-support.ts";
import { temporaryFolder } from "./test-support/folder.test-support.ts";
import { TEST_NETWORK } from "./test-support/keys.test-support.ts";
import { startOrchestrator } from "./orchestrator.ts";
import type { Orchestrator, OrchestratorOptions } from "./orchestrator.ts";

const CORPUS = "Call me Ishmael. ".repeat(500);

/** A real orchestrator on loopback with quick heartbeats, closed after the test. */
export async function openOrchestrator(
  change: Partial<RunSpec> = {},
  options: Partial<OrchestratorOptions> = {},
): Promise<{ orchestrator: Orchestrator; net: FakeNet; folder: string }> {
  const folder = options.folder ?? temporaryFolder();
  const orchestrator = await startOrchestrator({ ...embeddedOptions(folder, change), ...options });
  const net = new FakeNet();
  open.push({ orchestrator, net });
  return { orchestrator, net, folder };
}

export function embeddedOptions(folder: string, change: Partial<RunSpec> = {}): OrchestratorOptions {
  return {
    network: TEST_NETWORK,
    netuid: 0,
    folder,
    host: "127.0.0.1",
    port: 0,
    run: corpusRun(change),
    corpusFile: corpusFile(folder),
    modelFiles: [],
    raoPerTeraflop: 1_000_000n,
    // The fake nodes hold whole stages.
    replicas: 1,
    times: { helloTimeoutMs: 1_500, heartbeatMs: 100, deadAfterMs: 2_500 },
    onBroken: (error) => {
      throw error;
    },
  };
}

export function corpusRun(change: Partial<RunSpec> = {}): RunSpec {
  const corpus = { name: "Moby Dick", sha256: sha256(CORPUS), bytes: CORPUS.length, tokenBytes: 1 as const };
  return testRun({ corpus, ...change });
}

export function corpusFile(folder: string): string {
  const path = join(folder, "corpus.txt");
  writeFileSync(path, CORPUS);
  return path;
}

const open: { orchestrator: Orchestrator; net: FakeNet }[] = [];

afterEach(async () => {
  for (const { orchestrator, net } of open.splice(0)) {
    net.close();
    await orchestrator.close();
  }
});
