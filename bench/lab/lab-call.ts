import type { PeerAddress } from "../../src-protocol/control.ts";
import type { LinkServices } from "../../src-protocol/link-services.ts";

/** What a node of the lab is asked to do. */
export type LabCall =
  | { readonly do: "who" | "router" | "path" | "received" | "hang up" }
  | { readonly do: "offer"; readonly services: LinkServices | null }
  | { readonly do: "name"; readonly keys: readonly string[] }
  | { readonly do: "dial"; readonly peer: PeerAddress; readonly withinMs: number }
  | { readonly do: "wait at relay"; readonly key: string; readonly withinMs: number }
  | { readonly do: "send" | "raw send"; readonly bytes: number }
  | { readonly do: "ping" | "raw ping"; readonly count: number }
  | { readonly do: "raw dial"; readonly host: string; readonly port: number };

export type LabAnswer = Readonly<Record<string, unknown>>;
