import { expect, test, vi } from "vitest";
import { ALWAYS, ONLY_WHEN_ASLEEP } from "../src-protocol/policy.ts";
import { workingState } from "../src-protocol/working-state.test-support.ts";
import { setUp } from "./set-up.ts";

const working = workingState().decision;

function daemon(isNew: boolean) {
  const decision = isNew ? { action: "pause", reasons: ["not-set-up"], nextChange: null } : working;
  const call = vi.fn(async (method: string, _params?: unknown): Promise<unknown> =>
    method === "state.get" ? { ...workingState(), decision } : working,
  );
  return { client: { call } as unknown as Parameters<typeof setUp>[0], call };
}
const silent = { yes: false, asleep: false, ask: null, show: () => undefined };

test("a yes begins, at any time or at night", async () => {
  for (const [asleep, rules] of [
    [false, ALWAYS],
    [true, ONLY_WHEN_ASLEEP],
  ] as const) {
    const { client, call } = daemon(true);
    const { text } = await setUp(client, { ...silent, yes: true, asleep });
    expect(call).toHaveBeenLastCalledWith("setup.begin", { rules, invitation: null, consent: true });
    expect(text).toBe("May work: your schedule allows any time.");
  }
});

test("without a yes nothing begins", async () => {
  const { client, call } = daemon(true);
  await expect(setUp(client, silent)).rejects.toMatchObject({ code: "consent-needed" });
  await expect(setUp(client, { ...silent, ask: async () => false })).rejects.toMatchObject({
    code: "consent-refused",
  });
  expect(call.mock.calls.some(([method]) => method === "setup.begin")).toBe(false);
});

test("what is set up is not asked again", async () => {
  const { client, call } = daemon(false);
  expect((await setUp(client, silent)).text).toContain("set up already");
  expect(call).toHaveBeenCalledTimes(1);
});
