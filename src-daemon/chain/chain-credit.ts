import type { ChainAction } from "../../src-protocol/chain-action.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";

/** What of polkadot-js' event is looked at. */
export interface ChainEventLike {
  readonly section: string;
  readonly method: string;
  readonly data: readonly { toString(): string }[];
}

/**
 * What an action has brought, by the chain's own events of its extrinsic: TAO or alpha in rao, null where the
 * action moves nothing, undefined where the event that has to be there is not.
 *
 * StakeAdded and StakeRemoved are (coldkey, hotkey, TAO, alpha, netuid, fee); NeuronRegistered is (netuid, uid, hotkey).
 */
export function creditedBy(
  events: readonly ChainEventLike[],
  { action, from }: { readonly action: ChainAction; readonly from: Ss58Address },
): bigint | null | undefined {
  const said = (section: string, method: string, ...values: readonly (string | number | null)[]) =>
    events.find(
      (event) =>
        event.section === section &&
        event.method === method &&
        values.every((value, i) => value === null || String(event.data[i]) === String(value)),
    );
  const amount = (event: ChainEventLike | undefined, index: number): bigint | undefined => {
    const text = event === undefined ? "" : String(event.data[index]);
    return /^\d+$/.test(text) ? BigInt(text) : undefined;
  };
  const [TAO, ALPHA] = [2, 3];
  switch (action.kind) {
    case "transfer":
      return amount(said("balances", "Transfer", from, action.to), 2);
    case "stake":
      return amount(
        said("subtensorModule", "StakeAdded", from, action.hotkey, null, null, action.netuid),
        ALPHA,
      );
    case "unstake":
      return amount(
        said("subtensorModule", "StakeRemoved", from, action.hotkey, null, null, action.netuid),
        TAO,
      );
    case "transfer-stake":
      // StakeTransferred tells the worth in TAO; the receiver's StakeAdded tells the alpha.
      return amount(
        said("subtensorModule", "StakeAdded", action.to, action.hotkey, null, null, action.netuid),
        ALPHA,
      );
    case "pay-many":
      // Of each apart: `outcomesOf`.
      return undefined;
    case "register":
      return said("subtensorModule", "NeuronRegistered", action.netuid, null, action.hotkey) && null;
    case "axon":
      return said("subtensorModule", "AxonServed", action.netuid, from) && null;
    case "weights":
      return said("subtensorModule", "WeightsSet", action.netuid) && null;
  }
}

/** What came of each of many payments, in their order: its own events, or the error that it met. */
export function splitByItem<Event extends ChainEventLike>(
  events: readonly Event[],
): readonly { readonly events: readonly Event[]; readonly failed: Event | null }[] {
  const items: { events: Event[]; failed: Event | null }[] = [];
  let open: Event[] = [];
  for (const event of events) {
    const isEnd =
      event.section === "utility" && (event.method === "ItemCompleted" || event.method === "ItemFailed");
    if (isEnd) items.push({ events: open, failed: event.method === "ItemFailed" ? event : null });
    if (isEnd) open = [];
    else open.push(event);
  }
  return items;
}

/** What the chain took for a transaction, in rao; null: it does not say. */
export function feeOf(events: readonly ChainEventLike[]): bigint | null {
  const paid = events.find(
    ({ section, method }) => section === "transactionPayment" && method === "TransactionFeePaid",
  );
  const text = paid === undefined ? "" : String(paid.data[1]);
  return /^\d+$/.test(text) ? BigInt(text) : null;
}
