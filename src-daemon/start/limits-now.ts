import { totalmem } from "node:os";
import type { LimitRow } from "../../src-protocol/limits-report.ts";
import { computerWatts } from "../evidence/watts.ts";
import { limitsShown } from "../policy/limits-shown.ts";
import { canPin, ownCpus } from "../supervision/core-limits.ts";
import { ownWorkGroup } from "../supervision/work-group.ts";
import type { ApiParts } from "./opened-api.ts";

/** Each limit, what is asked of it and what holds, measured now. */
export async function limitsNow({ deciding, watching, working }: ApiParts): Promise<LimitRow[]> {
  const { policy, disk } = deciding;
  const { limits, rules, evidence } = policy;
  const { traffic, network } = watching.live.get();
  return limitsShown({
    limits,
    rules,
    traffic,
    isAlone: network.kind === "embedded",
    monthBytes: evidence.monthBytes,
    folderBytes: await disk.measure(),
    held: working.membership.held(),
    cores: ownCpus().length,
    memoryBytes: totalmem(),
    pins: canPin(),
    noGroup: ownWorkGroup().why,
    provider: limits.gpu ? working.providers.report().provider : "cpu",
    power: await computerWatts(),
    platform: process.platform,
  });
}
