import { spawnSync } from "node:child_process";

/** What makes a router out of a namespace: whichever packet filter this computer has. */
export type PacketFilter = "iptables" | "iptables-legacy" | "nft";
const FILTERS: readonly PacketFilter[] = ["iptables-legacy", "iptables", "nft"];

/** Runs a command; its error text when it fails. */
export function attempt(command: string, ...words: string[]): string | null {
  const { status, error, stderr } = spawnSync(command, words, { encoding: "utf8", timeout: 20_000 });
  if (error !== undefined) return error.message;
  return status === 0 ? null : `${command} ${words.join(" ")}: ${stderr.trim()}`;
}

/** The packet filter to use, or why no lab can be made here. Tried in a namespace, because an installed tool may be of no use. */
export function labTools(): PacketFilter | { readonly missing: string } {
  if (process.platform !== "linux") return { missing: "network namespaces are a thing of Linux" };
  if (process.getuid?.() !== 0) return { missing: "only root may make network namespaces" };
  const space = `tah-try-${process.pid}`;
  const refused = attempt("ip", "netns", "add", space);
  if (refused !== null) return { missing: `network namespaces cannot be made: ${refused}` };
  try {
    const works = FILTERS.find((filter) => attempt(...tryOut(filter, space)) === null);
    return (
      works ?? { missing: "there is neither iptables nor nft that works (Debian: apt-get install iptables)" }
    );
  } finally {
    attempt("ip", "netns", "delete", space);
  }
}

function tryOut(filter: PacketFilter, space: string): [string, ...string[]] {
  const inside = ["netns", "exec", space, filter];
  if (filter === "nft")
    return [
      "ip",
      ...inside,
      "add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; add rule ip t c masquerade fully-random",
    ];
  return [
    "ip",
    ...inside,
    ..."-t nat -A POSTROUTING -p udp -m conntrack --ctstate NEW -j MASQUERADE --random-fully".split(" "),
  ];
}

/**
 * Whether packets out of a home keep their port (`port-restricted`), get a new one for every destination, or the
 * home's one computer has a public address of its own, as in a cloud: whatever comes to it goes there (`one-to-one`).
 */
export type NatKind = "port-restricted" | "symmetric" | "one-to-one";

/** Makes a namespace a home's router towards `device`: what was not asked for does not come in, or all goes to `computer`. */
export function routerRules(
  filter: PacketFilter,
  device: string,
  kind: NatKind,
  blocksUdp: boolean,
  computer: string,
): string[][] {
  if (kind === "one-to-one")
    return filter === "nft"
      ? [
          "add table ip home",
          "add chain ip home out { type nat hook postrouting priority 100; }",
          `add rule ip home out oifname ${device} masquerade`,
          "add chain ip home in { type nat hook prerouting priority -100; }",
          `add rule ip home in iifname ${device} dnat to ${computer}`,
        ].map((rule) => ["nft", rule])
      : [
          `-t nat -A POSTROUTING -o ${device} -j MASQUERADE`,
          `-t nat -A PREROUTING -i ${device} -j DNAT --to-destination ${computer}`,
        ].map((rule) => `${filter} ${rule}`.split(" "));
  const random = kind === "symmetric";
  return filter === "nft"
    ? nftRules(device, random, blocksUdp).map((rule) => ["nft", rule])
    : iptablesRules(device, random, blocksUdp).map((rule) => `${filter} ${rule}`.split(" "));
}

function nftRules(device: string, random: boolean, blocksUdp: boolean): string[] {
  const rules = [
    "add table ip home",
    "add chain ip home out { type nat hook postrouting priority 100; }",
    `add rule ip home out oifname ${device} masquerade${random ? " fully-random" : ""}`,
  ];
  for (const chain of ["forward", "input"]) {
    rules.push(`add chain ip home ${chain} { type filter hook ${chain} priority 0; }`);
    if (blocksUdp) rules.push(`add rule ip home ${chain} meta l4proto udp drop`);
    rules.push(
      `add rule ip home ${chain} iifname ${device} ct state established,related accept`,
      `add rule ip home ${chain} iifname ${device} drop`,
    );
  }
  return rules;
}

function iptablesRules(device: string, random: boolean, blocksUdp: boolean): string[] {
  const rules = [`-t nat -A POSTROUTING -o ${device} -j MASQUERADE${random ? " --random-fully" : ""}`];
  for (const chain of ["FORWARD", "INPUT"]) {
    if (blocksUdp) rules.push(`-A ${chain} -p udp -j DROP`);
    rules.push(
      `-A ${chain} -i ${device} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`,
      `-A ${chain} -i ${device} -j DROP`,
    );
  }
  return rules;
}

/**
 * A router forgets the mappings that live, and makes the next ones in another range of ports. They
 * are forgotten by looking in another zone of the table: so nothing but the packet filter is needed. The
 * range goes first: a packet in between would keep its port.
 */
export function newPortRules(
  filter: PacketFilter,
  device: string,
  protocol: "udp" | "tcp",
  firstPort: number,
): string[][] {
  const range = `${firstPort}-${firstPort + 999}`;
  const zone = firstPort / 1_000;
  if (filter === "nft")
    return [
      `insert rule ip home out oifname ${device} meta l4proto ${protocol} masquerade to :${range}`,
      "add chain ip home raw { type filter hook prerouting priority -300; }",
      `add rule ip home raw meta l4proto ${protocol} ct zone set ${zone}`,
    ].map((rule) => ["nft", rule]);
  return [
    `-t nat -I POSTROUTING -o ${device} -p ${protocol} -j MASQUERADE --to-ports ${range}`,
    `-t raw -I PREROUTING -p ${protocol} -j CT --zone ${zone}`,
  ].map((rule) => `${filter} ${rule}`.split(" "));
}

/** A router lets UDP pass as TCP, or drops all of it, from now on. */
export function udpRules(filter: PacketFilter, device: string, passes: boolean): string[][] {
  if (filter === "nft") {
    const rules = passes
      ? [
          `iifname ${device} meta l4proto udp ct state established,related accept`,
          `oifname ${device} meta l4proto udp accept`,
        ]
      : ["meta l4proto udp drop"];
    return rules.map((rule) => ["nft", `insert rule ip home forward ${rule}`]);
  }
  const rules = passes
    ? [
        `-I FORWARD -i ${device} -p udp -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`,
        `-I FORWARD -o ${device} -p udp -j ACCEPT`,
      ]
    : ["-I FORWARD -p udp -j DROP"];
  return rules.map((rule) => `${filter} ${rule}`.split(" "));
}
