/**
 * The one entrance: the network's own DHT nodes and relays, in a process of their own.
 *
 *     const relay = await startRelay({ host: "0.0.0.0", publicHost: "203.0.113.7", udpPort: 7400, tcpPort: 7410 });
 *     welcome.links = relay.services;                // src-protocol/link-services.ts
 *     host.onNeighbours((pairs) => relay.allow(pairs));   // nobody else is joined
 *     await relay.close();
 */
export { startRelay } from "./relay-process.ts";
export type { RelayOptions, RelayProcess } from "./relay-process.ts";
export type { RelayStatus } from "./relay-ipc.ts";
