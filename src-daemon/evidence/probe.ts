import type { Evidence } from "../../src-protocol/policy.ts";

/** One way to find something out. `read` never throws: what it cannot tell, it calls unknown. */
export interface Probe<T> {
  /** As often as is worth its cost. */
  everyMs: number;
  read(): Promise<T>;
}

export type PowerReading = Pick<Evidence, "power" | "batteryPercent">;
export const POWER_UNKNOWN: PowerReading = { power: "unknown", batteryPercent: null };

/** Seconds since the last input; null: cannot tell. */
export type IdleReading = Evidence["idleSeconds"];

/** What of the desktop says that somebody uses it, or does not, without input. */
export type DesktopReading = Pick<Evidence, "screenLocked" | "remoteSession" | "screenInUse">;
export const DESKTOP_UNKNOWN: DesktopReading = { screenLocked: null, remoteSession: null, screenInUse: null };

export type NetworkReading = Pick<Evidence, "metered" | "networks">;
export const NETWORK_UNKNOWN: NetworkReading = { metered: null, networks: null };
