import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { removeMemoryOf } from "../../src-daemon/supervision/memory-folder.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { attempt, newPortRules, routerRules, udpRules } from "./lab-tools.ts";
import type { NatKind, PacketFilter } from "./lab-tools.ts";

export interface HomeLine {
  readonly upMbit: number;
  readonly downMbit: number;
  /** There and back. */
  readonly roundTripMs: number;
  /** Of packets, each way. */
  readonly lossPercent: number;
}

export interface HomePlan {
  /** `none`: the computer itself has a public address. */
  readonly nat: NatKind | "none";
  /** The provider's router behind the home's own. */
  readonly behind?: NatKind;
  readonly blocksUdp?: boolean;
  /** Left out: as fast as this computer. */
  readonly line?: HomeLine;
}

export interface Home {
  /** Namespace of the computer in it. */
  readonly space: string;
  /** Namespace whose `wan` is the home's line. */
  readonly edge: string;
  /** Namespace of the home's own router. */
  readonly router: string;
}

/** The address of whoever operates the network. */
export const PUBLIC_HOST = "45.0.0.1";
/** A quarter of a second at 8 Mbit/s: a home router's. */
const QUEUE_BYTES = 250_000;

/**
 * An internet of network namespaces with homes in it. A helper process that waits for this one's end
 * takes everything away again, however this one ends.
 */
export class LabNet {
  readonly publicSpace: string;
  readonly #prefix: string;
  readonly #filter: PacketFilter;
  readonly #janitor: ChildProcess;
  readonly #lines: ChildProcess[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), "tah-lab-"));
  #homes = 0;
  /** First of the range that routers give out next. */
  #ports = 20_000;
  #forwarder: string | null = null;

  constructor(filter: PacketFilter) {
    this.#filter = filter;
    this.#prefix = `tah-${process.pid}-${Math.trunc(performance.now())}`;
    this.#janitor = spawn("sh", ["-c", JANITOR, "janitor", this.#prefix, this.folder], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    this.publicSpace = this.space("public");
    ip("-n", this.publicSpace, "address", "add", `${PUBLIC_HOST}/32`, "dev", "lo");
    forwards(this.publicSpace);
  }

  /** Why lines cannot be slowed down here; null: they can. */
  get lineTrouble(): string | null {
    if (this.#forwarder !== null) return null;
    const built = join(this.folder, "home-link");
    const trouble = attempt("cc", "-O2", "-o", built, join(import.meta.dirname, "home-link.c"));
    if (trouble !== null)
      return `a line of a home needs a C compiler (Debian: apt-get install gcc libc6-dev): ${trouble}`;
    this.#forwarder = built;
    return null;
  }

  async home({ nat, behind, blocksUdp = false, line }: HomePlan): Promise<Home> {
    const number = (this.#homes += 1);
    const space = this.space(`home${number}`);
    const address = `45.0.1.${number}`;
    const edge = nat === "none" ? space : this.space(`router${number}`);
    const outer = behind === undefined ? edge : this.space(`provider${number}`);
    if (edge !== space) wire(edge, "lan", `192.168.${number}.1`, space, "lan", `192.168.${number}.2`);
    if (outer !== edge) wire(outer, "lan", `10.${number}.0.1`, edge, "wan", `10.${number}.0.2`);
    await this.#connect(outer, address, number, line);
    const [computer, router] = [`192.168.${number}.2`, `10.${number}.0.2`];
    if (nat !== "none") this.#route(edge, nat, blocksUdp, computer);
    if (behind !== undefined) this.#route(outer, behind, false, router);
    return { space, edge: outer, router: edge };
  }

  /**
   * A second computer behind a home's router. `isolated`: the router's Wi-Fi lets no computer speak to another one.
   * No router here takes a packet from inside that is meant for its own public address (no hairpin).
   */
  mate({ space: first, router, edge }: Home, isolated: boolean): Home {
    const number = (this.#homes += 1);
    const space = this.space(`home${number}`);
    wire(router, `lan${number}`, `192.168.${number}.1`, space, "lan", `192.168.${number}.2`);
    if (isolated)
      for (const [from, to] of [
        [numberOf(first), number],
        [number, numberOf(first)],
      ])
        inSpace(
          router,
          "ip",
          "rule",
          "add",
          "from",
          `192.168.${from}.2`,
          "to",
          `192.168.${to}.2`,
          "blackhole",
        );
    return { space, edge, router };
  }

  /** A router loses its table and gives every live mapping another port. */
  newPorts(router: string, protocol: "udp" | "tcp"): void {
    this.#ports += 1_000;
    for (const [command = "", ...words] of newPortRules(this.#filter, "wan", protocol, this.#ports))
      inSpace(router, command, ...words);
  }

  /** A router begins to drop all UDP, or to let it pass. */
  letUdp(router: string, pass: "pass" | "drop"): void {
    for (const [command = "", ...words] of udpRules(this.#filter, "wan", pass === "pass"))
      inSpace(router, command, ...words);
  }

  /** A computer behind a router loses its interface, or has it back with the address and route of before. */
  interfaceOf(home: string, state: "up" | "down"): void {
    ip("-n", home, "link", "set", "lan", state);
    if (state === "up") ip("-n", home, "route", "replace", "default", "via", gatewayOf(home));
  }

  /** A computer behind a router gets another address of its home network in place of the old one. */
  anotherAddress(home: string): void {
    const gateway = gatewayOf(home);
    ip("-n", home, "address", "flush", "dev", "lan");
    ip("-n", home, "address", "add", gateway.replace(/1$/, "77/24"), "dev", "lan");
    ip("-n", home, "route", "replace", "default", "via", gateway);
  }

  /** Everything that runs in a namespace is stopped, as in sleep, or goes on. */
  signalAll(space: string, signal: "STOP" | "CONT"): void {
    for (const pid of ip("netns", "pids", space).split("\n").filter(Boolean))
      process.kill(Number(pid), `SIG${signal}`);
  }

  /** What has gone through a home's line until now, bytes. */
  traffic(edge: string): { sent: number; received: number } {
    const [device] = wanCounters.parse(JSON.parse(ip("-n", edge, "-j", "-s", "link", "show", "wan")));
    return { sent: device?.stats64.tx.bytes ?? 0, received: device?.stats64.rx.bytes ?? 0 };
  }

  /** Resolves when nothing is left. */
  async close(): Promise<void> {
    for (const line of this.#lines) line.kill("SIGKILL");
    const gone = new Promise((resolve) => this.#janitor.once("exit", resolve));
    this.#janitor.stdin?.end();
    await gone;
    removeMemoryOf(this.folder);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A namespace in which nothing but loopback is up. */
  space(name: string): string {
    const space = `${this.#prefix}-${name}`;
    ip("netns", "add", space);
    ip("-n", space, "link", "set", "lo", "up");
    return space;
  }

  /** Joins the outermost router of a home, or the home, to the internet by `wan`. */
  async #connect(space: string, address: string, number: number, line: HomeLine | undefined): Promise<void> {
    const far = `home${number}`;
    if (line === undefined) {
      ip(
        "link",
        "add",
        "wan",
        "netns",
        space,
        "type",
        "veth",
        "peer",
        "name",
        far,
        "netns",
        this.publicSpace,
      );
      inSpace(this.publicSpace, "sysctl", "-qw", `net.ipv4.conf.${far}.proxy_arp=1`);
    } else {
      await this.#forward(space, far, number, line);
    }
    ip("-n", space, "address", "add", `${address}/32`, "dev", "wan");
    ip("-n", space, "link", "set", "wan", "up");
    ip("-n", this.publicSpace, "link", "set", far, "up");
    ip("-n", space, "route", "add", "default", "dev", "wan");
    ip("-n", this.publicSpace, "route", "add", `${address}/32`, "dev", far);
  }

  #forward(space: string, far: string, number: number, line: HomeLine): Promise<void> {
    const trouble = this.lineTrouble;
    if (trouble !== null || this.#forwarder === null) throw new Failure("lab-line", trouble ?? "");
    const { upMbit, downMbit, roundTripMs, lossPercent } = line;
    const words = [upMbit * 1e6, downMbit * 1e6, roundTripMs / 2, lossPercent, QUEUE_BYTES, number];
    const child = spawn(this.#forwarder, [space, "wan", this.publicSpace, far, ...words.map(String)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#lines.push(child);
    return new Promise((resolve, reject) => {
      child.stdout?.once("data", () => resolve());
      child.once("exit", (code) => reject(new Failure("lab-line", `The home's line ended with ${code}.`)));
    });
  }

  #route(space: string, kind: NatKind, blocksUdp: boolean, computer: string): void {
    forwards(space);
    for (const [command = "", ...words] of routerRules(this.#filter, "wan", kind, blocksUdp, computer))
      inSpace(space, command, ...words);
  }
}

const counter = z.object({ bytes: z.number() });
const wanCounters = z.array(z.object({ stats64: z.object({ rx: counter, tx: counter }) }));

/** Waits until whoever holds its input is gone, whatever ended them, then removes what has the prefix. */
const JANITOR = `
cat > /dev/null
ip netns list | cut -d' ' -f1 | grep "^$1-" | while read -r space; do
  for pid in $(ip netns pids "$space"); do kill -9 "$pid"; done
  ip netns delete "$space"
done
rm -rf "$2"
`;

function wire(
  a: string,
  deviceA: string,
  addressA: string,
  b: string,
  deviceB: string,
  addressB: string,
): void {
  ip("link", "add", deviceA, "netns", a, "type", "veth", "peer", "name", deviceB, "netns", b);
  ip("-n", a, "address", "add", `${addressA}/24`, "dev", deviceA);
  ip("-n", b, "address", "add", `${addressB}/24`, "dev", deviceB);
  ip("-n", a, "link", "set", deviceA, "up");
  ip("-n", b, "link", "set", deviceB, "up");
  ip("-n", b, "route", "add", "default", "via", addressA);
}

/** The router's address in the home network (see `home`). */
function gatewayOf(home: string): string {
  return `192.168.${numberOf(home)}.1`;
}

function numberOf(home: string): number {
  return Number(/home(\d+)$/.exec(home)?.[1]);
}

function forwards(space: string): void {
  inSpace(space, "sysctl", "-qw", "net.ipv4.ip_forward=1");
}

function inSpace(space: string, command: string, ...words: string[]): void {
  ip("netns", "exec", space, command, ...words);
}

function ip(...words: string[]): string {
  const { status, error, stderr, stdout } = spawnSync("ip", words, { encoding: "utf8" });
  if (status === 0) return stdout;
  throw new Failure("lab-net", `ip ${words.join(" ")}: ${error?.message ?? stderr.trim()}`);
}
