/** The one entrance: what the rest of the worker may know of links. A folder for each transport. */
export type { Link, LinkStats } from "./link.ts";
export { systemClock } from "./link-clock.ts";
export type { LinkClock } from "./link-clock.ts";
export type { Relays } from "./dialling/dial-plan.ts";
export { Arrivals } from "./arrivals.ts";
export { LinkDesk } from "./link-desk.ts";
export { LinkMeter } from "./link-meter.ts";
export { LinkStation } from "./link-station.ts";
export { LaneFolder } from "./lanes/lanes.ts";
export { dialable, otherAddresses } from "./own-addresses.ts";
export { PeerUnreachable, Peers } from "./peers.ts";
export type { Neighbours } from "./peers.ts";
export { memoryLinks } from "./memory/memory-link.ts";
