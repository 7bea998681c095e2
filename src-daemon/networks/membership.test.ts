import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { CONTROL_PROTOCOL } from "../../src-protocol/control.ts";
import { networkCard } from "../../src-protocol/network-card.ts";
import { networkId } from "../../src-protocol/networks.ts";
import type { NetworkOffer } from "../../src-protocol/networks.ts";
import { Membership } from "./membership.ts";
import type { Looked } from "./membership.ts";
import { NetworksStore } from "./networks-store.ts";

const id = (number: number) => networkId.parse(number.toString(16).padStart(16, "0"));

function looked(number: number): Looked {
  const card = networkCard.parse({
    protocol: CONTROL_PROTOCOL,
    network: `street-${number}`,
    name: `Street ${number}`,
    operator: "Ada",
    testUnits: true,
    open: false,
    nodes: 2,
    run: {
      runId: "run-1",
      name: "A run",
      model: "llama",
      parameterCount: 10,
      stages: 2,
      phase: "training",
      detail: "",
      step: 0,
      steps: null,
      loss: null,
      corpus: "Texts",
    },
    asks: { downloadBytes: 1, memoryBytes: 1, bytesPerStep: 1, megabitsPerSecond: 1 },
  });
  return {
    id: id(number),
    address: `https://10.0.0.${number}:4711`,
    otherAddresses: [],
    access: { keySha256: number.toString(16).padStart(64, "0"), token: null },
    card,
  };
}

let folder: string;
let events: string[];
let offers: (NetworkOffer | null)[];
let broken: Set<string>;
/** What a session waits for before it says that its processes are gone. */
let ends: Map<string, Promise<void>>;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah membership "));
  events = [];
  offers = [];
  broken = new Set();
  ends = new Map();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function store(): NetworksStore {
  return new NetworksStore(join(folder, "networks.json"), (network) => join(folder, network));
}

function membership(mayOpen = () => true): Membership {
  const networks = store();
  return new Membership({
    store: networks,
    look(invitation) {
      const number = Number(/^tah1(\d+)$/.exec(invitation)?.[1] ?? Number.NaN);
      if (Number.isNaN(number)) return Promise.reject(new Failure("bad-invitation", "Not an invitation."));
      return Promise.resolve(looked(number));
    },
    open(network) {
      const name = network?.name ?? "embedded";
      return Promise.resolve({
        get accounts(): never {
          throw new Error("not asked for here");
        },
        start() {
          events.push(`start ${name}, on disk ${store().active()?.name ?? "embedded"}`);
          return broken.has(name)
            ? Promise.reject(new Failure("broken", "It cannot start."))
            : Promise.resolve();
        },
        async stop() {
          await ends.get(name);
          events.push(`stop ${name}`);
        },
        setWorking: (working: boolean) => void events.push(`${working ? "work" : "rest"} ${name}`),
        standsIn: (country: string | null) => void events.push(`${name} stands in ${country}`),
        endIn: (inMs: number | null) => void (inMs === null || events.push(`${name} ends in ${inMs} ms`)),
        limit: () => undefined,
        use: () => undefined,
        retry: () => undefined,
        claim: () => Promise.reject(new Error("nothing is claimed here")),
        kill: () => undefined,
        otherComputers: () => Promise.reject(new Error("not here")),
        held: () => null,
      });
    },
    onKnown: (_, offer) => void offers.push(offer),
    onNote: (text) => void events.push(text),
    onProblem: (failure) => void (failure === null ? undefined : events.push(`problem ${failure.code}`)),
    now: () => 7,
    mayOpen,
  });
}

describe("the network that this computer works for", () => {
  it("is the embedded one until a yes; then its processes are gone before the other's start", async () => {
    const member = membership();
    await member.start(null);
    member.setWorking(true, "");
    expect(await member.look("tah11")).toMatchObject({ card: { name: "Street 1" }, joined: false });
    expect(events).toEqual(["start embedded, on disk embedded", "rest embedded", "work embedded"]);
    events.length = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.set("embedded", promise);
    const joining = member.join("tah11");
    await new Promise(setImmediate);
    expect(events).toEqual(["Joined Street 1."]);
    expect(() => member.session).toThrow(expect.objectContaining({ code: "network-changing" }));
    resolve();
    expect(await joining).toMatchObject([{ name: "Street 1", active: true, joinedAt: 7 }]);
    expect(events.slice(1)).toEqual(["stop embedded", "start Street 1, on disk Street 1", "work Street 1"]);
    expect(await member.look("tah11")).toMatchObject({ joined: true });
  });

  it("is told when the work that is allowed now ends, also one that is joined later", async () => {
    const member = membership();
    await member.start(null);
    events.length = 0;
    member.endAt(1_007);
    member.endAt(null);
    member.endAt(2_007);
    expect(events).toEqual(["embedded ends in 1000 ms", "embedded ends in 2000 ms"]);
    await member.look("tah11");
    await member.join("tah11");
    expect(events).toContain("Street 1 ends in 2000 ms");
  });

  it("says where it stands once its owner has, also to a network that is joined later, and takes it back", async () => {
    const member = membership();
    await member.start(null);
    events.length = 0;
    member.standsIn(null);
    member.standsIn("DE");
    member.standsIn("DE");
    expect(events).toEqual(["embedded stands in DE"]);
    await member.look("tah11");
    await member.join("tah11");
    expect(events).toContain("Street 1 stands in DE");
    member.standsIn(null);
    expect(events.at(-1)).toBe("Street 1 stands in null");
  });

  it("is none before the owner's first yes, and a no to an invitation is no yes to another", async () => {
    let said = false;
    const member = membership(() => said);
    await member.start({ text: "tah11", yes: false });
    await member.answer(false);
    member.setWorking(true, "");
    expect(events).toEqual([]);
    expect(() => member.session).toThrow(expect.objectContaining({ code: "not-set-up" }));
    said = true;
    await member.begin();
    expect(events).toEqual(["start embedded, on disk embedded", "work embedded"]);
    await member.begin();
    expect(events).toHaveLength(2);
  });

  it("is the joined one after a restart, without a question", async () => {
    await membership().start({ text: "tah11", yes: true });
    events.length = 0;
    await membership().start(null);
    expect(events[0]).toBe("start Street 1, on disk Street 1");
    await membership().start({ text: "tah11", yes: false });
    expect(offers.at(-1)).toBeNull();
  });

  it("starts nothing at all while an invitation waits for its yes or no", async () => {
    const member = membership();
    await member.start({ text: "tah12", yes: false });
    member.setWorking(true, "");
    expect(events).toEqual([]);
    expect(offers).toMatchObject([{ card: { name: "Street 2" } }]);
    expect(() => member.session).toThrow(expect.objectContaining({ code: "consent-waits" }));
    expect(store().list()).toEqual([]);
    await member.answer(false);
    expect(events).toEqual(["start embedded, on disk embedded", "work embedded"]);
    expect(offers.at(-1)).toBeNull();
    expect(() => member.answer(true)).toThrow(expect.objectContaining({ code: "no-offer" }));
  });

  it("goes on while an invitation that came later waits for its yes or no", async () => {
    const member = membership();
    await member.start(null);
    events.length = 0;
    expect(await member.offer("tah12")).toMatchObject({ card: { name: "Street 2" }, joined: false });
    expect(offers.at(-1)).toMatchObject({ card: { name: "Street 2" } });
    expect(member.session).toBeDefined();
    await member.answer(false);
    expect(events).toEqual([]);
    expect(offers.at(-1)).toBeNull();
    await member.offer("tah12");
    expect(await member.answer(true)).toMatchObject([{ name: "Street 2", active: true }]);
    expect(events.slice(0, 2)).toEqual(["Joined Street 2.", "stop embedded"]);
  });

  it("is the invitation's after the yes, without asking its network again", async () => {
    const member = membership();
    await member.start({ text: "tah12", yes: false });
    expect(await member.answer(true)).toMatchObject([{ name: "Street 2", active: true }]);
    expect(events).toEqual(["Joined Street 2.", "start Street 2, on disk Street 2", "rest Street 2"]);
  });

  it("is changed one change after the other, however fast they come", async () => {
    const member = membership();
    await member.start(null);
    await Promise.all([member.join("tah11"), member.join("tah12"), member.join("tah13")]);
    await Promise.all([member.switchTo(id(1)), member.leave(id(1)), member.leave(id(2))]);
    const running = new Set<string>();
    for (const event of events) {
      const [verb, ...name] = event.split(",")[0]?.split(" ") ?? [];
      if (verb === "start") running.add(name.join(" "));
      if (verb === "stop") running.delete(name.join(" "));
      expect(running.size).toBeLessThanOrEqual(1);
    }
    expect([...running]).toEqual(["embedded"]);
    expect(member.list().map(({ name }) => name)).toEqual(["Street 3"]);
  });

  it("stays when another is left, and nobody is switched to what was never joined", async () => {
    const member = membership();
    await member.start(null);
    await member.join("tah11");
    await member.join("tah12");
    events.length = 0;
    await member.leave(id(1));
    expect(events).toEqual(["Left Street 1."]);
    await expect(member.switchTo(id(9))).rejects.toMatchObject({ code: "unknown-network" });
    await expect(member.leave(id(9))).rejects.toMatchObject({ code: "unknown-network" });
    expect(member.session).toBeDefined();
  });

  it("that cannot start says so, and the next change is made all the same", async () => {
    const member = membership();
    await member.start(null);
    broken.add("Street 1");
    await expect(member.join("tah11")).rejects.toMatchObject({ code: "broken" });
    expect(events).toContain("problem broken");
    expect(await member.switchTo(null)).toMatchObject([{ name: "Street 1", active: false }]);
    expect(events.at(-2)).toBe("start embedded, on disk embedded");
  });

  it("is not joined by an invitation that leads nowhere", async () => {
    const member = membership();
    await member.start(null);
    await expect(member.join("nonsense")).rejects.toMatchObject({ code: "bad-invitation" });
    await expect(membership().start({ text: "nonsense", yes: true })).rejects.toMatchObject({
      code: "bad-invitation",
    });
    expect(store().list()).toEqual([]);
  });

  it("is started by nobody once Train at Home ends", async () => {
    const member = membership();
    await member.start(null);
    const joining = member.join("tah11");
    await member.stop("Train at Home is ending");
    await joining;
    expect(events.filter((event) => event.startsWith("stop"))).toHaveLength(1);
    expect(events.some((event) => event.startsWith("start Street"))).toBe(false);
  });
});
