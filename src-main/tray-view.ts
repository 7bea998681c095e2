import { amount } from "../src-protocol/amounts.ts";
import { heard, phrase, say } from "../src-protocol/say.ts";
import { pauseChoices } from "../src-protocol/pause-choices.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import type { ShellSettings } from "../src-protocol/shell-settings.ts";
import { overrideText, situation, type Tone, WORDS } from "../src-protocol/why.ts";
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
  /** What the day has brought; null: nothing yet. */
  readonly today: string | null;
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
  atQuit: ShellSettings["atQuit"] = "ask",
  todayRao: bigint | null = null,
): TrayView {
  const view = viewOfWork(status, state, now, atQuit, todayRao);
  const entry = updateEntry(update);
  return entry === null ? view : { ...view, menu: [...view.menu, "line", entry] };
}

function updateEntry(update: UpdateState): TrayEntry | null {
  switch (update.kind) {
    case "ready":
      return {
        label: say("Update to {version} and start again", { version: update.version }),
        action: { kind: "update" },
      };
    case "ending-work":
      return { text: say("Updates to {version} after this step.", { version: update.version }) };
    case "loading":
      return { text: say("Version {version} is being downloaded.", { version: update.version }) };
    case "refused":
      return { text: heard(update.text) };
    case "none":
    case "looking":
    case "installing":
    case "failed":
      return null;
  }
}

const QUIT = {
  ask: phrase("Quit …"),
  stop: phrase("Quit and stop working"),
  "go-on": phrase("Quit, work goes on"),
} as const satisfies Record<ShellSettings["atQuit"], string>;

function viewOfWork(
  status: LinkStatus,
  state: DaemonState | null,
  now: number,
  atQuit: ShellSettings["atQuit"],
  todayRao: bigint | null,
): TrayView {
  const open: TrayEntry = { label: say("Open the dashboard"), action: { kind: "open" } };
  const quit: TrayEntry = { label: say(QUIT[atQuit]), action: { kind: "quit" } };
  if (state === null || status.kind !== "connected") {
    const { icon, text } = withoutDaemon(status);
    const restart: TrayEntry[] =
      status.kind === "ended"
        ? [{ label: say("Start Train at Home again"), action: { kind: "restart" } }]
        : [];
    return { icon, text, today: null, menu: [{ text }, "line", ...restart, open, "line", quit] };
  }
  const { tone, reason: because } = situation(state, now);
  const reason = `${say(WORDS[tone])}: ${because}`;
  const trouble = problem(state);
  const lines: TrayEntry[] = [...(trouble === null ? [] : [{ text: trouble }]), { text: reason }];
  if (state.asked !== undefined)
    lines.push({ text: say("{network} waits for your decision", { network: state.asked.network }) });
  if (state.override !== null) lines.push({ text: overrideText(state.override, now) });
  const today = todayRao === null ? null : todayText(todayRao, state.earnings.asset);
  if (today !== null) lines.push({ text: today });
  return {
    icon: icon(state, tone),
    text: trouble ?? reason,
    today,
    menu: [...lines, "line", ...controls(state, now), "line", open, "line", quit],
  };
}

function todayText(rao: bigint, asset: DaemonState["earnings"]["asset"]): string {
  const unit = asset === "test" ? say("test units (worth nothing)") : asset === "tao" ? "τ" : "α";
  return say("Today: {amount} {unit}", { amount: amount(rao.toString()), unit });
}

function controls(state: DaemonState, now: number): TrayEntry[] {
  const entries: TrayEntry[] = [
    {
      label: say("Pause"),
      entries: [
        ...pauseChoices(now).map(({ label, minutes }): TrayEntry => ({
          label,
          action: { kind: "pause", minutes },
        })),
        { label: say("Until I resume it"), action: { kind: "pause", minutes: null } },
        { label: say("After this step, until I resume it"), action: { kind: "finish" } },
      ],
    },
  ];
  if (state.decision.action === "pause")
    entries.push({ label: say("Start now, for 4 hours"), action: { kind: "start", minutes: START_MINUTES } });
  if (state.override !== null)
    entries.push({
      label:
        state.override.action === "run"
          ? say("Follow the schedule again")
          : say("Resume: follow the schedule"),
      action: { kind: "resume" },
    });
  return entries;
}

function problem(state: DaemonState): string | null {
  if (state.problem !== null) return heard(state.problem.message);
  return state.node.phase === "failed" ? heard(state.node.detail) : null;
}

function icon(state: DaemonState, tone: Tone): TrayIcon {
  if (problem(state) !== null) return "problem";
  switch (tone) {
    case "working":
    case "paused":
      return tone;
    case "failed":
      return "problem";
    case "getting-ready":
    case "waiting":
      return "waiting";
  }
}

function withoutDaemon(status: LinkStatus): { icon: TrayIcon; text: string } {
  switch (status.kind) {
    case "starting":
    case "connected":
      return { icon: "waiting", text: say("Train at Home is starting.") };
    case "lost":
      return { icon: "problem", text: heard(status.text) };
    case "ended":
      return { icon: "paused", text: say("Train at Home has ended: it is not working.") };
  }
}
