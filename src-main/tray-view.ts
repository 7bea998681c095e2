import { pauseChoices } from "../src-protocol/pause-choices.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import { overrideText, situation, WORDS } from "../src-protocol/why.ts";
import type { LinkStatus } from "./daemon-link.ts";
import type { UpdateState } from "./updates.ts";

/** Each has a shape of its own: colour alone says nothing in a tray. */
export const TRAY_ICONS = ["working", "waiting", "paused", "problem"] as const;
export type TrayIcon = (typeof TRAY_ICONS)[number];

export type TrayAction =
  | { readonly kind: "open" }
  | { readonly kind: "pause"; readonly minutes: number | null }
  | { readonly kind: "finish" }
  | { readonly kind: "start"; readonly minutes: number }
  | { readonly kind: "resume" }
  | { readonly kind: "restart" }
  | { readonly kind: "update" }
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
export function trayView(
  status: LinkStatus,
  state: DaemonState | null,
  now: number,
  update: UpdateState = { kind: "none" },
): TrayView {
  const view = viewOfWork(status, state, now);
  const entry = updateEntry(update);
  return entry === null ? view : { ...view, menu: [...view.menu, "line", entry] };
}

function updateEntry(update: UpdateState): TrayEntry | null {
  switch (update.kind) {
    case "ready":
      return { label: `Update to ${update.version} and start again`, action: { kind: "update" } };
    case "ending-work":
      return { text: `Updates to ${update.version} after this step.` };
    case "loading":
      return { text: `Version ${update.version} is being downloaded.` };
    case "refused":
      return { text: update.text };
    case "none":
    case "looking":
    case "installing":
    case "failed":
      return null;
  }
}

function viewOfWork(status: LinkStatus, state: DaemonState | null, now: number): TrayView {
  const open: TrayEntry = { label: "Open the dashboard", action: { kind: "open" } };
  const quit: TrayEntry = { label: "Quit and stop working", action: { kind: "quit" } };
  if (state === null || status.kind !== "connected") {
    const { icon, text } = withoutDaemon(status);
    const restart: TrayEntry[] =
      status.kind === "ended" ? [{ label: "Start Train at Home again", action: { kind: "restart" } }] : [];
    return { icon, text, menu: [{ text }, "line", ...restart, open, "line", quit] };
  }
  const { tone, reason: because } = situation(state, now);
  const reason = `${WORDS[tone]}: ${because}`;
  const trouble = problem(state);
  const lines: TrayEntry[] = [...(trouble === null ? [] : [{ text: trouble }]), { text: reason }];
  if (state.override !== null) lines.push({ text: overrideText(state.override, now) });
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
      entries: [
        ...pauseChoices(now).map(({ label, minutes }): TrayEntry => ({
          label,
          action: { kind: "pause", minutes },
        })),
        { label: "Until I resume", action: { kind: "pause", minutes: null } },
        { label: "After this step, until I resume", action: { kind: "finish" } },
      ],
    },
  ];
  if (state.decision.action === "pause")
    entries.push({ label: "Start now, for 4 hours", action: { kind: "start", minutes: START_MINUTES } });
  if (state.override !== null)
    entries.push({
      label: state.override.action === "run" ? "Follow the schedule again" : "Resume: follow the schedule",
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
  return state.override !== null && state.override.action !== "run" ? "paused" : "waiting";
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
