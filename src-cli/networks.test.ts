import { beforeEach, describe, expect, it } from "vitest";
import { CONTROL_PROTOCOL } from "../src-protocol/control.ts";
import { networkCard } from "../src-protocol/network-card.ts";
import { knownNetwork } from "../src-protocol/networks.ts";
import type { KnownNetwork, NetworkOffer } from "../src-protocol/networks.ts";
import type { ApiClient } from "./api-client.ts";
import { join, leave, networksText, switchTo } from "./networks.ts";

const id = (number: number) => number.toString(16).padStart(16, "0");
const network = (number: number, name: string, active: boolean): KnownNetwork =>
  knownNetwork.parse({
    id: id(number),
    name,
    operator: "Ada",
    address: "https://203.0.113.1:4711",
    active,
    joinedAt: 1,
    folder: `/home/networks/${number}`,
  });
const maple = network(1, "Maple Street", true);
const harbour = network(2, "Harbour", false);
const otherHarbour = network(3, "harbour", false);

const offer: NetworkOffer = {
  id: maple.id,
  address: maple.address,
  keySha256: "ab".repeat(32),
  joined: false,
  card: networkCard.parse({
    protocol: CONTROL_PROTOCOL,
    network: "street",
    name: "Maple Street",
    operator: "Ada",
    testUnits: true,
    open: false,
    nodes: 1,
    run: {
      runId: "run-1",
      name: "A small language model",
      model: "llama",
      parameterCount: 2_541_312,
      stages: 3,
      phase: "training",
      detail: "",
      step: 1240,
      steps: null,
      loss: 3,
      corpus: "Moby-Dick",
    },
    asks: {
      downloadBytes: 31_000_000,
      memoryBytes: 1_400_000_000,
      bytesPerStep: 8_400_000,
      megabitsPerSecond: 6.42,
    },
  }),
};

let calls: [string, unknown][];
let known: KnownNetwork[];
let shown: string;
beforeEach(() => {
  calls = [];
  known = [maple, harbour];
  shown = "";
});

const client: Pick<ApiClient, "call"> = {
  call(method, parameters) {
    calls.push([method, parameters]);
    return Promise.resolve((method === "network.look" ? offer : { networks: known }) as never);
  },
};
const changes = () => calls.filter(([method]) => !["network.look", "network.list"].includes(method));
const show = (text: string): void => void (shown += text);
const yes = { yes: true, ask: null, show };

describe("tah join", () => {
  it("shows who invites, to what, and what it asks, and joins after a yes", async () => {
    const { text } = await join(client, "tah1abc", { yes: false, ask: () => Promise.resolve(true), show });
    for (const fact of [
      "Maple Street",
      "Ada",
      "abab abab abab abab",
      "2,541,312 parameters in 3 slices",
      "about 31 MB at first",
      "about 1.4 GB while it trains",
      "about 6.4 Mbit/s up and down",
      "step 1,240, 1 computer taking part",
      "test units, worth nothing",
    ])
      expect(shown).toContain(fact);
    expect(changes()).toEqual([["network.join", { invitation: "tah1abc", consent: true }]]);
    expect(text).toContain("Joined Maple Street.");
  });

  it("joins nothing without a yes, whether it was refused or nobody could be asked", async () => {
    const refused = join(client, "tah1abc", { yes: false, ask: () => Promise.resolve(false), show });
    await expect(refused).rejects.toMatchObject({ code: "consent-refused" });
    const nobody = join(client, "tah1abc", { yes: false, ask: null, show });
    await expect(nobody).rejects.toMatchObject({ code: "consent-needed" });
    expect(changes()).toEqual([]);
    await join(client, "tah1abc", { yes: true, ask: null, show });
    expect(changes()).toHaveLength(1);
  });
});

describe("tah switch and tah leave", () => {
  it("take a name in any capitals, an id, or this-computer", async () => {
    await switchTo(client, "HARBOUR");
    await switchTo(client, id(1));
    await switchTo(client, "this-computer");
    expect(changes().map(([, parameters]) => parameters)).toEqual([
      { network: id(2) },
      { network: id(1) },
      { network: null },
    ]);
  });

  it("change nothing for a name that is unknown, or that two networks have", async () => {
    await expect(switchTo(client, "Nowhere")).rejects.toMatchObject({ code: "unknown-network" });
    known = [maple, harbour, otherHarbour];
    await expect(leave(client, "harbour", yes)).rejects.toMatchObject({
      code: "ambiguous-network",
      message: expect.stringContaining(id(3)),
    });
    expect(changes()).toEqual([]);
  });

  it("leave the active one when none is named, and say where its things are", async () => {
    const { text } = await leave(client, null, yes);
    expect(changes()).toEqual([["network.leave", { network: id(1) }]]);
    expect(text).toContain("/home/networks/1");
    known = [harbour];
    await expect(leave(client, null, yes)).rejects.toMatchObject({ code: "nothing-to-leave" });
  });

  it("leave nothing without a yes, and say first what leaving means", async () => {
    const no = { yes: false, ask: () => Promise.resolve(false), show };
    await expect(leave(client, "maple street", no)).rejects.toMatchObject({ code: "consent-refused" });
    const nobody = { yes: false, ask: null, show };
    await expect(leave(client, null, nobody)).rejects.toMatchObject({ code: "consent-needed" });
    expect(changes()).toEqual([]);
    expect(shown).toContain("stops working for Maple Street (https://203.0.113.1:4711)");
    await leave(client, null, { yes: false, ask: () => Promise.resolve(true), show });
    expect(changes()).toEqual([["network.leave", { network: id(1) }]]);
  });
});

it("tah networks marks the active one", () => {
  expect(networksText(known)).toMatch(/^ {2}this-computer .*\n\* Maple Street .*Ada.*\n {2}Harbour /);
  expect(networksText([harbour])).toMatch(/^\* this-computer/);
});
