import { BlockList, isIP } from "node:net";

/**
 * What a served network lies between: lines of homes, one home's own network, or nothing, as only this computer
 * can come.
 */
export type Reach = "home" | "lan" | "computer";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8);
LOOPBACK.addAddress("::1", "ipv6");
const PRIVATE = new BlockList();
for (const [net, bits] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["169.254.0.0", 16],
] as const)
  PRIVATE.addSubnet(net, bits);
PRIVATE.addSubnet("fc00::", 7, "ipv6");
PRIVATE.addSubnet("fe80::", 10, "ipv6");

/** By the addresses at which others reach the network; a name may be anywhere. */
export function reachOf(addresses: readonly { readonly host: string }[]): Reach {
  const isLoopback = ({ host }: { readonly host: string }): boolean =>
    host === "localhost" || isIn(LOOPBACK, host);
  if (addresses.every(isLoopback)) return "computer";
  return addresses.every((address) => isLoopback(address) || isIn(PRIVATE, address.host)) ? "lan" : "home";
}

function isIn(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
}
