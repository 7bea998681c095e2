import { fork } from "node:child_process";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { number, plural } from "../src-protocol/amounts.ts";
import { NETWORK_FOLDER_NAME, SERVED_FOLDER_NAME, dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { auditMessage } from "../src-protocol/ledger-audit.ts";
import type { AuditReport } from "../src-protocol/ledger-audit.ts";
import { formatTao } from "../src-protocol/units.ts";
import { OperatorClient } from "./operator-client.ts";

const AUDIT_SCRIPT = join(import.meta.dirname, "..", "src-orchestrator", "ledger", "audit-main.ts");
const EXIT_NOT_CLEAN = 3;

/** `tah ledger …`: the book of the network that this computer keeps. */
export function addLedgerCommands(program: Command, say: (text: string) => void): void {
  const ledger = program
    .command("ledger")
    .description("the book of the network that this computer keeps: its own, or one it serves")
    .helpCommand(false);
  ledger
    .command("audit")
    .description("recompute every balance from receipts and claims, and look for anything that was changed")
    .option("--signatures", "verify every signature as well (half a millisecond each)")
    .option("--served", "of the network that `tah network serve` serves")
    .option("--home <folder>", "data folder (default: $TAH_HOME, else the usual place)")
    .option("--json", "print JSON, for programs")
    .addHelpText("after", "\nExit code: 0 it is clean, 3 something is wrong, 1 it could not be looked at.\n")
    .action(async (words: { signatures?: true; served?: true; home?: string; json?: true }) => {
      const home = resolve(words.home ?? dataFolder(process.env, process.platform, homedir()));
      const report = await audit(
        words.served === true ? join(home, SERVED_FOLDER_NAME) : home,
        words.signatures === true,
      );
      say(words.json === true ? JSON.stringify(report) : auditText(report));
      if (!report.isClean) process.exitCode = EXIT_NOT_CLEAN;
    });
}

/** By the orchestrator that has it open, else by a process of its own. */
async function audit(home: string, signatures: boolean): Promise<AuditReport> {
  try {
    return await OperatorClient.of(home).ledger(signatures);
  } catch (error) {
    if (!(error instanceof Failure && error.code === "network-not-served")) throw error;
  }
  const child = fork(AUDIT_SCRIPT, [], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const { promise, resolve: done, reject } = Promise.withResolvers<AuditReport>();
  child.on("message", (value) => {
    const message = auditMessage.parse(value);
    if (message.type === "report") done(message.report);
    else reject(new Failure(message.code, message.message));
  });
  child.once("error", reject);
  child.once("close", () =>
    reject(
      new Failure("audit-ended", "The process that looked the ledger through ended before it was done."),
    ),
  );
  child.send({ folder: join(home, NETWORK_FOLDER_NAME), signatures });
  return promise;
}

export function auditText(report: AuditReport): string {
  const { book, receipts, statements, claims, payments, signatures, accounts, findings, found } = report;
  const total = accounts.reduce((sum, { rao }) => (BigInt(rao) > 0n ? sum + BigInt(rao) : sum), 0n);
  const looked = [
    `Network:   ${report.network}`,
    `Book:      ${plural(book.rows, "row")}${book.hash === null ? "" : `, head ${book.hash.slice(0, 16)}…`}`,
    `Receipts:  ${number(receipts.kept)} looked at, ${number(receipts.pruned)} added up and deleted, ${number(receipts.loose)} not added up yet`,
    `           ${plural(statements, "statement")}, ${plural(claims, "claim")}, ${plural(payments, "payment")}`,
    `Signatures: ${signatures === 0 ? "not verified (--signatures does)" : `${number(signatures)} verified`}`,
    `Accounts:  ${number(accounts.length)}, which hold ${formatTao(total, 6)} together`,
  ];
  if (report.isClean) return [...looked, "Clean: every balance is the sum of what it rests on."].join("\n");
  const more = found > findings.length ? [`… and ${number(found - findings.length)} more.`] : [];
  return [
    ...looked,
    `${plural(found, "thing")} ${found === 1 ? "is" : "are"} wrong:`,
    ...findings.map(({ code, message }) => `  ${message} (${code})`),
    ...more,
  ].join("\n");
}
