import { expect, test } from "vitest";
import { openOrchestrator } from "./orchestrator.test-support.ts";
import { until } from "./test-support/fake-node.test-support.ts";
import type { FakeNode } from "./test-support/fake-node.test-support.ts";
import { hotkey, signedHeaders } from "./test-support/keys.test-support.ts";
import type { TestHotkey } from "./test-support/keys.test-support.ts";

const COLD = hotkey(20);

function apart([first, second]: readonly FakeNode[]): number {
  return Math.abs((first?.assignment?.stage ?? 0) - (second?.assignment?.stage ?? 0));
}

test("two hotkeys that are paid to one address are no neighbours", async () => {
  const payouts = [hotkey(0), hotkey(1)].map(({ address }) => ({ hotkey: address, coldkey: COLD.address }));
  const { orchestrator, net } = await openOrchestrator({ steps: null }, { payouts });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("all have a stage", () => net.nodes.every(({ assignment }) => assignment !== null));
  expect(apart(net.nodes)).toBe(2);
});

test("nor when the address agrees while they are connected", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: null });
  const post = async (by: TestHotkey, target: string, sent: unknown) => {
    const body = JSON.stringify(sent);
    const headers = signedHeaders(by, "POST", target, body);
    return (await (await fetch(orchestrator.url + target, { method: "POST", headers, body })).json()) as {
      text: string;
    };
  };
  for (const number of [0, 1]) net.node(orchestrator.url, number);
  await until("both are there", () => orchestrator.host.view().nodes === 2);
  for (const key of [hotkey(0), hotkey(1)]) {
    const { text } = await post(key, "/v1/payout/challenge", { payoutColdkey: COLD.address });
    await post(key, "/v1/payout", { text, signature: COLD.sign(text) });
  }
  expect(orchestrator.host.nodes().map(({ owner }) => owner)).toEqual([COLD.address, COLD.address]);
  net.node(orchestrator.url, 2);
  await until("all have a stage", () => net.nodes.every(({ assignment }) => assignment !== null));
  expect(apart(net.nodes)).toBe(2);
});
