import type { Evidence, PolicyView, Rules } from "../../src-protocol/policy.ts";

export type Missing = PolicyView["missing"][number];

/** What a rule needs and nobody can tell, and what the owner can do about it. */
export function missingEvidence(rules: Rules, evidence: Evidence, idleNote: string | null): Missing[] {
  const missing: Missing[] = [];
  if (rules.onlyOnPower && evidence.power === "unknown")
    missing.push({
      what: "power",
      text: "This computer does not tell whether it is on power. If it has no battery, allow it to run without that rule.",
    });
  if (rules.onlyWhenIdle && evidence.idleSeconds === null && evidence.screenLocked !== true)
    missing.push({ what: "idleSeconds", text: idleNote ?? NO_IDLE });
  if (rules.onlyWhenIdle && evidence.screenInUse === null)
    missing.push({
      what: "screenInUse",
      text: "It cannot see films and calls here: who only watches counts as away after the idle minutes.",
    });
  if (rules.apps.length > 0 && evidence.appsRunning === null)
    missing.push({ what: "appsRunning", text: "It cannot list the running programs here." });
  if (rules.load !== null && evidence.othersLoad === null)
    missing.push({
      what: "othersLoad",
      text: "It cannot tell here what other programs use of the processor. Switch that rule off, or use the schedule.",
    });
  if (rules.notOnMetered && evidence.metered === null)
    missing.push({
      what: "metered",
      text: "It cannot tell here whether the network is metered (on Linux NetworkManager does). Name the networks instead, or set a monthly cap.",
    });
  if (rules.notOnNetworks.length > 0 && evidence.networks === null)
    missing.push({ what: "networks", text: "It cannot tell here what network this computer is on." });
  return missing;
}

const NO_IDLE =
  "It cannot tell here whether somebody is using the computer. Use the schedule instead, or the desktop app, which may know.";
