import { mbitText } from "../src-protocol/line-limits.ts";
import type { LimitRow, LimitsReport } from "../src-protocol/limits-report.ts";
import type { TrafficState } from "../src-protocol/line-limits.ts";
import type { ClaimOutcome, ClaimRow, DaemonState } from "../src-protocol/state.ts";
import type { Forecast } from "../src-protocol/forecast.ts";
import { windowsText } from "../src-protocol/settled-pay.ts";
import type { SettledPay } from "../src-protocol/settled-pay.ts";
import { assetWord, formatTao } from "../src-protocol/units.ts";
import { byOwnClock } from "../src-protocol/own-clock.ts";
import { overrideText, situationText, workerText } from "../src-protocol/why.ts";
import { explain, momentText } from "../src-protocol/reason-text.ts";
import type { StateChange } from "../src-protocol/history.ts";
import { localTime, ownTimeZone } from "../src-protocol/zone.ts";
import { linksText } from "./links-text.ts";
import { networkLine } from "./networks.ts";
import { questionText } from "./question-text.ts";

/** What `tah` prints for a person. The data behind each is what `--json` prints. */

export function statusText(state: DaemonState, now: number): string {
  const { run, network } = state;
  const lines: string[] = [];
  // While it waits, nodes and stages are away because they shall be: the first line says why.
  const working = state.decision.action === "run";
  const headline = situationText(state, now);
  lines.push(headline);
  if (state.override !== null) lines.push(`           ${overrideText(state.override, now)}`);
  lines.push(`Network:   ${networkLine(network)}`);
  if (state.asked !== undefined) {
    const { network: name, ...question } = state.asked;
    lines.push(`Decide:    ${name} waits for you.`);
    lines.push(questionText(question).replaceAll(/^/gm, " ".repeat(11)));
  }
  if (state.problem !== null) lines.push(`Problem:   ${state.problem.message}`);
  const worker = workerText(state, now);
  // Often it is what the first line says.
  if (worker !== null && !headline.includes(worker.slice(1))) lines.push(`Worker:    ${worker}`);
  if (run !== null) {
    const of = run.steps === null ? "" : ` of ${run.steps}`;
    const speed = run.tokensPerSecond === null ? "" : `, ${Math.round(run.tokensPerSecond)} tokens a second`;
    lines.push(`Training:  ${run.name}`);
    lines.push(
      `           step ${run.step}${of}${speed}.${working ? ` ${byOwnClock(run.detail, now)}` : ""}`,
    );
    lines.push(`Loss:      ${number(run.loss)}, held out ${number(run.heldOutLoss)}`);
    const again = run.step - (run.keptStep ?? run.step);
    if (again > STEPS_APART)
      lines.push(`On disk:   step ${run.keptStep}; after a power cut, ${again} steps would be done again`);
    const held = run.stages.filter(({ holder }) => holder?.connected === true).length;
    if (working)
      lines.push(
        `Slices:    ${held} of ${run.stages.length} ${run.phase === "training" ? "are at work" : "have a computer"}${replicasText(run.stages)}`,
      );
  }
  if (working && network.links !== null) lines.push(...linksText(network.links));
  const { limits } = state.traffic;
  if (limits.uploadMbit !== null || limits.downloadMbit !== null)
    lines.push(`Line:      ${trafficText(state.traffic)}`);
  lines.push(`Earnings:  ${pending(state)}`);
  if (state.node.refused !== undefined) lines.push(`Refused:   ${state.node.refused}`);
  lines.push(...chainLines(state));
  return lines.join("\n");
}

/** What is told of a state that is this new needs no word. */
const STEPS_APART = 2;

/** Of each stage, how many computers hold it, where that can be more than one. */
function replicasText(stages: NonNullable<DaemonState["run"]>["stages"]): string {
  if (stages.every(({ replicas }) => replicas === undefined)) return "";
  const loading = stages.reduce((sum, { replicas }) => sum + (replicas?.loading ?? 0), 0);
  const live = stages.map(({ replicas }) => replicas?.live ?? 0);
  return `, by ${live.join(" + ")} computers${loading > 0 ? `, ${loading} more loading` : ""}`;
}

/** What is allowed, and what is used of it. */
/** "2026-11-28 16:40  Paused: you paused it. (by cli)", in the reader's own zone. */
export function historyText(changes: readonly StateChange[], zone = ownTimeZone()): string {
  if (changes.length === 0) return "Nothing is written down yet.";
  return changes
    .map(({ at, from, to, phase, reasons, who }) => {
      const moment = new Date(localTime(zone, at)).toISOString().slice(0, 16).replace("T", " ");
      const began = from === null || from === "off" ? "Started. " : "";
      const by = who === null ? "" : ` (by ${who})`;
      if (to === "off") return `${moment}  Ended.`;
      const said = explain({ action: to, reasons, nextChange: null }, at, zone);
      return `${moment}  ${began}${said}${to === "run" && phase !== "training" ? ` The worker: ${phase}.` : ""}${by}`;
    })
    .join("\n");
}

export function limitsText({ limits }: LimitsReport): string {
  return limits
    .map(({ what, asked, enforced, by, used }) => {
      const holds = enforced === null ? `not enforced: ${by}` : `holds: ${enforced} (${by})`;
      const lines = [`${LIMIT_NAMES[what]}: ${asked}`, `  ${holds}`];
      return [...lines, ...(used === null ? [] : [`  now:   ${used}`])].join("\n");
    })
    .join("\n");
}

const LIMIT_NAMES: Readonly<Record<LimitRow["what"], string>> = {
  cores: "Cores",
  priority: "Priority",
  memory: "Memory",
  disk: "Disk",
  upload: "Upload",
  download: "Download",
  "monthly-data": "Data a month",
  "graphics-card": "Graphics card",
  power: "Power",
};

function trafficText({ limits, uploadMbit, downloadMbit }: TrafficState): string {
  const of = (limit: number | null, used: number): string =>
    `${mbitText(used)}${limit === null ? "" : ` of ${mbitText(limit)}`} Mbit/s`;
  return `sends ${of(limits.uploadMbit, uploadMbit)}, receives ${of(limits.downloadMbit, downloadMbit)}`;
}

/** The hours that are to come, then what is known of their pay. */
export function forecastText({ hours, text }: Forecast, now: number): string {
  const shown = hours
    .slice(0, 10)
    .map(({ start, end }) => `  ${start <= now ? "now" : momentText(start, now)} to ${momentText(end, now)}`);
  const more = hours.length > shown.length ? [`  and ${hours.length - shown.length} more`] : [];
  return [...shown, ...more, text].join("\n");
}

export function earningsText(state: DaemonState, now = Date.now()): string {
  const { earnings } = state;
  if (earnings.asOf === null)
    return [
      `Not known yet: the network has not said what was earned. ${state.problem?.message ?? "Ask again in a moment."}`,
      ...formerLines(earnings),
      ...chainLines(state),
    ].join("\n");
  const lines = [
    `Pending:   ${amount(earnings.accruedRao, state)} from ${earnings.receipts} counter-signed receipts`,
    `Accepted:  ${amount(onItsWay(earnings), state)} claimed, not paid yet`,
    `Paid:      ${amount(earnings.paidRao, state)}`,
    `Pays to:   ${earnings.payoutColdkey}`,
  ];
  if (state.node.unpaid !== undefined) lines.push(`Now:       ${state.node.unpaid}`);
  if (state.node.refused !== undefined) lines.push(`Refused:   ${state.node.refused}`);
  if (earnings.later !== null)
    lines.push(
      `Later:     ${amount(earnings.later.amountRao, state)} of it can be claimed from block ${earnings.later.fromBlock} on`,
    );
  if (earnings.nextClaimAt !== null)
    lines.push(
      `Claimed:   by itself at the epoch's end, ${momentText(earnings.nextClaimAt, now)}, or now with \`tah claim\``,
    );
  lines.push(...formerLines(earnings));
  if (state.problem?.code === "clock-wrong") lines.push(`Clock:     ${state.problem.message}`);
  lines.push(...chainLines(state));
  if (earnings.asset === "test")
    lines.push("Test units of the network on this computer: they are worth nothing.");
  return lines.join("\n");
}

/** What has arrived, over stated times; by computer where there are several. */
export function settledText({ asset, windows, devices }: SettledPay): string[] {
  const rows = [`Arrived:   ${windowsText(windows, asset)}`];
  if (devices.length < 2) return rows;
  const names = { this: "this computer", former: "key of before", other: "another computer" } as const;
  const each = devices.map(
    (device) => `  ${names[device.is]}, ${device.hotkey}: ${windowsText(device.windows, asset)}`,
  );
  return [...rows, ...each];
}

function pending(state: DaemonState): string {
  return state.earnings.asOf === null
    ? "not known yet: the network has not answered"
    : `${amount(state.earnings.accruedRao, state)} pending`;
}

/** What keys of before have left. */
function formerLines({ former }: DaemonState["earnings"]): string[] {
  return former.map(({ hotkey, accruedRao, asset, isHere }) => {
    const what = `${formatTao(BigInt(accruedRao), 6)} ${assetWord(asset)} belong to the hotkey of before, ${hotkey}`;
    return isHere
      ? `Before:    ${what}: \`tah claim\` takes them along`
      : `Before:    ${what} (as last seen): put its file back to claim them`;
  });
}

function onItsWay({ claimedRao, paidRao }: DaemonState["earnings"]): string {
  const rao = BigInt(claimedRao) - BigInt(paidRao);
  return (rao > 0n ? rao : 0n).toString();
}

/** Of a chain that was named: a dead one must not look like one that is not there. */
function chainLines({ chain }: Pick<DaemonState, "chain">): string[] {
  if (chain.source !== "chain") return [];
  return [`Chain:     ${chain.connected ? `block ${chain.block.toLocaleString("en-US")}` : chain.detail}`];
}

export function claimText({ others, ...row }: ClaimOutcome): string {
  return [row, ...others].map(claimLine).join("\n");
}

/** Newest first; when, then what it was and where it went. */
export function claimsText(claims: readonly ClaimRow[], now: number): string {
  if (claims.length === 0) return "No claim was made yet: `tah claim` makes one.";
  return claims.map((row) => `${momentText(row.at, now)}  ${claimLine(row)}`).join("\n");
}

/** One sentence for each address. */
function claimLine({ amountRao, asset, receipts, payoutColdkey, status, detail, payment }: ClaimRow): string {
  const what = `${formatTao(BigInt(amountRao), 6)} ${assetWord(asset)} for ${receipts} receipts`;
  if (payment !== null) {
    const arrived = BigInt(payment.creditedRao);
    const kept = BigInt(amountRao) - arrived;
    const fees = kept === 0n ? "" : `: ${formatTao(arrived, 6)} arrived, fees took ${formatTao(kept, 6)}`;
    return `Claimed ${what}, paid to ${payoutColdkey} in block ${payment.block}${fees}.`;
  }
  if (status === "refused") return `Refused: ${what}. ${detail ?? ""}`.trim();
  return `Claimed ${what}, accepted and on its way to ${payoutColdkey}.${detail === null ? "" : ` ${detail}`}`;
}

function amount(rao: string, { earnings }: DaemonState): string {
  // All nine digits: what stands below each other has the same.
  return `${formatTao(BigInt(rao), 9)} ${assetWord(earnings.asset)}`;
}

function number(value: number | null): string {
  return value === null ? "not known yet" : value.toFixed(3);
}
