import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../src-protocol/failure.ts";
import type { ApiClient } from "./api-client.ts";
import { isAlive, pidsOf } from "./daemon-process.ts";
import type { DaemonProcess } from "./daemon-process.ts";

const LAST_GASP_MS = 3_000;

/** Asks a daemon of our own to end, and sees that nothing of its network outlives it. */
export async function endDaemon(daemon: DaemonProcess, client: ApiClient): Promise<void> {
  const started = pidsOf(daemon.living());
  await client.call("daemon.quit", {});
  if ((await daemon.ended) !== 0) throw new Failure("daemon-bad-end", "The daemon did not end as it should.");
  await refuseSurvivors(started);
}

/** @throws Failure `daemon-survivors` when one of these processes does not end by itself */
export async function refuseSurvivors(pids: readonly number[]): Promise<void> {
  const deadline = performance.now() + LAST_GASP_MS;
  while (pids.some(isAlive)) {
    if (performance.now() > deadline)
      throw new Failure(
        "daemon-survivors",
        `These processes did not end: ${pids.filter(isAlive).join(", ")}.`,
      );
    await wait(50);
  }
}
