import { renderUnicodeCompact } from "uqr";
import type { GoBackQuestion } from "../src-protocol/go-back.ts";
import type {
  InvitationsAnswer,
  InviteAnswer,
  OperatorStatus,
  RevokeAnswer,
} from "../src-protocol/operator.ts";
import { decimals, number, plural, size } from "../src-protocol/amounts.ts";
import { payText } from "../src-protocol/payouts.ts";
import type { PayoutsAnswer } from "../src-protocol/payouts.ts";
import { formatTao } from "../src-protocol/units.ts";
import { dateTime } from "./date-time.ts";
import type { Reach } from "./network-reach.ts";
import { questionText } from "./question-text.ts";

/** Who can come at all, where that is not everybody; null: nothing stands in others' way that is known here. */
export function reachText(reach: Reach, port: number): string | null {
  switch (reach) {
    case "computer":
      return "Only this computer reaches that address. So that others can come, leave --host out, or say --address.";
    case "lan":
      return (
        "Only computers of your home reach that address. For others say --address with the name or address that your router has outside, " +
        `and let it pass on the ports ${port} and ${port + 1} (TCP), and ${port + 1} to ${port + 5} (UDP).`
      );
    case "home":
      return null;
  }
}

/** A line to send, and the same for a camera. */
export function invitationText(line: string): string {
  return `${renderUnicodeCompact(line, { ecc: "L" })}\n\n${line}\n`;
}

export function inviteText({ id, uses, expiresAt, invitation }: InviteAnswer): string {
  const until = expiresAt === null ? "for ever" : `until ${dateTime(expiresAt * 1000)}`;
  return (
    `${invitationText(invitation)}\nInvitation ${id} lets in ${plural(uses, "person", "people")}, each with all their computers, ${until}. ` +
    "They paste the line in Train at Home under Network, or say `tah join LINE`. Send it to nobody else; it is not shown again."
  );
}

export function invitesText(rows: InvitationsAnswer["invitations"], now: number): string {
  if (rows.length === 0) return "There are no invitations yet. `tah network invite` makes one.";
  return rows
    .map(({ id, uses, used, expiresAt, revokedAt, admitted }) => {
      const state =
        revokedAt !== null
          ? "revoked"
          : expiresAt !== null && expiresAt * 1000 <= now
            ? "expired"
            : used >= uses
              ? "used up"
              : `open until ${expiresAt === null ? "revoked" : dateTime(expiresAt * 1000)}`;
      const who = admitted.length === 0 ? "" : `\n  ${admitted.join("\n  ")}`;
      return `${id}  ${used} of ${uses} used, ${state}${who}`;
    })
    .join("\n");
}

export function revokeText({ id, evicted }: RevokeAnswer, evict: boolean): string {
  const left = evict
    ? `${plural(evicted.length, "owner has", "owners have")} to leave.`
    : "Who came in by it stays; --evict throws them out too.";
  return `Invitation ${id} lets nobody in any more. ${left}`;
}

export function payoutsText(answer: PayoutsAnswer): string {
  const { pays, attempts, feesRao } = answer;
  if (pays === null) return "This network pays test units, in its own book: nothing waits.";
  const fees =
    feesRao === "0"
      ? []
      : [`Fees that the chain took, also for payments that failed: ${formatTao(BigInt(feesRao))} TAO.`];
  const tries = attempts.map(({ claimId, at, extrinsic, outcome, detail }) =>
    [
      dateTime(at),
      claimId,
      outcome === "paid" ? "paid" : `waits: ${detail ?? ""}`,
      extrinsic ?? "nothing signed",
    ].join("  "),
  );
  const last = tries.length === 0 ? [] : ["The last tries:", ...tries.map((row) => `  ${row}`)];
  return [waitingText(answer, payText(pays)), ...fees, ...last].join("\n");
}

function waitingText({ due }: PayoutsAnswer, pay: string): string {
  if (due.length === 0) return `Nothing waits: all accepted claims are paid in ${pay}.`;
  const sum = due.reduce((total, { amountRao }) => total + BigInt(amountRao), 0n);
  const rows = due.map(
    ({ claimId, amountRao, payoutColdkey, at, held }) =>
      `${claimId}  ${formatTao(BigInt(amountRao))} to ${payoutColdkey}, accepted ${dateTime(at)}\n  ${held ?? "on its way"}`,
  );
  const head = `${plural(due.length, "claim")} of ${formatTao(sum)} ${pay} in all ${due.length === 1 ? "waits" : "wait"}:`;
  return [head, ...rows].join("\n");
}

/** @param isDone it was agreed to */
export function goBackText(question: GoBackQuestion | null, isDone: boolean): string {
  if (question === null) return "The run loses nothing and waits for no decision.";
  if (!isDone) return questionText(question);
  const { resumeStep, lostSteps } = question;
  return `The run goes on from step ${number(resumeStep)}: ${plural(lostSteps, "step is", "steps are")} given up.`;
}

export function networkStatusText(status: OperatorStatus): string {
  const { name, open, addresses, run, dealt, owners, links, putAside = [] } = status;
  const loss = run.loss === null ? "" : `, loss ${run.loss.toFixed(4)}`;
  const speed =
    run.tokensPerSecond === null ? "" : `, ${number(Math.round(run.tokensPerSecond))} tokens a second`;
  const kinds = Object.entries(links).flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : []));
  const lines = [
    `Network:  ${name}${open ? ", open to anybody" : ""}; ${addresses.join(", ")}`,
    `Run:      ${run.name}: step ${number(run.step)}${run.steps === null ? "" : ` of ${number(run.steps)}`}${loss}${speed}`,
    `          ${run.detail}`,
    ...(status.question === undefined ? [] : [questionText(status.question).replaceAll(/^/gm, "          ")]),
    ...(dealt === undefined ? [] : [`          ${stepText(dealt, run)}`]),
    `Links:    ${kinds.length === 0 ? "none in use" : kinds.join(", ")}`,
    `Nodes:    ${plural(run.nodes, "computer")} of ${plural(owners.length, "owner")}`,
  ];
  lines.push(...owners.flatMap(ownerLines));
  if (putAside.length > 0) lines.push("Put aside, the last first:", ...putAside.map(putAsideLine));
  return lines.join("\n");
}

/** How long steps take now, where some were taken. */
function stepText(
  { batch, microBatches }: NonNullable<OperatorStatus["dealt"]>,
  { tokensPerStep, tokensPerSecond }: OperatorStatus["run"],
): string {
  const seconds = tokensPerSecond === null ? null : tokensPerStep / tokensPerSecond;
  const each = seconds === null ? "" : `, ${decimals(seconds, seconds < 0.1 ? 3 : 1)} s each`;
  return `Steps of ${plural(microBatches, "micro-batch", "micro-batches")} of ${plural(batch, "sequence")} (${number(tokensPerStep)} tokens)${each}.`;
}

/** An owner of several computers is one owner, and each computer has its own receipts. */
export function ownerLines({ hotkey, nodes }: OperatorStatus["owners"][number]): string[] {
  const receipts = nodes.reduce((sum, node) => sum + node.receipts, 0);
  const several =
    nodes.length < 2
      ? ""
      : `: ${plural(nodes.length, "computer")} of one owner, ${plural(receipts, "receipt")}`;
  const computers = nodes.map((node) => {
    const what = node.stage === null ? "spare" : `slice ${node.stage + 1}`;
    const reach = node.reach === "" ? "" : ` (${node.reach})`;
    return `    ${node.sessionKey.slice(0, 8)}  ${what}, ${size(node.memoryBytes)} of memory, ${plural(node.receipts, "receipt")}${reach}`;
  });
  return [`  ${hotkey}${several}`, ...computers];
}

/** Whose computer it was, where, and why. */
export function putAsideLine(one: NonNullable<OperatorStatus["putAside"]>[number]): string {
  const { hotkey, sessionKey, stage, step, code, at, times } = one;
  const often = times === 1 ? "" : `, ${number(times)} times`;
  return `  ${hotkey}  ${sessionKey.slice(0, 8)}  slice ${stage + 1}, step ${number(step + 1)}: ${code}${often}, ${dateTime(at)}`;
}
