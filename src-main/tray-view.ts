import { networkWait } from "../src-protocol/network-text.ts";
import { pauseChoices } from "../src-protocol/pause-choices.ts";
import { explain } from "../src-protocol/reason-text.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import type { LinkStatus } from "./daemon-link.ts";

/** Each has a shape of its own: colour alone says nothing in a tray. */
export const TRAY_ICONS = ["working", "waiting", "paused", "problem"] as const;
export type TrayIcon = (typeof TRAY_ICONS)[number];

export type TrayAction =
  | { readonly kind: "open" }
  | { readonly kind: "pause"; readonly minutes: number }
  | { readonly kind: "start"; readonly minutes: number }
  | { readonly kind: "resume" }
  | { readonly kind: "restart" }
  | { readonly kind: "quit" };

export type TrayEntry =
  | { readonly text: string }
  | { readonly label: string; readonly action: TrayAction }
  | { readonly label: string; readonly entries: readonly TrayEntry[] }
  | "line";

export interface TrayView {
  readonly icon: TrayIcon;
  /** State, reason and next change. */
  readonly text: string;
  readonly menu: readonly TrayEntry[];
}

const START_MINUTES = 4 * 60;

/**
 * All that the tray shows, from the state. Every action is in the menu: on Linux a click on the
 * icon often brings no event (electron/electron#10427).
 */
export function trayView(status: LinkStatus, state: DaemonState | null, now: number): TrayView {
  const open: TrayEntry = { label: "Open the dashboard", action: { kind: "open" } };
  const quit: TrayEntry = { label: "Quit and stop working", action: { kind: "quit" } };
  if (state === null || status.kind !== "connected") {
    const { icon, text } = withoutDaemon(status);
    const restart: TrayEntry[] =
      status.kind === "ended" ? [{ label: "Start Train at Home again", action: { kind: "restart" } }] : [];
    return { icon, text, menu: [{ text }, "line", ...restart, open, "line", quit] };
  }
  const wait = state.decision.action === "run" ? networkWait(state.network, now) : null;
  const reason = wait ?? explain(state.decision, now);
  const trouble = problem(state);
  const lines: TrayEntry[] = [...(trouble === null ? [] : [{ text: trouble }]), { text: reason }];
  return {
    icon: icon(state),
    text: trouble ?? reason,
    menu: [...lines, "line", ...controls(state, now), "line", open, "line", quit],
  };
}

function controls(state: DaemonState, now: number): TrayEntry[] {
  const entries: TrayEntry[] = [
    {
      label: "Pause",
      entries: pauseChoices(now).map(({ label, minutes }) => ({ label, action: { kind: "pause", minutes } })),
    },
  ];
  if (state.decision.action === "pause")
    entries.push({ label: "Start now, for 4 hours", action: { kind: "start", minutes: START_MINUTES } });
  if (state.override !== null)
    entries.push({
      label: state.override.action === "pause" ? "Resume: follow the schedule" : "Follow the schedule again",
      action: { kind: "resume" },
    });
  return entries;
}

function problem(state: DaemonState): string | null {
  if (state.problem !== null) return state.problem.message;
  return state.node.phase === "failed" ? state.node.detail : null;
}

function icon(state: DaemonState): TrayIcon {
  if (problem(state) !== null) return "problem";
  const { network, decision } = state;
  if (decision.action === "run")
    return network.away === null && network.offer === null ? "working" : "waiting";
  return state.override?.action === "pause" ? "paused" : "waiting";
}

function withoutDaemon(status: LinkStatus): { icon: TrayIcon; text: string } {
  switch (status.kind) {
    case "starting":
    case "connected":
      return { icon: "waiting", text: "Train at Home is starting." };
    case "lost":
      return { icon: "problem", text: status.text };
    case "ended":
      return { icon: "paused", text: "Train at Home has ended: it is not working." };
  }
}
