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

/** The address under which others try a listener first: one that is bound to every address has none of its own. */
export function dialable(bound: LinkAddress, interfaces: Interfaces = networkInterfaces()): LinkAddress {
  return otherAddresses(bound, interfaces)[0] ?? bound;
}

function isLinkLocal(address: string): boolean {
  return address.startsWith("169.254.") || /^fe[89ab]/i.test(address);
}

/** Loopback, or an address of this very computer. */
export function isOwnHost(host: string): boolean {
  const plain = host.replace(/^::ffff:/, "");
  return plain.startsWith("127.") || plain === "::1" || ownHosts().includes(plain);
}

/** This computer, or one of the same home: not RFC 6598, which providers and private networks over the internet use. */
export function isNearHost(host: string): boolean {
  return isOwnHost(host) || (isPrivateHost(host) && !/^(::ffff:)?100\./.test(host));
}

/** An address that means something only inside one home (RFC 1918, RFC 6598, RFC 4193). */
export function isPrivateHost(host: string): boolean {
  const plain = host.replace(/^::ffff:/, "");
  return /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd][0-9a-f]{2}:)/i.test(
    plain,
  );
}
