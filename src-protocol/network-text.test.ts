import { describe, expect, it } from "vitest";
import { CONTROL_PROTOCOL } from "./control.ts";
import { networkCard } from "./network-card.ts";
import { awayText, bytesText, mbitText, networkWait, offerRows } from "./network-text.ts";
import type { NetworkView } from "./networks.ts";

const now = Date.parse("2026-11-23T12:00:00Z");
const network = (away: NetworkView["away"]): NetworkView => ({
  kind: "remote",
  id: "0".repeat(16),
  name: "Maple Street",
  operator: "",
  url: "https://203.0.113.1:4711",
  connected: away === null,
  away,
  neighbours: 0,
  links: null,
  known: [],
  offer: null,
});

describe("a network that cannot be reached", () => {
  it("is named with its address, since when, why, and when it is tried again", () => {
    const away = { since: now - 3_600_000, nextTryAt: now + 7_200, why: "nothing answers there" };
    expect(awayText(network(away), now, "UTC")).toBe(
      "Waiting: cannot reach Maple Street at https://203.0.113.1:4711 since 11:00 (nothing answers there); tries again in 8 s.",
    );
    expect(awayText(network({ ...away, nextTryAt: now + 600_000 }), now, "UTC")).toContain(
      "tries again at 12:10.",
    );
    expect(awayText(network({ ...away, nextTryAt: null }), now, "UTC")).toContain("trying again now.");
  });

  it("is not spoken of while it answers", () => {
    expect(networkWait(network(null), now)).toBeNull();
  });
});

it("says what a run asks of a connection by its pace of now, or by the step while it does not train", () => {
  const card = networkCard.parse({
    protocol: CONTROL_PROTOCOL,
    network: "n",
    name: "Maple Street",
    operator: "",
    testUnits: true,
    open: false,
    nodes: 2,
    run: {
      runId: "run-1",
      name: "A run",
      model: "llama",
      parameterCount: 46_000,
      stages: 3,
      phase: "waiting",
      detail: "",
      step: 0,
      steps: null,
      loss: null,
      corpus: "Texts",
    },
    asks: { downloadBytes: 1_300_000, memoryBytes: 271e6, bytesPerStep: 32_768, megabitsPerSecond: null },
  });
  const said = (megabitsPerSecond: number | null, bytesPerStep = 32_768): string[] => {
    const asks = { ...card.asks, bytesPerStep, megabitsPerSecond };
    const offer = {
      id: "0".repeat(16),
      address: "https://10.0.0.2:1",
      keySha256: "ab".repeat(32),
      joined: false,
    };
    return offerRows({ ...offer, card: { ...card, asks } })
      .filter(({ name }) => name === "Memory" || name === "Connection")
      .map(({ value }) => value);
  };
  expect(said(null)).toEqual([
    "about 271 MB while it trains",
    "about 33 kB up and as much down for each step",
  ]);
  expect(said(5.24)[1]).toBe(
    "about 5.2 Mbit/s up and down at its pace of now (33 kB up and as much down for each step)",
  );
  expect(said(null, 0)[1]).toBe("next to nothing while it trains");
});

it("says amounts with two figures below ten, and in the units that they are sold in", () => {
  expect([999, 31_000, 1_440_000, 240_000_000, 1_440_000_000].map(bytesText)).toEqual([
    "999 bytes",
    "31 kB",
    "1.4 MB",
    "240 MB",
    "1.4 GB",
  ]);
  expect([0, 0.04, 6.42, 1234.5].map(mbitText)).toEqual([
    "0 Mbit/s",
    "0.04 Mbit/s",
    "6.4 Mbit/s",
    "1,235 Mbit/s",
  ]);
});
