import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { number, plural } from "../src-protocol/amounts.ts";
import { API_FILE_NAME, dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { checkExport, exportCsv } from "../src-protocol/receipt-check.ts";
import type { ExportCheck } from "../src-protocol/receipt-check.ts";
import { receiptExport } from "../src-protocol/receipt-export.ts";
import type { EvidencePage, ReceiptExport } from "../src-protocol/receipt-export.ts";
import { formatTao } from "../src-protocol/units.ts";
import { ApiClient } from "./api-client.ts";

const EXIT_NOT_GOOD = 3;
/** 10 million receipts are more than anybody exports at once. */
const MOST_PAGES = 50_000;

/** `tah receipts …`: proofs of the work, taken home and checked without anybody's help. */
export function addReceiptsCommands(program: Command, say: (text: string) => void): void {
  const receipts = program
    .command("receipts")
    .description("proofs of the work done here: taken home, and checked offline")
    .helpCommand(false);
  receipts
    .command("export")
    .description("write all receipts that the network still keeps, and all statements, to a file")
    .argument("<file>", "it is not replaced when it is there")
    .option("--format <format>", "json, which `verify` reads, or csv for spreadsheets", format, "json")
    .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
    .option("--json", "print JSON, for programs")
    .action(async (file: string, words: { format: "json" | "csv"; home?: string; json?: true }) => {
      const path = resolve(file);
      const made = await fetched(words.home);
      const text = words.format === "csv" ? exportCsv(made) : `${JSON.stringify(made)}\n`;
      try {
        writeFileSync(path, text, { flag: "wx", mode: 0o600 });
      } catch (error) {
        const isThere = error instanceof Error && "code" in error && error.code === "EEXIST";
        throw new Failure(
          isThere ? "file-exists" : "file-not-written",
          isThere
            ? `${path} is there already, and was left as it is. Name another file.`
            : `${path} cannot be written. Name a file in a folder that is there and that you may write to.`,
          { cause: error },
        );
      }
      const { receipts: all, statements } = made;
      const counts = { path, receipts: all.length, statements: statements.length };
      say(
        words.json === true
          ? JSON.stringify(counts)
          : `Wrote ${plural(all.length, "receipt")} and ${plural(statements.length, "statement")} to ${path}`,
      );
    });
  receipts
    .command("verify")
    .description("check an exported file offline: ids, every signature, chains, statements and sums")
    .argument("<file>", "as `tah receipts export` wrote it")
    .option("--json", "print JSON, for programs")
    .addHelpText("after", "\nExit code: 0 all of it is right, 3 something is not, 1 it could not be read.\n")
    .action((file: string, words: { json?: true }) => {
      const check = checkExport(read(resolve(file)));
      say(words.json === true ? JSON.stringify(check) : checkText(check));
      if (!check.isGood) process.exitCode = EXIT_NOT_GOOD;
    });
}

async function fetched(home: string | undefined): Promise<ReceiptExport> {
  const folder = resolve(home ?? dataFolder(process.env, process.platform, homedir()));
  const client = await ApiClient.connect(join(folder, API_FILE_NAME));
  try {
    const { earnings, network } = await client.call("state.get", {});
    const made: ReceiptExport = {
      schema: "train-at-home/receipts-export/v1",
      network: "",
      hotkey: earnings.hotkey,
      asset: earnings.asset,
      exportedAt: Date.now(),
      receipts: [],
      statements: [],
    };
    let next: { afterReceipt: number; afterStatement: number } | null = {
      afterReceipt: 0,
      afterStatement: 0,
    };
    for (let pages = 0; next !== null && pages < MOST_PAGES; pages++) {
      const page: EvidencePage = await client.call("earnings.evidence", next);
      made.receipts.push(...page.receipts);
      made.statements.push(...page.statements);
      next = page.next;
    }
    return { ...made, network: made.receipts[0]?.receipt.body.network ?? network.name };
  } finally {
    client.close();
  }
}

function read(path: string): ReceiptExport {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new Failure(
      "export-unreadable",
      `${path} cannot be read as JSON. Name a file of \`tah receipts export\`.`,
      {
        cause: error,
      },
    );
  }
  const parsed = receiptExport.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Failure(
    "export-malformed",
    `${path} is no export of receipts: ${issue?.path.join(".") ?? ""} ${issue?.message ?? "has another form"}.`,
  );
}

function checkText(check: ExportCheck): string {
  const lines = [
    `${plural(check.receipts, "receipt")}, ${plural(check.signatures, "signature")} verified; ${plural(check.statements, "statement")}, ${number(check.remade)} made again from their receipts.`,
    `Worth ${formatTao(BigInt(check.amountRao), 6)} together.`,
  ];
  if (check.gaps > 0)
    lines.push(
      `${plural(check.gaps, "receipt")} of the same workers in between ${check.gaps === 1 ? "is" : "are"} not in the file: given up without a counter-signature, or deleted after they were added up.`,
    );
  if (check.isGood) lines.push("All of it is right.");
  else lines.push("Not right:", ...check.findings.map(({ where, message }) => `  ${where} ${message}`));
  return lines.join("\n");
}

function format(text: string): "json" | "csv" {
  if (text === "json" || text === "csv") return text;
  throw new InvalidArgumentError("Say json or csv.");
}
