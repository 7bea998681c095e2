import type { ChainAccountRead, ChainNeuron, ChainSubnet } from "../src-protocol/chain-reads.ts";
import { formatTao } from "../src-protocol/units.ts";
import type { WalletAnswer } from "../src-protocol/wallet-ipc.ts";
import type { ChainAction } from "../src-protocol/chain-action.ts";

const BLOCK_SECONDS = 12;
const amount = (rao: string | null, unit: string): string =>
  rao === null ? "not told by this chain" : `${formatTao(BigInt(rao))} ${unit}`;

export function subnetText(subnet: ChainSubnet): string {
  const { netuid, block, exists, tempo, blocksToEpoch, priceRao, burnRao, takesRegistrations } = subnet;
  if (exists === false) return `There is no subnet ${netuid} (at block ${block}).`;
  const epoch =
    tempo === null || blocksToEpoch === null
      ? "not told by this chain"
      : `in ${blocksToEpoch} blocks (about ${Math.round((blocksToEpoch * BLOCK_SECONDS) / 60)} min); one every ${tempo + 1}`;
  const closed = takesRegistrations === false ? ", and it takes none now" : "";
  return [
    `Subnet ${netuid} at block ${block}`,
    `  1 alpha      ${amount(priceRao, "TAO")}`,
    `  next epoch   ${epoch}`,
    `  a place      ${amount(burnRao, "TAO")}, burned${closed}`,
  ].join("\n");
}

export function neuronText(neuron: ChainNeuron): string {
  const { netuid, block, hotkey, uid, owner, registeredAt, emissionRao, incentive, dividends } = neuron;
  const share = (value: number | null): string =>
    value === null ? "not told by this chain" : `${(value * 100).toFixed(2)} %`;
  const place =
    uid === null ? "none" : `uid ${uid}${registeredAt === null ? "" : `, since block ${registeredAt}`}`;
  const axon = neuron.axon === null ? "not served" : `${neuron.axon.ip} port ${neuron.axon.port}`;
  const lines = [
    `${hotkey} in subnet ${netuid} at block ${block}`,
    `  place        ${place}`,
    `  belongs to   ${owner ?? "nobody that this chain knows"}`,
    `  stake here   ${amount(neuron.stakeRao, "alpha")}, of all who stake`,
  ];
  if (uid !== null)
    lines.push(
      `  emission     ${amount(emissionRao, "alpha")} in the last epoch`,
      `  incentive    ${share(incentive)}`,
      `  dividends    ${share(dividends)}`,
      `  address      ${axon}`,
    );
  return lines.join("\n");
}

export function accountText({ address, block, freeRao, stakes }: ChainAccountRead): string {
  const head = [`${address} at block ${block}`, `  free         ${amount(freeRao, "TAO")}`];
  if (stakes === null) return [...head, "  stake        not told by this chain"].join("\n");
  if (stakes.length === 0) return [...head, "  stake        none"].join("\n");
  const rows = stakes.map(
    ({ hotkey, netuid, rao }) => `  subnet ${String(netuid).padEnd(5)} ${amount(rao, "alpha")} at ${hotkey}`,
  );
  return [...head, ...rows].join("\n");
}

/** What came of an action that is final. */
export function actedText(
  action: ChainAction,
  { block, extrinsic, creditedRao }: Extract<WalletAnswer, { type: "acted" }>,
): string {
  const where = `in block ${block}, which is final (${extrinsic}).`;
  const rao = formatTao(BigInt(creditedRao ?? "0"));
  switch (action.kind) {
    case "transfer":
      return `${rao} TAO arrived at ${action.to} ${where}`;
    case "stake":
      return `${rao} alpha of subnet ${action.netuid} are staked at ${action.hotkey} ${where}`;
    case "unstake":
      return `${rao} TAO came back ${where}`;
    case "pay-many":
      return `${rao} arrived in ${action.payments.length} payments ${where}`;
    case "transfer-stake":
      return `${rao} alpha of subnet ${action.netuid} arrived at ${action.to} ${where}`;
    case "register":
      return `${action.hotkey} has a place in subnet ${action.netuid} ${where}`;
    case "axon":
      return `The address is told to subnet ${action.netuid} ${where}`;
    case "weights":
      return `The weights are set in subnet ${action.netuid} ${where}`;
  }
}
