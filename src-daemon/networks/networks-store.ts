import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import { MOST_ADDRESSES, networkAccess } from "../../src-protocol/invitation.ts";
import { networkCard } from "../../src-protocol/network-card.ts";
import { knownNetwork, networkId } from "../../src-protocol/networks.ts";
import type { KnownNetwork, NetworkId } from "../../src-protocol/networks.ts";
import { storedJson } from "../policy/stored-json.ts";
import type { StoredJson } from "../policy/stored-json.ts";

/** Enough for anybody, and a bound on what a program that joins in a loop can fill the list with. */
export const MOST_NETWORKS = 64;

/** A joined network as it is remembered: what its card said at the yes, and how to come back. */
export const storedNetwork = knownNetwork.omit({ active: true, folder: true }).extend({
  /** What delegations, proofs and claims are made out to. */
  network: networkCard.shape.network,
  /** The invitation's addresses beside the one that answered: tried, too, when it does not answer. */
  otherAddresses: z.array(knownNetwork.shape.address).max(MOST_ADDRESSES).default([]),
  /** SECURITY: holds the token that admits this computer; it stays in this file, mode 0600. */
  access: networkAccess,
});
export type StoredNetwork = z.infer<typeof storedNetwork>;

const networksFile = z
  .strictObject({
    schema: z.literal("train-at-home/networks/v1"),
    /** Null: the embedded network. */
    active: networkId.nullable(),
    networks: z.array(storedNetwork).max(MOST_NETWORKS),
  })
  .refine(({ networks }) => new Set(networks.map(({ id }) => id)).size === networks.length, {
    message: "a network is listed twice",
  })
  .refine(({ active, networks }) => active === null || networks.some(({ id }) => id === active), {
    message: "the active network is not in the list",
  });

const NONE: z.infer<typeof networksFile> = {
  schema: "train-at-home/networks/v1",
  active: null,
  networks: [],
};

/**
 * `<data folder>/networks.json`: the joined networks, and which one is active. Each change is on
 * disk, whole, before anything is done about it, so that a kill at any moment leaves one truth.
 */
export class NetworksStore {
  readonly #file: StoredJson<z.infer<typeof networksFile>>;
  readonly #folderOf: (id: NetworkId) => string;
  #content: z.infer<typeof networksFile>;

  /** Throws `stored-file-corrupt` or `stored-file-unreadable`; the file is then left as it is. */
  constructor(path: string, folderOf: (id: NetworkId) => string) {
    this.#file = storedJson(path, networksFile, "the networks that this computer has joined");
    this.#folderOf = folderOf;
    this.#content = this.#file.read() ?? NONE;
  }

  /** Null: the embedded network. */
  active(): StoredNetwork | null {
    return this.#content.networks.find(({ id }) => id === this.#content.active) ?? null;
  }

  find(id: NetworkId): StoredNetwork | null {
    return this.#content.networks.find((network) => network.id === id) ?? null;
  }

  /** Newest first. */
  list(): KnownNetwork[] {
    return this.#content.networks
      .map(({ access: _secret, network: _name, otherAddresses: _others, ...network }) => ({
        ...network,
        active: network.id === this.#content.active,
        folder: this.#folderOf(network.id),
      }))
      .sort((a, b) => b.joinedAt - a.joinedAt);
  }

  /** Remembers a network, in place of what was known of it, and makes it the active one. Throws `too-many-networks`. */
  join(network: StoredNetwork): void {
    const others = this.#content.networks.filter(({ id }) => id !== network.id);
    if (others.length >= MOST_NETWORKS)
      throw new Failure(
        "too-many-networks",
        `This computer has joined ${MOST_NETWORKS} networks, and more are not kept. Leave one of them, then join again.`,
      );
    this.#write({ ...this.#content, active: network.id, networks: [...others, network] });
  }

  /** Throws `unknown-network`. */
  activate(id: NetworkId | null): void {
    if (id !== null) this.#need(id);
    this.#write({ ...this.#content, active: id });
  }

  /** Forgets it; when it was active, the embedded network is. Throws `unknown-network`. */
  leave(id: NetworkId): StoredNetwork {
    const left = this.#need(id);
    const { active, networks } = this.#content;
    this.#write({
      ...this.#content,
      active: active === id ? null : active,
      networks: networks.filter((network) => network.id !== id),
    });
    return left;
  }

  #need(id: NetworkId): StoredNetwork {
    const found = this.find(id);
    if (found !== null) return found;
    throw new Failure(
      "unknown-network",
      "This computer has not joined that network. `tah networks` lists those it has.",
    );
  }

  #write(content: z.infer<typeof networksFile>): void {
    this.#file.write(content);
    this.#content = content;
  }
}
