import { describe, expect, it } from "vitest";
import type { ReplicaPeer } from "../../src-protocol/control.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { LinkPath } from "../../src-protocol/link-report.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { ManualClock } from "../links/link-clock.ts";
import { Arrivals, memoryLinks } from "../links/index.ts";
import type { Link, Relays } from "../links/index.ts";
import { ReplicaWeb } from "./replica-web.ts";

// Within a stage the one with the lower key dials.
const [DIALS, DIALLED] = [1, 2]
  .map((seed) => createSessionSigner(new Uint8Array(32).fill(seed)).publicKey)
  .toSorted() as [SessionKey, SessionKey];

const DIRECT: LinkPath = { kind: "direct", transport: "tls" };
const RELAYED: LinkPath = { kind: "relayed", transport: "tls" };

/** Two nodes in one process; the first one dials the second, by whatever path there is. */
class Pair {
  readonly clock = new ManualClock();
  readonly dials: Relays[] = [];
  readonly linked: string[] = [];
  /** By which a dial that may use a relay, or may not, comes through; null: none does. */
  path: LinkPath | null = DIRECT;
  directly: LinkPath | null = DIRECT;
  newest = { cut: (): void => undefined, silence: (): void => undefined };
  readonly dialler: ReplicaWeb;
  readonly other: ReplicaWeb;

  constructor() {
    const station = {
      name: () => undefined,
      hasByteRelay: false,
      take: () => Promise.reject(new Failure("link-refused", "There is no relay.")),
    };
    const web = (own: SessionKey, dial: (relays: Relays) => Promise<Link>): ReplicaWeb =>
      new ReplicaWeb(
        {
          ...station,
          dial: async (_peer, _within, _signal, relays = "last") => ({ link: await dial(relays) }) as never,
        },
        own,
        undefined,
        undefined,
        this.clock,
      );
    const arrivals = new Arrivals(
      (link, { type }) => type === "direct" && this.other.accepted(link),
      this.clock,
    );
    this.dialler = web(DIALS, async (relays) => {
      this.dials.push(relays);
      const path = relays === "never" ? this.directly : this.path;
      if (path === null) throw new Failure("link-refused", "Nobody answers.");
      const pair = memoryLinks({ a: DIALS, b: DIALLED }, { clock: this.clock });
      this.newest = pair;
      arrivals.add(on(path, pair.b));
      return on(path, pair.a);
    });
    this.other = web(DIALLED, () => Promise.reject(new Failure("link-refused", "It is to be dialled.")));
    this.dialler.onLinked = (link) => this.linked.push(link.path.kind);
    this.dialler.update({ previous: [], own: [], next: [peer(DIALLED)] });
    this.other.update({ previous: [peer(DIALS)], own: [], next: [] });
  }

  get isWhole(): boolean {
    return this.dialler.link(DIALLED) !== null && this.other.link(DIALS) !== null;
  }

  /** Says something on the link of now. */
  async heard(): Promise<boolean> {
    let isHeard = false;
    this.other.link(DIALS)?.onMessage(() => void (isHeard = true));
    const message = { type: "want", generation: 1, step: 1, microBatch: 1 } as const;
    this.dialler
      .link(DIALLED)
      ?.send(message)
      .catch(() => undefined);
    await this.clock.advance(10);
    return isHeard;
  }
}

const peer = (sessionKey: SessionKey): ReplicaPeer => ({
  sessionKey,
  address: { host: "memory", port: 1 },
  live: true,
});

function on(path: LinkPath, link: Link): Link {
  return new Proxy(link, {
    get(target, name) {
      if (name === "path") return path;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("the link between two replicas", () => {
  it("is dialled again at once when it breaks, and its user is told so that nothing is missing", async () => {
    const pair = new Pair();
    await pair.clock.advance(10);
    expect(pair.isWhole).toBe(true);
    pair.newest.cut();
    await pair.clock.advance(150);
    expect(pair.isWhole).toBe(true);
    expect(pair.linked).toHaveLength(2);
    expect(await pair.heard()).toBe(true);
  });

  it("that is silent is replaced by another one within two seconds, long before it counts as dead", async () => {
    const pair = new Pair();
    await pair.clock.advance(10);
    pair.newest.silence();
    await pair.clock.advance(2_250);
    expect(pair.linked).toHaveLength(2);
    expect(pair.dials).toEqual(["last", "at once"]);
    expect(await pair.heard()).toBe(true);
  });

  it("stays where nothing else is found, and is dialled again when it is dead", async () => {
    const pair = new Pair();
    await pair.clock.advance(10);
    const { path } = pair;
    pair.path = null;
    pair.newest.silence();
    await pair.clock.advance(4_000);
    expect(pair.dialler.link(DIALLED)).not.toBeNull();
    expect(pair.dials.length).toBeGreaterThan(1);
    await pair.clock.advance(4_000);
    pair.path = path;
    await pair.clock.advance(10_000);
    expect(await pair.heard()).toBe(true);
  });

  it("gives up a relay as soon as there is a way without one", async () => {
    const pair = new Pair();
    pair.path = RELAYED;
    pair.directly = null;
    await pair.clock.advance(10);
    // The first was dialled directly; from here on only the relay is left.
    pair.newest.cut();
    await pair.clock.advance(150);
    expect(pair.dialler.link(DIALLED)?.path.kind).toBe("relayed");
    await pair.clock.advance(20_000);
    expect(pair.dials.filter((relays) => relays === "never").length).toBeGreaterThan(0);
    expect(pair.dialler.link(DIALLED)?.path.kind).toBe("relayed");
    pair.directly = DIRECT;
    await pair.clock.advance(61_000);
    expect(pair.dialler.link(DIALLED)?.path.kind).toBe("direct");
    expect(await pair.heard()).toBe(true);
  });

  it("is reported with its rate, also where the two share a slice and it carries their sums", async () => {
    const pair = new Pair();
    pair.dialler.update({ previous: [], own: [peer(DIALLED)], next: [] });
    pair.other.update({ previous: [], own: [peer(DIALS)], next: [] });
    await pair.clock.advance(500);
    expect(await pair.heard()).toBe(true);
    await pair.clock.advance(500);
    for (const web of [pair.dialler, pair.other]) {
      const [report, ...others] = web.reports();
      expect(others).toEqual([]);
      expect(report).toMatchObject({ side: "own", kind: "direct", why: null });
    }
    expect(pair.dialler.reports()[0]?.mbitUp).toBeGreaterThan(0);
    expect(pair.other.reports()[0]?.mbitDown).toBeGreaterThan(0);
  });
});
