import { availableParallelism } from "node:os";
import { join } from "node:path";
import { BLOBS_FOLDER } from "../../src-protocol/blob-file.ts";
import type { KnownNetwork } from "../../src-protocol/networks.ts";
import type { Home } from "../data-folder/home.ts";
import { embeddedNetwork } from "../state/initial-state.ts";
import type { SessionPlan } from "../networks/network-session.ts";
import type { DaemonOptions } from "../options.ts";
import { LOOPBACK } from "../networks/reach.ts";
import type { Reading } from "./data-reading.ts";
import { noteRun } from "./last-run.ts";
import { runJob } from "./run-job.ts";
import { EMBEDDED_NETWORK, threadsPerWorker } from "./run-plan.ts";
import { DEFAULT_NAMES } from "../wallet/selected-wallet.ts";
import { openOrCreateHotkey } from "../wallet/wallet.ts";
import type { Hotkey } from "../wallet/wallet.ts";
import type { Card } from "../providers/cards.ts";
import { onCards } from "../providers/card-workers.ts";
import type { Member } from "../supervision/worker-process.ts";

/** Test units: one for 1e14 counted floating-point operations. */
const RAO_PER_TERAFLOP = "10000000";

export interface EmbeddedParts {
  readonly home: Home;
  readonly own: Hotkey;
  readonly payoutColdkey: Hotkey["address"];
  readonly known: KnownNetwork[];
  readonly cards: readonly Card[];
  readonly reading: Reading;
}

/** The network on this computer alone: an orchestrator, my worker, and neighbours with keys of their own. */
export async function embeddedPlan(
  { home, own, payoutColdkey, known, cards, reading }: EmbeddedParts,
  options: DaemonOptions,
): Promise<SessionPlan> {
  const neighbours: Member[] = [];
  for (let number = 1; number <= options.neighbours; number += 1) {
    const { wallets, worker } = home.neighbour(number);
    const hotkey = await openOrCreateHotkey({ root: wallets, ...DEFAULT_NAMES });
    neighbours.push({ name: `neighbour ${number}`, hotkey, folder: worker });
  }
  const workers = neighbours.length + 1;
  const job = await runJob(options, home.corpus, workers, sayData, reading);
  const { runId, corpus } = job.run;
  const another = noteRun(home.path, { runId, corpus: corpus.name, data: options.data });
  return {
    note: another,
    view: embeddedNetwork(neighbours.length, known),
    asset: "test",
    reach: LOOPBACK,
    claimFolder: home.claims,
    members: [...onCards({ name: "worker", hotkey: own, folder: home.worker }, cards), ...neighbours],
    supervised: {
      kind: "embedded",
      orchestrator: {
        network: EMBEDDED_NETWORK,
        folder: home.network,
        ...job,
        raoPerTeraflop: RAO_PER_TERAFLOP,
        ...(options.replicas !== null && { replicas: options.replicas }),
        payouts: [{ hotkey: own.address, coldkey: payoutColdkey }],
      },
    },
    worker: {
      network: EMBEDDED_NETWORK,
      access: null,
      localBlobs: join(home.network, BLOBS_FOLDER),
      threads: threadsPerWorker(availableParallelism(), workers),
    },
  };
}

/** To the terminal, as everything that the owner must know before it trains. */
function sayData(lines: readonly string[]): void {
  for (const [i, line] of lines.entries()) process.stdout.write(`${i === 0 ? "Data: " : "  "}${line}\n`);
}
