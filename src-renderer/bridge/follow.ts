import { applyPatch, type Json } from "../../src-protocol/patch.ts";
import { daemonState, type HistoryPoint } from "../../src-protocol/state.ts";
import type { Bridge } from "./bridge.ts";
import { withPoint } from "../home/chart-points.ts";
import { useDashboard } from "./dashboard.ts";

const MOST_POINTS = 1500;
const FIRST_POINTS = 1000;
/** A small model finishes dozens of steps a second; the screen need not be drawn for each. */
const GATHER_MS = 200;

/** Keeps the store equal to the daemon's state: a snapshot on every connection, then its patches. */
export function follow(bridge: Bridge, after = later): void {
  const { getState, setState } = useDashboard;
  /** Raised with every snapshot: patches before it and answers of an older connection do not count. */
  let subscribed = false;
  let arrived: HistoryPoint[] = [];

  const draw = () => {
    const gathered = arrived;
    arrived = [];
    setState(({ points }) => ({
      points: gathered.reduce((all, point) => withPoint(all, point, MOST_POINTS), points),
    }));
  };

  const subscribe = async () => {
    subscribed = false;
    try {
      const state = await bridge.call("state.subscribe", {});
      subscribed = true;
      setState({ state });
      await loadHistory();
    } catch {
      // The connection broke again, or the daemon is another version: the next connection tries anew.
    }
  };

  const loadHistory = async () => {
    const runId = getState().state?.run?.runId;
    if (runId === undefined) return setState({ points: [], pointsKnown: true });
    const { points } = await bridge.call("run.history", { maxPoints: FIRST_POINTS });
    if (getState().state?.run?.runId === runId) setState({ points, pointsKnown: true });
  };

  bridge.onEvent((event) => {
    const { state } = getState();
    if (!subscribed || state === null) return;
    if (event.type === "point") {
      arrived.push(event.point);
      if (arrived.length === 1) after(GATHER_MS, draw);
      return;
    }
    const next = daemonState.safeParse(applyPatch(state as Json, event.operations));
    if (!next.success) {
      void subscribe();
      return;
    }
    setState({ state: next.data });
    if (next.data.run?.runId !== state.run?.runId) void loadHistory().catch(() => {});
  });

  bridge.onConnection((connection) => {
    setState({ connection });
    if (connection === "open") void subscribe();
    else subscribed = false;
  });
}

function later(ms: number, action: () => void): void {
  setTimeout(action, ms);
}
