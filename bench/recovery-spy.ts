import type { RunState, HistoryPoint } from "../src-protocol/state.ts";
import type { SessionKey } from "../src-protocol/keys.ts";
import { microBatchesOf } from "../src-protocol/micro-batch-set.ts";
import { RunHost } from "../src-orchestrator/runs/run-host.ts";
import { sharedNow } from "./shared-clock.ts";

/**
 * Loaded into the orchestrator's process before everything else: the bench sees what its host does at once, which
 * others are shown a few times a second, and leads links past its proxies.
 */
export type Spied =
  | ({ readonly type: "spied" } & HostSight)
  /** `at`: see `sharedNow`. */
  | { readonly type: "spiedPoint"; readonly point: HistoryPoint; readonly at: number }
  /** A worker whose links are behind the proxy of this port. */
  | {
      readonly type: "spiedProxy";
      readonly key: SessionKey;
      readonly proxy: number;
      readonly port: number;
    }
  /** The answer to SIGUSR2; see `lost`. */
  | { readonly type: "spiedReceipts"; readonly lost: number };

export interface HostSight extends Pick<RunState, "recoveries" | "detail"> {
  readonly redone: RunState["redone"] | null;
  readonly generation: number;
  /** Of each stage the replicas that work. */
  readonly live: readonly number[];
  readonly stageOf: Readonly<Record<SessionKey, number>>;
  /** Who has a part in the steps now. */
  readonly working: readonly SessionKey[];
}

/** Ports of proxies that nobody has yet; empty: links pass none. */
const proxies = (process.env["TAH_BENCH_PROXIES"] ?? "").split(",").filter(Boolean).map(Number);
const isProxied = proxies.length > 0;

const tell = (spied: Spied): void => {
  if (process.connected) process.send?.(spied);
};

let host: RunHost | null = null;
const { join, dispatch } = RunHost.prototype;

RunHost.prototype.join = function (this: RunHost, event, connection, lane): void {
  if (!isProxied) return join.call(this, event, connection, lane);
  const proxy = proxies.shift();
  if (proxy === undefined) throw new Error("more workers came than proxies were opened");
  tell({ type: "spiedProxy", key: event.sessionKey, proxy, port: event.linkAddress.port });
  const linkAddress = { host: "127.0.0.1", port: proxy };
  return join.call(this, { ...event, linkAddress, otherAddresses: [] }, connection, lane);
};

RunHost.prototype.dispatch = function (this: RunHost, ...happening): void {
  if (host === null) watch(this);
  dispatch.apply(this, happening);
};

function watch(its: RunHost): void {
  host = its;
  its.watch({ changed: soon, point: (point) => tell({ type: "spiedPoint", point, at: sharedNow() }) });
  soon();
}

let isDue = false;
let said = "";

/** What changes in one turn is told once. */
function soon(): void {
  if (isDue) return;
  isDue = true;
  setImmediate(() => {
    isDue = false;
    if (host === null) return;
    const { recoveries, detail, redone = null, stages } = host.view();
    const keys = [...host["connections"].keys()];
    const stageOf = Object.fromEntries(keys.map((key) => [key, host?.stageOf(key) ?? -1]));
    const live = stages.map(({ replicas }) => replicas?.live ?? 0);
    const { generation } = host.pipeline();
    const working = keys.filter((key) => host?.isLive(key));
    const sight: HostSight = { generation, recoveries, detail, redone, live, stageOf, working };
    const text = JSON.stringify(sight);
    if (text === said) return;
    said = text;
    tell({ type: "spied", ...sight });
  });
}

/** Receipts of steps that are finished later are always on their way. */
let below: number | null = null;

process.on("SIGUSR2", () => {
  below ??= host?.view().step ?? null;
  tell({ type: "spiedReceipts", lost: host === null || below === null ? 0 : lost(host, below) });
});

/**
 * Of what the steps before this one have counted for somebody, how much has no receipt in the network's books, and had
 * none: those of some hundred steps ago are added up and deleted. Work is paid once, however often it was redone,
 * whoever did it: nothing is lost where each of its micro-batches has a receipt.
 */
function lost(of: RunHost, step: number): number {
  const { runId } = of["run"];
  const shares = of["store"].all(
    "SELECT step, stage, worker, microBatches, isPaid FROM shares WHERE runId = :runId AND step < :step",
    { runId, step },
  );
  const paid = new Map<string, Set<number>>();
  const pay = (place: string, set: string): void => {
    const known = paid.get(place) ?? new Set();
    paid.set(place, known);
    for (const microBatch of microBatchesOf(set)) known.add(microBatch);
  };
  const receipts = of["store"].all(
    "SELECT step, stage, share FROM receipts WHERE runId = :runId AND share IS NOT NULL",
    { runId },
  );
  for (const row of receipts) {
    const { share } = JSON.parse(String(row["share"])) as {
      readonly share: { readonly microBatches: string };
    };
    pay(`${String(row["step"])}/${String(row["stage"])}`, share.microBatches);
  }
  for (const row of shares)
    if (Number(row["isPaid"]) === 1)
      pay(`${String(row["step"])}/${String(row["stage"])}`, String(row["microBatches"]));
  return shares.filter((row) => {
    const known = paid.get(`${String(row["step"])}/${String(row["stage"])}`);
    return microBatchesOf(String(row["microBatches"])).some((microBatch) => known?.has(microBatch) !== true);
  }).length;
}
