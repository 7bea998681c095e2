import { mkdirSync } from "node:fs";
import { join } from "node:path";
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
  await earnSteps(store, 8);
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
      const ledger = ledgerOn(store, undefined, 0);
      for (let step = 8; step < 16; step++) await ledger.credit(receiptsOf(step));
    },
    rows: (owner: (typeof OWNERS)[number]) => claimRows(store, owner.address, 10),
    /** Of one owner's only claim. */
    row: (owner: (typeof OWNERS)[number]) => claimRows(store, owner.address, 1)[0],
    audit: () => auditLedger(store, { signatures: true }),
  };
}
