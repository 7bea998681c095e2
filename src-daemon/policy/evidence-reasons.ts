import type { Evidence, ReasonCode, Rules } from "../../src-protocol/policy.ts";
import type { PolicyMemory } from "./policy-memory.ts";

/** Who has locked the screen and touched nothing for so long has gone. */
const LOCKED_SECONDS = 60;

/** The reasons that evidence gives; a rule that is off gives none. Unknown counts against running. */
export function evidenceReasons(rules: Rules, evidence: Evidence, memory: PolicyMemory): ReasonCode[] {
  return [
    ...power(rules, evidence),
    ...(memory.batteryLow ? (["battery-low"] as const) : []),
    ...(memory.tooHot ? (["too-hot"] as const) : []),
    ...(rules.onlyWhenIdle ? use(rules, evidence) : []),
    ...apps(rules, evidence),
    ...load(rules, evidence, memory),
    ...network(rules, evidence),
    ...(folderFull(rules, evidence) ? (["disk-used-up"] as const) : []),
  ];
}

/** A snapshot is written beside the one before it: it stops while there is room to end in order. */
const FULL_FROM = 0.95;

function folderFull({ diskMegabytes }: Rules, { folderBytes }: Evidence): boolean {
  return diskMegabytes !== null && folderBytes !== null && folderBytes >= FULL_FROM * diskMegabytes * 1e6;
}

export function dataUsedUp({ monthlyMegabytes }: Rules, { monthBytes }: Evidence): boolean {
  return monthlyMegabytes !== null && monthBytes !== null && monthBytes >= monthlyMegabytes * 1e6;
}

function power({ onlyOnPower }: Rules, { power }: Evidence): ReasonCode[] {
  if (!onlyOnPower) return [];
  return [power === "mains" ? "on-power" : power === "battery" ? "on-battery" : "power-unknown"];
}

function use({ idleMinutes }: Rules, evidence: Evidence): ReasonCode[] {
  const { idleSeconds, screenLocked, screenInUse, remoteSession } = evidence;
  const busy: ReasonCode[] = [];
  if (remoteSession === true) busy.push("remote-session");
  const locked = screenLocked === true && (idleSeconds === null || idleSeconds >= LOCKED_SECONDS);
  // A film goes on behind a locked screen for nobody.
  if (screenInUse === true && !locked) busy.push("screen-in-use");
  if (locked) return [...busy, "screen-locked"];
  if (idleSeconds === null) return [...busy, "idle-unknown"];
  return [...busy, idleSeconds < idleMinutes * 60 ? "in-use" : "not-in-use"];
}

function apps({ apps }: Rules, { appsRunning }: Evidence): ReasonCode[] {
  if (apps.length === 0) return [];
  if (appsRunning === null) return ["apps-unknown"];
  return appsRunning.length > 0 ? ["app-running"] : [];
}

function load({ load }: Rules, { othersLoad }: Evidence, { othersBusy }: PolicyMemory): ReasonCode[] {
  if (load === null) return [];
  if (othersLoad === null) return ["load-unknown"];
  return othersBusy ? ["others-busy"] : [];
}

function network({ notOnMetered, notOnNetworks }: Rules, { metered, networks }: Evidence): ReasonCode[] {
  const reasons: ReasonCode[] = [];
  if (notOnMetered && metered === true) reasons.push("metered-network");
  const names = new Set(notOnNetworks.map((name) => name.toLowerCase()));
  if (networks?.some((name) => names.has(name.toLowerCase()))) reasons.push("named-network");
  const isUnknown = (notOnMetered && metered === null) || (names.size > 0 && networks === null);
  return isUnknown ? [...reasons, "network-unknown"] : reasons;
}
