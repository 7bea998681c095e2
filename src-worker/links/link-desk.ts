import type { WorkerToDaemon } from "../../src-protocol/daemon-ipc.ts";
import { MOST_LINKS } from "../../src-protocol/link-report.ts";
import type { LinkReach, LinkReport, LinkStatus } from "../../src-protocol/link-report.ts";
import type { LinkStation } from "./link-station.ts";
import type { Peers } from "./peers.ts";

const EVERY_MS = 2_000;
/** The orchestrator is told at least so often while there are links. */
const REPEAT_MS = 10_000;

export interface DeskPorts {
  readonly station: Pick<LinkStation, "hyperdhtOff" | "address" | "relayRefusal">;
  readonly peers: Pick<Peers, "reports">;
  readonly tell: (message: WorkerToDaemon) => void;
  readonly report: (status: LinkStatus) => boolean;
}

/** Tells the daemon and the orchestrator how this node's links are, when that changes and now and then. */
export class LinkDesk {
  readonly #ports: DeskPorts;
  readonly #timer: NodeJS.Timeout;
  #reach: LinkReach = { state: "unknown", detail: "" };
  #said = "";
  #saidAt = -Infinity;

  constructor(ports: DeskPorts) {
    this.#ports = ports;
    this.#timer = setInterval(() => this.look(performance.now()), EVERY_MS).unref();
  }

  /** What the orchestrator knows from the others' attempts. */
  reach(reach: LinkReach): void {
    this.#reach = { ...reach, detail: reach.state === "unreachable" ? this.#whyUnreachable() : "" };
    this.look(performance.now());
  }

  #whyUnreachable(): string {
    const { address, relayRefusal, hyperdhtOff } = this.#ports.station;
    const relay =
      relayRefusal === ""
        ? "and not by way of the network's relay either"
        : `and the relay is refused because ${relayRefusal}`;
    const udp = hyperdhtOff === null ? "" : ` UDP is not used: ${hyperdhtOff}`;
    return `Others cannot reach this computer (TCP port ${address.port}), ${relay}. It is given a slice that nobody has to dial, or waits. Let the port through your router or firewall, or allow UDP.${udp}`.slice(
      0,
      400,
    );
  }

  look(now: number): void {
    const { peers, station, tell, report } = this.#ports;
    const all = peers.reports();
    const links = inTurns(all);
    const status: LinkStatus = { links, reach: this.#reach, hyperdhtOff: station.hyperdhtOff };
    // Who is linked to whom and how; the figures change all the time.
    const kinds = links.map(({ peer, side, kind, transport, why }) => [peer, side, kind, transport, why]);
    const said = JSON.stringify([kinds, status.reach, status.hyperdhtOff]);
    if (links.length > 0 || said !== this.#said) tell({ type: "links", status });
    const isDue = said !== this.#said || (links.length > 0 && now - this.#saidAt >= REPEAT_MS);
    this.#said = said;
    // Networks of earlier versions know of no links within a slice, and would take them for no message.
    const neighbours = all.filter(({ side }) => side !== "own").slice(0, MOST_LINKS);
    if (isDue && report({ ...status, links: neighbours })) this.#saidAt = now;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Of more links than are told of, as many to each side, in the order that they have. */
function inTurns(links: readonly LinkReport[]): LinkReport[] {
  const sides = new Map<LinkReport["side"], number>();
  const placed = links.map((link) => {
    const place = sides.get(link.side) ?? 0;
    sides.set(link.side, place + 1);
    return { link, place };
  });
  const shown = new Set(placed.toSorted((a, b) => a.place - b.place).slice(0, MOST_LINKS));
  return placed.flatMap((each) => (shown.has(each) ? [each.link] : []));
}
