/** The one entrance: what the rest of the worker may know of links. A folder for each transport. */
export type { Link, LinkStats } from "./link.ts";
export { otherAddresses } from "./own-addresses.ts";
export { Peers } from "./peers.ts";
export type { Neighbours } from "./peers.ts";
export { memoryLinks } from "./memory/memory-link.ts";
export { dialLink, listenForLinks } from "./tls/tls-link.ts";
