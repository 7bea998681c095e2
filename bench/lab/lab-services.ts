import { startRelay } from "../../src-orchestrator/relay/index.ts";
import { sessionKey } from "../../src-protocol/keys.ts";

/** The network's own DHT nodes and relays, at the address that stands first; told by the lab which pairs may be joined. */
const host = process.argv[2] ?? "127.0.0.1";
const relay = await startRelay({
  host,
  publicHost: host,
  nodeMbitPerSecond: 10_000,
  totalMbitPerSecond: 10_000,
});
process.on("message", (pairs: [string, string][]) => {
  relay.allow(pairs.map(([a, b]) => [sessionKey.parse(a), sessionKey.parse(b)] as const));
  process.send?.("allowed");
});
process.on("disconnect", () => void relay.close().then(() => process.exit(0)));
process.send?.(relay.services);
