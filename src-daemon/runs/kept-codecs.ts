import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { AS_THEY_ARE, linkCodecs } from "../../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../../src-protocol/link-codecs.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { storedJson } from "../policy/stored-json.ts";

/** By the id of a run whose values travel as they are. */
const begun = z.record(z.string(), linkCodecs);

/**
 * In which codecs a served run's values travel. In the class `exact` that is part of its mathematics, and so of its
 * name: a run goes on as it was begun, whatever would be chosen today, unless its owner says otherwise.
 *
 * `network`: the folder of the network's state; where there is one and no note of what its runs were begun with,
 * they were begun by a version that chose none. `said`: the owner's word; null: `chosen`, for a run that begins.
 */
export function keptCodecs(
  { path, network }: { readonly path: string; readonly network: string },
  { runId }: Pick<RunSpec, "runId">,
  { said, chosen }: { readonly said: LinkCodecs | null; readonly chosen: LinkCodecs },
): LinkCodecs {
  const file = storedJson(join(path, "codecs.json"), begun, "how the values of runs travel");
  const before = file.read();
  const known = before?.[runId] ?? (before === null && existsSync(network) ? AS_THEY_ARE : null);
  const codecs = said ?? known ?? chosen;
  if (JSON.stringify(before?.[runId]) !== JSON.stringify(codecs)) file.write({ ...before, [runId]: codecs });
  return codecs;
}
