import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { NetworkInterfaceInfo } from "node:os";
import { LINK_ADDRESSES } from "../../src-protocol/control.ts";
import type { LinkAddress } from "../../src-protocol/control.ts";

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

/** The addresses of this computer that others in its home can dial: no loopback, no link-local ones. */
export function ownHosts(interfaces: Interfaces = networkInterfaces()): string[] {
  return Object.values(interfaces)
    .flatMap((entries) => entries ?? [])
    .filter(({ address, internal }) => !internal && !isLinkLocal(address))
    .map(({ address }) => address)
    .sort((a, b) => Number(isIPv6(a)) - Number(isIPv6(b)));
}

/** Where a listener that is bound to `bound` answers beside that: nowhere, unless it is bound to every address. */
export function otherAddresses(
  bound: LinkAddress,
  interfaces: Interfaces = networkInterfaces(),
): LinkAddress[] {
  if (bound.host !== "0.0.0.0" && bound.host !== "::") return [];
  return ownHosts(interfaces)
    .filter((host) => bound.host === "::" || !isIPv6(host))
    .slice(0, LINK_ADDRESSES)
    .map((host) => ({ host, port: bound.port }));
}

function isLinkLocal(address: string): boolean {
  return address.startsWith("169.254.") || /^fe[89ab]/i.test(address);
}
