import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ss58Address } from "../../src-protocol/keys.ts";
import { EARNINGS_EVERY_MS, EarningsRound } from "./earnings-round.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const hotkey = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
const earnings = (receipts: number) => ({
  hotkey,
  payoutColdkey: hotkey,
  asset: "test" as const,
  accruedRao: "0",
  claimedRao: "0",
  paidRao: "0",
  asOf: 0,
  nextClaimAt: null,
  later: null,
  former: [],
  receipts,
  neighboursAccruedRao: "0",
});

function setUp(ask: () => Promise<ReturnType<typeof earnings>>) {
  const told: number[] = [];
  const round = new EarningsRound({ ask, tell: ({ receipts }) => told.push(receipts), failed: () => {} });
  return { round, told };
}

describe("earnings", () => {
  it("are asked for once in three seconds however much happens, and not at all while nothing does", async () => {
    let asked = 0;
    const { round, told } = setUp(() => Promise.resolve(earnings(++asked)));
    for (let event = 0; event < 100; event += 1) round.due();
    await vi.advanceTimersByTimeAsync(EARNINGS_EVERY_MS);
    await vi.advanceTimersByTimeAsync(10 * EARNINGS_EVERY_MS);
    expect(told).toEqual([1]);
  });

  it("are asked for again after a failure", async () => {
    let asked = 0;
    const { round, told } = setUp(() => {
      asked += 1;
      return asked === 1 ? Promise.reject(new Error("away")) : Promise.resolve(earnings(asked));
    });
    round.now();
    await vi.advanceTimersByTimeAsync(EARNINGS_EVERY_MS);
    expect(told).toEqual([2]);
  });

  it("that change while they are asked for are asked for once more", async () => {
    let asked = 0;
    const { round, told } = setUp(() => Promise.resolve(earnings(++asked)));
    round.now();
    round.now();
    await vi.advanceTimersByTimeAsync(EARNINGS_EVERY_MS);
    expect(told).toEqual([1, 2]);
  });

  it("are not told after the end", async () => {
    const { round, told } = setUp(() => Promise.resolve(earnings(1)));
    round.now();
    round.stop();
    await vi.runAllTimersAsync();
    expect(told).toEqual([]);
  });
});
