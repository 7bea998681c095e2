import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { PayerPlan } from "../../src-protocol/payer-ipc.ts";
import type { NetworkPay } from "../../src-protocol/payouts.ts";
import { auditLedger } from "../../src-orchestrator/ledger/audit.ts";
import {
  BOOK_NOW,
  BOOK_OPTIONS,
  OWNERS,
  claimOf,
  earnSteps,
  ledgerOn,
  receiptsOf,
} from "../../src-orchestrator/ledger/books.test-support.ts";
import { acceptClaim, claimRows } from "../../src-orchestrator/ledger/claims.ts";
import { openOrchestrator } from "../../src-orchestrator/orchestrator.test-support.ts";
import { identify } from "../../src-orchestrator/stores/run-store.ts";
import { Store } from "../../src-orchestrator/stores/store.ts";
import { TEST_NETWORK } from "../../src-orchestrator/test-support/keys.test-support.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import type { ActionKey } from "../chain/chain-sending.ts";
import { SignatureLog } from "../wallet/signature-log.ts";
import { SpendLimits } from "../wallet/spend-limits.ts";
import { boundedKey } from "../wallet/wallet-act.ts";
import { deskOf } from "./payout-desk.ts";
import { Payer } from "./payer.ts";
import { PayoutJournal } from "./payout-journal.ts";

/** A quarter of a TAO for eight steps: a chain moves no less stake than 0.002 TAO are worth. */
const RAO_PER_TERAFLOP = 100_000_000_000n;

/** What its payer is given to pay from the wallet `pool`. */
export function planOf(
  { home, folder }: Pick<Awaited<ReturnType<typeof payingNetwork>>, "home" | "folder">,
  { url, genesis }: Pick<PayerPlan, "url" | "genesis">,
  pays: PayerPlan["pays"],
  hotkey: PayerPlan["hotkey"],
): PayerPlan {
  return {
    home,
    networkFolder: folder,
    root: join(home, "wallets"),
    wallet: "pool",
    passwordFile: null,
    url,
    genesis,
    pays,
    hotkey: pays.asset === "alpha" ? hotkey : null,
    leastRao: "0",
  };
}

/** A served network whose three owners have earned `amountRao` each and claimed it: nobody has paid yet. */
export async function payingNetwork(pays: NetworkPay) {
  const home = temporaryFolder();
  const folder = join(home, "network");
  mkdirSync(folder);
  const served = {
    name: "Kitchen",
    operator: "Anna",
    open: true,
    page: false,
    addresses: [{ host: "127.0.0.1", port: null }],
    certificate: null,
    pays,
  };
  // Receipts of the tests are made out to the tests' network.
  const before = Store.open(folder, () => undefined);
  await identify(before, TEST_NETWORK, BOOK_NOW);
  before.close();
  const { orchestrator } = await openOrchestrator({}, { folder, served });
  const { store } = orchestrator;
  const network = TEST_NETWORK;
  await earnSteps(store, 8, { raoPerTeraflop: RAO_PER_TERAFLOP });
  const claim = async (owner: (typeof OWNERS)[number]): Promise<string> => {
    const asked = await claimOf(store, owner, { network, asset: pays.asset, netuid: pays.netuid });
    const options = { ...BOOK_OPTIONS, network, asset: pays.asset, netuid: pays.netuid };
    return (await acceptClaim(store, options, owner.address, asked)).claimId;
  };
  return {
    home,
    folder,
    store,
    owners: OWNERS,
    claim,
    /** Eight steps more, by all owners. */
    async earn() {
      const ledger = ledgerOn(store, undefined, 0, RAO_PER_TERAFLOP);
      for (let step = 8; step < 16; step++) await ledger.credit(receiptsOf(step));
    },
    rows: (owner: (typeof OWNERS)[number]) => claimRows(store, owner.address, 10),
    /** Of one owner's only claim. */
    row: (owner: (typeof OWNERS)[number]) => claimRows(store, owner.address, 1)[0],
    audit: () => auditLedger(store, { signatures: true }),
  };
}

/** A payer in this process, with a clock that the test holds. */
export function payerOf(plan: PayerPlan, key: ActionKey) {
  let now = 1_800_000_000_000;
  const notes: string[] = [];
  const limits = new SpendLimits(plan.home, () => now);
  const log = new SignatureLog(join(plan.home, "coldkey-signatures.jsonl"), () => now);
  const started = (): Payer =>
    new Payer(plan, {
      key: boundedKey(key, { limits, log, genesis: plan.genesis }),
      desk: deskOf(plan.networkFolder),
      journal: new PayoutJournal(join(plan.home, "payouts.jsonl")),
      now: () => now,
      note: (text) => notes.push(text),
    });
  let payer = started();
  return {
    notes,
    limits,
    round: () => payer.round(),
    /** As after a crash: what it knew is what is on disk. */
    restart: () => void (payer = started()),
    pass: (ms: number) => void (now += ms),
  };
}
