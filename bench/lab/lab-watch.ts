import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { ApiClient, readApiFile } from "../../src-cli/api-client.ts";
import { API_FILE_NAME } from "../../src-protocol/data-folder.ts";
import type { DaemonState } from "../../src-protocol/state.ts";

/** Follows the daemon of a home from inside its network namespace: steps as they are finished, links as they change. */
const [home = ""] = process.argv.slice(2);
const path = join(home, API_FILE_NAME);
while (readApiFile(path) === null) await wait(50);
const client = await ApiClient.connect(path);
let said = "";
const tell = ({ run, network, problem, node }: DaemonState): void => {
  const { links } = network;
  const state = {
    phase: run?.phase ?? "none",
    detail: run?.detail ?? node.detail,
    problem: problem?.message ?? null,
    reach: links?.reach ?? null,
    links: (links?.links ?? []).map(({ side, kind, transport, roundTripMs }) => ({
      side,
      kind,
      transport,
      roundTripMs,
    })),
    step: run?.step ?? 0,
    tokensPerStep: run?.tokensPerStep ?? 0,
    recoveries: run?.recoveries ?? 0,
  };
  const text = JSON.stringify(state);
  if (text !== said) process.send?.({ state });
  said = text;
};
const first = await client.follow({
  onState: tell,
  onPoint: ({ step, at }) => process.send?.({ point: { step, at } }),
});
tell(first);
process.on("disconnect", () => process.exit(0));
await client.closed;
process.exit(0);
