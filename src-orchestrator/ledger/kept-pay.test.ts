import { expect, it } from "vitest";
import { Store } from "../stores/store.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { bookedLedger, receiptsOf } from "./books.test-support.ts";
import { keepPay } from "./kept-pay.ts";

const open = (folder: string): Store =>
  Store.open(folder, (error) => {
    throw error;
  });

it("a book counts one thing for good, over restarts", async () => {
  const store = open(temporaryFolder());
  await keepPay(store, { asset: "alpha", netuid: 9 });
  await keepPay(store, { asset: "alpha", netuid: 9 });
  await expect(keepPay(store, { asset: "alpha", netuid: 8 })).rejects.toThrow(
    /counts alpha of subnet 9, and cannot be made to count alpha of subnet 8/,
  );
  await expect(keepPay(store, null)).rejects.toMatchObject({ code: "pay-changed" });
  store.close();
});

it("test units that were earned never become money", async () => {
  const folder = temporaryFolder();
  const store = open(folder);
  const ledger = await bookedLedger(store, folder);
  await ledger.credit(receiptsOf(0));
  await expect(keepPay(store, { asset: "tao", netuid: 0 })).rejects.toThrow(
    /counts test units, and cannot be made to count TAO/,
  );
  await keepPay(store, null);
  store.close();
});
