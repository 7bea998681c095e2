import type { PeerAddress } from "../../src-protocol/control.ts";
import type { LineLimits } from "../../src-protocol/line-limits.ts";
import type { LinkServices } from "../../src-protocol/link-services.ts";

/** What a node of the lab is asked to do. */
export type LabCall =
  | { readonly do: "who" | "router" | "path" | "ended" | "frames" | "received" | "hang up" }
  | { readonly do: "offer"; readonly services: LinkServices | null }
  | { readonly do: "name"; readonly keys: readonly string[] }
  | { readonly do: "dial"; readonly peer: PeerAddress; readonly withinMs: number }
  | { readonly do: "wait at relay"; readonly key: string; readonly withinMs: number }
  | { readonly do: "send" | "raw send"; readonly bytes: number }
  /** What this node's owner allows from now on; its link counts towards it. */
  | { readonly do: "limit"; readonly limits: LineLimits }
  /** Sends as much as it may for so long. */
  | { readonly do: "saturate"; readonly forMs: number }
  | { readonly do: "ping" | "raw ping"; readonly count: number }
  | { readonly do: "raw dial"; readonly host: string; readonly port: number };

export type LabAnswer = Readonly<Record<string, unknown>>;
