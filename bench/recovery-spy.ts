import type { RunState, HistoryPoint } from "../src-protocol/state.ts";
import type { SessionKey } from "../src-protocol/keys.ts";
import { RunHost } from "../src-orchestrator/runs/run-host.ts";

/**
 * Loaded into the orchestrator's process before everything else: the bench sees what its host does at once, which
 * others are shown a few times a second, and leads links past its proxies.
 */
export type Spied =
  | ({ readonly type: "spied" } & HostSight)
  | { readonly type: "spiedPoint"; readonly point: HistoryPoint }
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
  its.watch({ changed: soon, point: (point) => tell({ type: "spiedPoint", point }) });
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
    const sight: HostSight = { generation, recoveries, detail, redone, live, stageOf };
    const text = JSON.stringify(sight);
    if (text === said) return;
    said = text;
    tell({ type: "spied", ...sight });
  });
}

process.on("SIGUSR2", () => tell({ type: "spiedReceipts", lost: host === null ? 0 : lost(host) }));

/**
 * Of what finished steps have counted for somebody, how much has no receipt in the network's books, and had
 * none: those of some hundred steps ago are added up and deleted. Work that was done again has one, whoever has it.
 */
function lost(of: RunHost): number {
  const row = of["store"].get(
    `SELECT count(*) AS lost FROM shares s WHERE s.runId = :runId AND s.step < :step AND s.isPaid = 0
       AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.runId = s.runId AND r.step = s.step AND r.stage = s.stage
         AND (lower(hex(r.worker)) = s.worker OR NOT EXISTS (SELECT 1 FROM shares o WHERE o.runId = s.runId
           AND o.step = s.step AND o.stage = s.stage AND o.worker = lower(hex(r.worker)) AND o.generation = s.generation)))`,
    { runId: of["run"].runId, step: of.view().step },
  );
  return Number(row?.["lost"]);
}
