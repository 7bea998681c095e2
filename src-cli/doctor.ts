import { execFileSync } from "node:child_process";
import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { API_FILE_NAME } from "../src-protocol/data-folder.ts";
import { failureBody } from "../src-protocol/failure.ts";
import { duration } from "../src-protocol/amounts.ts";
import type { MethodResult } from "../src-protocol/methods.ts";
import { situationText } from "../src-protocol/why.ts";
import { ApiClient } from "./api-client.ts";

export interface Finding {
  readonly about: string;
  /** `problem`: it keeps it from working. `warning`: worth knowing. */
  readonly is: "good" | "warning" | "problem";
  readonly text: string;
}

const LEAST_FREE_BYTES = 1e9;
const NODE_MAJOR = 24;

/** What keeps it from working, or might: looked at from outside, so that it also helps when nothing runs. */
export async function doctor(home: string): Promise<Finding[]> {
  return [node(), ...folder(home), ...sleep(), ...(await running(home))];
}

function node(): Finding {
  const major = Number(process.versions.node.split(".")[0]);
  const text = `Node ${process.versions.node} on ${process.platform} ${process.arch}.`;
  return major === NODE_MAJOR
    ? { about: "Node", is: "good", text }
    : {
        about: "Node",
        is: "problem",
        text: `${text} Node ${NODE_MAJOR} is needed: use \`npm run -s tah\`, which finds it.`,
      };
}

function folder(home: string): Finding[] {
  const about = "Data folder";
  try {
    const { mode } = statSync(home);
    accessSync(home, constants.R_OK | constants.W_OK);
    const findings: Finding[] = [{ about, is: "good", text: home }];
    if (process.platform !== "win32" && (mode & 0o077) !== 0)
      findings.push({
        about,
        is: "warning",
        text: "Other accounts of this computer can look into it, and keys lie there: `chmod 700` mends that.",
      });
    const disk = statfsSync(home);
    const free = disk.bavail * disk.bsize;
    findings.push(
      free < LEAST_FREE_BYTES
        ? {
            about: "Disk",
            is: "problem",
            text: `${(free / 1e9).toFixed(1)} GB are free; at least 1 GB is needed. Free some space.`,
          }
        : { about: "Disk", is: "good", text: `${Math.round(free / 1e9)} GB are free.` },
    );
    return findings;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return [
      code === "ENOENT"
        ? {
            about,
            is: "warning",
            text: `There is no data folder ${home} yet: it is made at the first start.`,
          }
        : { about, is: "problem", text: `${home} cannot be used by this account (${code}).` },
    ];
  }
}

/** What keeps the computer awake, where that is a program of its own. */
function sleep(): Finding[] {
  if (process.platform !== "linux") return [];
  const about = "Staying awake";
  const trial = ["--what=idle", "--who=Train at Home", "--why=Trying it", "--mode=block", "true"];
  try {
    execFileSync("systemd-inhibit", trial, { stdio: "ignore", timeout: 5000 });
    return [{ about, is: "good", text: "systemd-inhibit works." }];
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    const what = isMissing
      ? "systemd-inhibit is not there"
      : "systemd-inhibit is there and does not work for this account (no service manager answers, as in a container, or it does not allow it, as over SSH)";
    return [
      {
        about,
        is: "warning",
        text: `${what}: the computer may go to sleep while it works. Let it sleep later in its settings.`,
      },
    ];
  }
}

async function running(home: string): Promise<Finding[]> {
  let client: ApiClient;
  try {
    client = await ApiClient.connect(join(home, API_FILE_NAME));
  } catch (error) {
    return [{ about: "Train at Home", is: "problem", text: failureBody(error).message }];
  }
  try {
    const state = await client.call("state.get", {});
    const evidence = await client.call("policy.evidence", {});
    const findings: Finding[] = [
      { about: "Train at Home", is: "good", text: situationText(state, Date.now()) },
    ];
    findings.push(...hotkeyAtRest(await client.call("wallet.list", {})));
    if (state.problem !== null)
      findings.push({ about: "Problem", is: "problem", text: state.problem.message });
    if (state.node.phase === "failed")
      findings.push({ about: "Worker", is: "problem", text: state.node.detail });
    for (const { text } of state.policy.missing) findings.push({ about: "Evidence", is: "warning", text });
    findings.push({ about: "Evidence", is: "good", text: evidenceText(evidence) });
    const { awake, sandbox } = state.policy;
    if (sandbox !== "") findings.push({ about: "Sandbox", is: "good", text: sandbox });
    if (awake.wanted)
      findings.push({
        about: "Staying awake",
        is: awake.held === null ? "warning" : "good",
        text: awake.text,
      });
    if (state.chain.source === "chain" && !state.chain.connected)
      findings.push({ about: "Chain", is: "problem", text: state.chain.detail });
    return findings;
  } catch (error) {
    return [{ about: "Train at Home", is: "problem", text: failureBody(error).message }];
  } finally {
    client.close();
  }
}

/** How the hotkey in use is kept. */
export function hotkeyAtRest({ atRest }: Pick<MethodResult<"wallet.list">, "atRest">): Finding[] {
  const { how, text } = atRest;
  return [{ about: "Hotkey", is: how === "open" ? "warning" : "good", text }];
}

/** "On mains; last input 12 s ago; 61 °C": what is known now. */
export function evidenceText(evidence: MethodResult<"policy.evidence">): string {
  const { power, batteryPercent, idleSeconds, screenLocked, celsius, othersLoad, networks } = evidence;
  const known = [
    power === "unknown"
      ? "power not known"
      : `on ${power}${batteryPercent === null ? "" : ` (${batteryPercent} %)`}`,
    idleSeconds === null
      ? "last input not known, or not asked for"
      : `last input ${duration(idleSeconds * 1000)} ago`,
    ...(screenLocked === true ? ["screen locked"] : []),
    ...(celsius === null ? [] : [`${Math.round(celsius)} °C`]),
    ...(othersLoad === null ? [] : [`others use ${Math.round(othersLoad)} % of the processor`]),
    ...(networks === null ? [] : [`networks: ${networks.join(", ") || "none"}`]),
  ];
  const text = known.join("; ");
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

export function doctorText(findings: readonly Finding[]): string {
  const mark = { good: "ok     ", warning: "note   ", problem: "PROBLEM" };
  const lines = findings.map(({ about, is, text }) => `${mark[is]} ${about.padEnd(14)} ${text}`);
  const problems = findings.filter(({ is }) => is === "problem").length;
  const end =
    problems === 0
      ? "Nothing is wrong that can be seen from here."
      : `${problems} ${problems === 1 ? "thing is" : "things are"} wrong. \`tah diagnostics\` shows what could be sent to somebody who helps.`;
  return [...lines, end].join("\n");
}
