import { once } from "node:events";
import { linkServices } from "../../src-protocol/link-services.ts";
import type { LinkKind, LinkTransport } from "../../src-protocol/link-report.ts";
import type { LinkServices } from "../../src-protocol/link-services.ts";
import { LabNet, PUBLIC_HOST } from "./lab-net.ts";
import type { Home, HomePlan } from "./lab-net.ts";
import { LabProcess, spawnIn } from "./lab-process.ts";
import type { PacketFilter } from "./lab-tools.ts";

const ROUTER_KNOWN_MS = 6_000;
const DIAL_WITHIN_MS = 8_000;
/** A hole that is not there by then does not come soon. */
const SETTLES_WITHIN_MS = 3_000;

export interface Met {
  readonly from: string;
  readonly to: string;
  /** What it had when it could be used first. */
  readonly first: LinkKind;
  /** From dialling until then. */
  readonly ms: number;
  /** What it has become: a relayed link moves over when the routers are open. */
  readonly kind: LinkKind;
  readonly transport: LinkTransport;
  /** From dialling until it had that. */
  readonly settledMs: number;
}

/** The processes of a lab: the network's services on the public side, and a node in each home. */
export class LabMeeting {
  readonly net: LabNet;
  readonly #services: LinkServices;
  readonly #relay: ReturnType<typeof spawnIn>;
  readonly #nodes = new Map<string, LabProcess>();
  readonly #homes = new Map<string, Home>();
  readonly #pairs: [string, string][] = [];

  private constructor(net: LabNet, services: LinkServices, relay: ReturnType<typeof spawnIn>) {
    this.net = net;
    this.#services = services;
    this.#relay = relay;
  }

  static async open(filter: PacketFilter): Promise<LabMeeting> {
    const net = new LabNet(filter);
    try {
      const relay = spawnIn(net.publicSpace, "lab-services.ts", [PUBLIC_HOST]);
      const [services] = await once(relay, "message");
      return new LabMeeting(net, linkServices.parse(services), relay);
    } catch (error) {
      await net.close();
      throw error;
    }
  }

  /** A home with a node in it, which knows what kind of router it has. */
  async add(
    name: string,
    plan: HomePlan | { readonly besides: string; readonly isolated: boolean },
  ): Promise<void> {
    const home = "besides" in plan ? this.#mate(plan) : await this.net.home(plan);
    this.#homes.set(name, home);
    const { space } = home;
    const blocksUdp = "nat" in plan && plan.blocksUdp === true;
    const node = await LabProcess.start(space, "0.0.0.0");
    this.#nodes.set(name, node);
    await node.call({ do: "offer", services: this.#services });
    const until = performance.now() + ROUTER_KNOWN_MS;
    // Where UDP is blocked it is never known.
    if (blocksUdp) return;
    while ((await node.router()) === "unknown" && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 50));
  }

  #mate({ besides, isolated }: { readonly besides: string; readonly isolated: boolean }): Home {
    const first = this.#homes.get(besides);
    if (first === undefined) throw new Error(`there is no home called ${besides}`);
    return this.net.mate(first, isolated);
  }

  node(name: string): LabProcess {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`there is no home called ${name}`);
    return node;
  }

  /** One node dials another, as the orchestrator would have them do. */
  async meet(from: string, to: string): Promise<Met> {
    const [a, b] = [this.node(from), this.node(to)];
    const [dialler, dialled] = await Promise.all([a.who(), b.who()]);
    this.#pairs.push([dialler.key, dialled.key]);
    this.#relay.send(this.#pairs);
    await once(this.#relay, "message");
    await a.call({ do: "name", keys: [dialled.key] });
    await b.call({ do: "name", keys: [dialler.key] });
    await b.call({ do: "wait at relay", key: dialler.key, withinMs: DIAL_WITHIN_MS });
    const begun = performance.now();
    const { ms, kind: first } = await a.dial(dialled, DIAL_WITHIN_MS);
    let { kind, transport } = await a.path();
    let settled = performance.now();
    while (kind === "relayed" && performance.now() - begun < SETTLES_WITHIN_MS) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      ({ kind, transport } = await a.path());
      if (kind !== "relayed") settled = performance.now();
    }
    return { from, to, first, ms: Math.round(ms), kind, transport, settledMs: Math.round(settled - begun) };
  }

  async close(): Promise<void> {
    for (const node of this.#nodes.values()) node.close();
    this.#relay.kill("SIGKILL");
    await this.net.close();
  }
}
