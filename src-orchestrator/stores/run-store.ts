import { placesOf } from "../../src-protocol/disk-steps.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { setOfMicroBatches } from "../../src-protocol/micro-batch-set.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import { runSpec } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import type { Checkpoint } from "./checkpoints.ts";
import type { Remembered, Row } from "../runs/network-state.ts";
import { numberOf, orNull, textOf } from "./store.ts";
import type { Store, StoredRow } from "./store.ts";

/** Generations of one life of the orchestrator are above those of all earlier lives, without a write each. */
const GENERATIONS_PER_LIFE = 1_000_000;

export function firstGeneration(life: number): number {
  return life * GENERATIONS_PER_LIFE;
}

/** What a folder is: it belongs to one network, and its clock starts once. */
export interface Identity {
  readonly genesis: number;
  /** How often the orchestrator was started on this folder, this time included. */
  readonly life: number;
}

/** The network that this folder belongs to; null: it is new. */
export function knownNetwork(store: Store): string | null {
  return orNull(store.get("SELECT value FROM meta WHERE key = 'network'")?.value, textOf);
}

/** @throws Failure `other-network` when the folder belongs to another network */
export async function identify(store: Store, network: string, now: number): Promise<Identity> {
  const identified = store.write(() => {
    const meta = (key: string): string | null =>
      orNull(store.get("SELECT value FROM meta WHERE key = :key", { key })?.value, textOf);
    const set = (key: string, value: string) =>
      store.run("INSERT OR REPLACE INTO meta VALUES (:key, :value)", { key, value });
    const known = meta("network");
    if (known !== null && known !== network) {
      throw new Failure(
        "other-network",
        `${store.path} belongs to the network "${known}", not to "${network}". Choose another folder for this network.`,
      );
    }
    const genesis = Number(meta("genesis") ?? now);
    const life = Number(meta("life") ?? 0) + 1;
    set("network", network);
    set("genesis", String(genesis));
    set("life", String(life));
    return { genesis, life };
  });
  store.flush();
  return await identified;
}

/**
 * The run that is wanted, with the mathematics of the stored run of the same id: those must not
 * change midway. How long it goes on and how often it is measured and kept may.
 */
export function continuedRun(store: Store, wanted: RunSpec): RunSpec {
  const row = store.get("SELECT spec FROM runs WHERE runId = :runId", { runId: wanted.runId });
  if (row === null) return wanted;
  const { steps, evaluateEverySteps, evaluationMicroBatches, checkpointEverySteps } = wanted;
  const stored = runSpec.parse(JSON.parse(textOf(row.spec)));
  return { ...stored, steps, evaluateEverySteps, evaluationMicroBatches, checkpointEverySteps };
}

/** Stores a run, or how it goes on from now. */
export async function keepRun(store: Store, run: RunSpec, now: number): Promise<void> {
  const kept = store.write(() =>
    store.run(
      `INSERT INTO runs (runId, spec, createdAt) VALUES (:runId, :spec, :now)
       ON CONFLICT (runId) DO UPDATE SET spec = excluded.spec`,
      { runId: run.runId, spec: JSON.stringify(run), now },
    ),
  );
  store.flush();
  await kept;
}

/** Where a run stands by the store. Checkpoints whose blob is gone are left out by `hasBlob`. */
export function remember(
  store: Store,
  run: RunSpec,
  life: number,
  hasBlob: (checkpoint: Checkpoint) => boolean,
): Remembered {
  const { runId } = run;
  const figures = store.get(
    "SELECT recoveries, lastRecoveryMs, heldOutLossAtStart, provedStep, provedLoss FROM runs WHERE runId = :runId",
    { runId },
  );
  const last = store.get("SELECT * FROM points WHERE runId = :runId ORDER BY step DESC LIMIT 1", { runId });
  const heldOut = store.get(
    "SELECT step, heldOutLoss FROM points WHERE runId = :runId AND heldOutLoss IS NOT NULL ORDER BY step DESC LIMIT 1",
    { runId },
  );
  const checkpoints = Array.from({ length: run.stages }, () => new Map<number, Checkpoint>());
  for (const row of store.all("SELECT * FROM checkpoints WHERE runId = :runId", { runId })) {
    const checkpoint = { sha256: textOf(row.sha256), bytes: numberOf(row.bytes) };
    if (hasBlob(checkpoint)) checkpoints[numberOf(row.stage)]?.set(numberOf(row.step), checkpoint);
  }
  const saves = Array.from({ length: run.stages }, () => new Map<number, string>());
  for (const row of store.all("SELECT stage, step, digest FROM saves WHERE runId = :runId", { runId }))
    saves[numberOf(row.stage)]?.set(numberOf(row.step), textOf(row.digest));
  const provedAt = orNull(figures?.provedStep, numberOf);
  const provedLoss = orNull(figures?.provedLoss, numberOf);
  return {
    saves,
    trusted: store
      .all("SELECT hotkey FROM trusted WHERE runId = :runId", { runId })
      .map((row) => ss58Address.parse(textOf(row.hotkey))),
    proved: provedAt === null || provedLoss === null ? null : { step: provedAt, loss: provedLoss },
    generation: firstGeneration(life),
    lastPoint: last === null ? null : pointOf(last),
    heldOut: heldOut === null ? null : { step: numberOf(heldOut.step), loss: numberOf(heldOut.heldOutLoss) },
    heldOutLossAtStart: orNull(figures?.heldOutLossAtStart, numberOf),
    recoveries: orNull(figures?.recoveries, numberOf) ?? 0,
    lastRecoveryMs: orNull(figures?.lastRecoveryMs, numberOf),
    checkpoints,
  };
}

/** Stored points after `sinceStep`, oldest first. */
export function history(store: Store, runId: string, sinceStep: number, limit: number): HistoryPoint[] {
  return store
    .all("SELECT * FROM points WHERE runId = :runId AND step > :sinceStep ORDER BY step LIMIT :limit", {
      runId,
      sinceStep,
      limit,
    })
    .map(pointOf);
}

/** Digests that checkpoints of any run name. */
export function referencedBlobs(store: Store): Set<string> {
  return new Set(store.all("SELECT DISTINCT sha256 FROM checkpoints").map((row) => textOf(row.sha256)));
}

function pointOf(row: StoredRow): HistoryPoint {
  return {
    step: numberOf(row.step),
    at: numberOf(row.at),
    loss: numberOf(row.loss),
    heldOutLoss: orNull(row.heldOutLoss, numberOf),
    tokensPerSecond: orNull(row.tokensPerSecond, numberOf),
  };
}

const THINNED_EVERY_STEPS = 1_000;

/**
 * Of the loss curve every step is kept for ten thousand steps, then every tenth, then every hundredth, and
 * so on: a run of months has some ten thousand points. Held-out losses go with the second thinning.
 */
function thinHistory(store: Store, runId: string, step: number): void {
  for (let [age, every] = [10_000, 10]; age < step; age *= 10, every *= 10) {
    store.run(
      `DELETE FROM points WHERE runId = :runId AND step < :before AND step % :every != 0
         AND (heldOutLoss IS NULL OR :every > 10)`,
      { runId, before: step - age, every },
    );
  }
}

/** Receipts of so many steps are waited for. */
const SHARES_KEPT_STEPS = 2_000;

/**
 * What a finished step has counted, unless it was finished and paid before: work that is done again after
 * the run went back is paid once. Which steps those are is told by statements of it or later ones, and by
 * how far behind the newest it is.
 */
function storeShares(
  store: Store,
  runId: string,
  { generation, step, stages }: Extract<Row, { kind: "shares" }>,
): void {
  const newest = orNull(
    store.get("SELECT max(step) AS step FROM shares WHERE runId = :runId", { runId })?.step,
    numberOf,
  );
  if (newest !== null && step <= newest - SHARES_KEPT_STEPS) return;
  for (const [stage, shares] of stages.entries()) {
    // By statements, or whole, before the stage had replicas.
    const isPaid = store.get(
      `SELECT 1 FROM statements WHERE runId = :runId AND stage = :stage AND toStep >= :step
       UNION ALL SELECT 1 FROM receipts WHERE runId = :runId AND stage = :stage AND step = :step AND share IS NULL LIMIT 1`,
      { runId, stage, step },
    );
    if (isPaid !== null) continue;
    for (const { replica, microBatches } of shares)
      store.run(
        "INSERT OR IGNORE INTO shares VALUES (:runId, :step, :stage, :worker, :generation, :set, 0)",
        {
          runId,
          step,
          stage,
          worker: replica,
          generation,
          set: setOfMicroBatches(microBatches),
        },
      );
  }
  store.run("DELETE FROM shares WHERE runId = :runId AND step <= :step", {
    runId,
    step: Math.max(step, newest ?? 0) - SHARES_KEPT_STEPS,
  });
}

/** Of the newest generation of a run: its number, and how many steps it has finished; 0 and 0: none was formed. */
export function newestGeneration(
  store: Store,
  runId: string,
): { readonly newest: number; readonly finishedStep: number } {
  const row = store.get(
    "SELECT generation, finishedStep FROM generations WHERE runId = :runId ORDER BY generation DESC LIMIT 1",
    { runId },
  );
  return row === null
    ? { newest: 0, finishedStep: 0 }
    : { newest: numberOf(row.generation), finishedStep: numberOf(row.finishedStep) };
}

/**
 * Writes what the network wants remembered; inside `store.write` only. Rows that are written again, in their order
 * and to the last of them, change nothing.
 */
export function storeRow(store: Store, runId: string, row: Row): void {
  switch (row.kind) {
    case "generation": {
      const { generation, resumeStep, isShared, at } = row;
      store.run(
        `INSERT INTO generations (runId, generation, resumeStep, isShared, at)
         VALUES (:runId, :generation, :resumeStep, :isShared, :at) ON CONFLICT DO NOTHING`,
        {
          runId,
          generation,
          resumeStep,
          isShared: isShared === true ? 1 : 0,
          at,
        },
      );
      for (const [stage, { sessionKey, hotkey }] of row.holders.entries()) {
        store.run(
          "INSERT OR REPLACE INTO assignments VALUES (:sessionKey, :runId, :generation, :stage, :hotkey)",
          { sessionKey, runId, generation, stage, hotkey },
        );
      }
      return;
    }
    case "replica": {
      const { generation, stage, sessionKey, hotkey } = row;
      store.run(
        "INSERT OR REPLACE INTO assignments VALUES (:sessionKey, :runId, :generation, :stage, :hotkey)",
        {
          sessionKey,
          runId,
          generation,
          stage,
          hotkey,
        },
      );
      return;
    }
    case "finished": {
      const { generation, step, elapsedMs } = row;
      store.run(
        `UPDATE generations SET finishedStep = :step, elapsedMs = :elapsedMs
         WHERE runId = :runId AND generation = :generation`,
        { runId, generation, step, elapsedMs },
      );
      return;
    }
    case "shares":
      return storeShares(store, runId, row);
    case "saved": {
      const { stage, step, digest } = row;
      for (const slot of placesOf(step))
        store.run("INSERT OR REPLACE INTO saves VALUES (:runId, :stage, :slot, :step, :digest)", {
          runId,
          stage,
          slot,
          step,
          digest,
        });
      return;
    }
    case "forgetSaves":
      for (const step of row.steps) {
        store.run("DELETE FROM saves WHERE runId = :runId AND stage = :stage AND step = :step", {
          runId,
          stage: row.stage,
          step,
        });
      }
      return;
    case "proved":
      store.run("UPDATE runs SET provedStep = :step, provedLoss = :loss WHERE runId = :runId", {
        runId,
        ...row.proved,
      });
      for (const hotkey of row.trusted)
        store.run("INSERT OR IGNORE INTO trusted VALUES (:runId, :hotkey)", { runId, hotkey });
      return;
    case "point":
      store.run(
        `INSERT INTO points VALUES (:runId, :step, :at, :loss, :heldOutLoss, :tokensPerSecond)
         ON CONFLICT DO UPDATE SET at = excluded.at, loss = excluded.loss,
           heldOutLoss = coalesce(excluded.heldOutLoss, heldOutLoss), tokensPerSecond = excluded.tokensPerSecond`,
        { runId, ...row.point },
      );
      if (row.point.step % THINNED_EVERY_STEPS === 0) thinHistory(store, runId, row.point.step);
      return;
    case "heldOut":
      if (row.step === 0) {
        store.run("UPDATE runs SET heldOutLossAtStart = :loss WHERE runId = :runId", {
          runId,
          loss: row.loss,
        });
        return;
      }
      store.run("UPDATE points SET heldOutLoss = :loss WHERE runId = :runId AND step = :step", {
        runId,
        step: row.step,
        loss: row.loss,
      });
      return;
    case "checkpoint": {
      const { stage, step, sha256, bytes } = row;
      store.run("INSERT OR REPLACE INTO checkpoints VALUES (:runId, :stage, :step, :sha256, :bytes)", {
        runId,
        stage,
        step,
        sha256,
        bytes,
      });
      return;
    }
    case "forgetCheckpoint":
      store.run("DELETE FROM checkpoints WHERE runId = :runId AND stage = :stage AND step = :step", {
        runId,
        stage: row.stage,
        step: row.step,
      });
      return;
    case "recovery":
      store.run(
        "UPDATE runs SET recoveries = :recoveries, lastRecoveryMs = :lastRecoveryMs WHERE runId = :runId",
        {
          runId,
          recoveries: row.recoveries,
          lastRecoveryMs: Math.round(row.lastRecoveryMs),
        },
      );
      return;
  }
}
