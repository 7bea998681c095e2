import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { toPayer } from "../src-protocol/payer-ipc.ts";
import type { FromPayer, PayerPlan } from "../src-protocol/payer-ipc.ts";
import { ready } from "../src-protocol/sr25519.ts";
import { boundedKey } from "./wallet/wallet-act.ts";
import { openColdkey } from "./wallet/wallet-book.ts";
import { chainSigner } from "./wallet/wallet-hotkey.ts";
import { SignatureLog } from "./wallet/signature-log.ts";
import { SpendLimits } from "./wallet/spend-limits.ts";
import { FATAL, Payer } from "./payer/payer.ts";
import { PayerTrouble } from "./payer/payer-trouble.ts";
import { PayoutJournal } from "./payer/payout-journal.ts";
import { deskOf } from "./payer/payout-desk.ts";

/**
 * Pays the claims of a served network: a process of its own, with the one key that pays, and nothing of the
 * training. An unreachable chain stops nothing but the pay.
 */
const LOOK_EVERY_MS = 5_000;
const LONGEST_PAUSE_MS = 120_000;

process.on("SIGINT", () => {});
process.on("SIGTERM", () => process.exit(0));
// Whoever it pays for is gone. What was sent is in the journal.
process.on("disconnect", () => process.exit(0));
process.on("message", (value) => {
  const message = toPayer.parse(value);
  switch (message.type) {
    case "ping":
      return tell({ type: "pong" });
    case "stop":
      return process.exit(0);
    case "start":
      return void pay(message.plan).catch((error: unknown) =>
        tell({ type: "failed", ...failureBody(error) }, () => process.exit(1)),
      );
  }
});

if (process.send === undefined) {
  process.stderr.write("This is started by `tah network serve` and not by hand.\n");
  process.exit(2);
}

async function pay(plan: PayerPlan): Promise<never> {
  const { home, genesis } = plan;
  await ready();
  const lock = lockPayer(join(home, "payer.lock"));
  const journal = new PayoutJournal(join(home, "payouts.jsonl"));
  const password = plan.passwordFile === null ? null : passwordIn(plan.passwordFile);
  const coldkey = chainSigner(await openColdkey({ root: plan.root, wallet: plan.wallet, password }, {}));
  const limits = new SpendLimits(home, Date.now);
  const log = new SignatureLog(join(home, "coldkey-signatures.jsonl"), Date.now);
  const key = boundedKey(coldkey, { limits, log, genesis });
  const note = (text: string): void => tell({ type: "note", text: text.slice(0, 600) });
  const payer = new Payer(plan, { key, desk: deskOf(plan.networkFolder), journal, now: Date.now, note });
  tell({ type: "ready", address: coldkey.address });
  try {
    const trouble = new PayerTrouble();
    for (let pauseMs = LOOK_EVERY_MS; ;) {
      try {
        await payer.round();
        pauseMs = LOOK_EVERY_MS;
      } catch (error) {
        const { code, message } = failureBody(error);
        if (FATAL.has(code)) throw error;
        // The orchestrator may be on its way back; of anything else the operator is told once.
        if (code !== "network-away" && trouble.isNews(message, performance.now()))
          note(`Claims wait, and training goes on: ${message}`);
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      }
      await new Promise((done) => setTimeout(done, pauseMs));
    }
  } finally {
    lock.close();
  }
}

/** SECURITY: two payers of one network would both find a claim unpaid. The kernel drops it with the process. */
function lockPayer(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA busy_timeout = 2000; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    throw new Failure("payer-running", "Another process pays for this network already.", { cause: error });
  }
}

function passwordIn(path: string): string {
  try {
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new Failure("secret-file", `${path} cannot be read, or is no small text file.`, { cause: error });
  }
}

function tell(message: FromPayer, sent: () => void = () => undefined): void {
  if (process.send === undefined || !process.connected) sent();
  else process.send(message, undefined, undefined, sent);
}
