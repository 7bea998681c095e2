import { create } from "zustand";
import type { DaemonState, HistoryPoint } from "../../src-protocol/state.ts";
import type { Rules } from "../../src-protocol/policy.ts";
import type { Connection } from "./bridge.ts";

/** All that the screens show: the daemon's state and what belongs to this window alone. */
export interface Dashboard {
  readonly connection: Connection;
  /** Null until the first snapshot; kept, and marked as old, while the connection is lost. */
  readonly state: DaemonState | null;
  readonly points: readonly HistoryPoint[];
  /** Whether the steps before this page was opened are among `points`: until then "none" is not known. */
  readonly pointsKnown: boolean;
  /** Rules being edited; null: as saved. They outlive a visit to another screen. */
  readonly draft: Rules | null;
  /** The last draft became the rules, and was not thrown away. */
  readonly justSaved: boolean;
}

export const useDashboard = create<Dashboard>(() => ({
  connection: "connecting",
  state: null,
  points: [],
  pointsKnown: false,
  draft: null,
  justSaved: false,
}));
