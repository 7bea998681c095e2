import { randomBytes } from "node:crypto";
import { floodDatagrams } from "../src-orchestrator/relay/datagram-flood.test-support.ts";

/** A process of its own: `perSecond seconds port…`. */
const [perSecond = 0, seconds = 0, ...ports] = process.argv.slice(2).map(Number);
const begun = performance.now();
const sent = await floodDatagrams(ports, randomBytes, { count: perSecond * seconds, perSecond });
process.send?.({ sent, seconds: (performance.now() - begun) / 1000 }, undefined, undefined, () =>
  process.exit(0),
);
