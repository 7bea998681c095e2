import { createInterface } from "node:readline/promises";
import { Failure } from "../src-protocol/failure.ts";
import type { KnownNetwork, NetworkId, NetworkOffer, NetworkView } from "../src-protocol/networks.ts";
import { THIS_COMPUTER } from "../src-protocol/networks.ts";
import { offerRows } from "../src-protocol/network-text.ts";
import type { ApiClient } from "./api-client.ts";

/** The commands about networks: what they do, and what they say. */

export interface Joined {
  readonly networks: readonly KnownNetwork[];
  readonly text: string;
}

/** How its owner says yes. */
export interface Asking {
  readonly yes: boolean;
  /** Null: nobody can be asked. */
  readonly ask: (() => Promise<boolean>) | null;
  show(text: string): void;
}

/** Shows what an invitation leads to, asks, and joins after a yes. Throws `consent-needed` and `consent-refused`. */
export async function join(
  client: Pick<ApiClient, "call">,
  invitation: string,
  { yes, ask, show }: Asking,
): Promise<Joined> {
  const offer = await client.call("network.look", { invitation });
  show(offerText(offer));
  if (!yes && ask === null)
    throw new Failure(
      "consent-needed",
      "Nothing was joined: a yes is needed first. Say it with --yes, or run this in a terminal.",
    );
  if (!yes && ask !== null && !(await ask()))
    throw new Failure("consent-refused", "Nothing was joined, and nothing was changed.");
  const { networks } = await client.call("network.join", { invitation, consent: true });
  return { networks, text: `Joined ${offer.card.name}. \`tah status\` says how it goes.` };
}

export async function switchTo(client: Pick<ApiClient, "call">, word: string): Promise<Joined> {
  const { networks: known } = await client.call("network.list", {});
  const id = word.toLowerCase() === THIS_COMPUTER ? null : idOf(known, word);
  const { networks } = await client.call("network.switch", { network: id });
  return { networks, text: `Works for ${activeName(networks)} from now on.` };
}

/** Without a word the active network is left, after a yes. Throws `consent-needed` and `consent-refused`. */
export async function leave(
  client: Pick<ApiClient, "call">,
  word: string | null,
  { yes, ask, show }: Asking,
): Promise<Joined> {
  const { networks: known } = await client.call("network.list", {});
  const id = word === null ? known.find(({ active }) => active)?.id : idOf(known, word);
  const left = known.find((network) => network.id === id);
  if (left === undefined)
    throw new Failure(
      "nothing-to-leave",
      "No joined network is active: this computer works for itself. `tah networks` lists those it has joined.",
    );
  if (!yes) {
    show(
      `This computer stops working for ${left.name} (${left.address}) and forgets the way there. ` +
        `What was earned stays in its books under your key, what was kept of it in ${left.folder}.`,
    );
    if (ask === null)
      throw new Failure(
        "consent-needed",
        "Nothing was left: a yes is needed first. Say it with --yes, or run this in a terminal.",
      );
    if (!(await ask())) throw new Failure("consent-refused", "Nothing was left, and nothing was changed.");
  }
  const { networks } = await client.call("network.leave", { network: left.id });
  const text = [
    `Left ${left.name}. Works for ${activeName(networks)} from now on.`,
    `What was earned there stays in its books under your hotkey. What was kept of it is in ${left.folder}: joining again goes on from it, deleting it frees the space.`,
  ].join("\n");
  return { networks, text };
}

/** The card, as lines for a terminal. */
export function offerText(offer: NetworkOffer): string {
  const rows = offerRows(offer);
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  const lines = rows.map(({ name, value }) => `  ${`${name}:`.padEnd(width)}${value}`);
  if (offer.joined) lines.push("This computer has joined it already: joining again makes it the active one.");
  return lines.join("\n");
}

export function networksText(networks: readonly KnownNetwork[]): string {
  const isEmbedded = !networks.some(({ active }) => active);
  const mark = (active: boolean): string => (active ? "*" : " ");
  return [
    `${mark(isEmbedded)} ${THIS_COMPUTER}  the network on this computer alone`,
    ...networks.map(
      ({ id, name, operator, address, active }) =>
        `${mark(active)} ${name}  ${address}${operator === "" ? "" : `, operated by ${operator}`} (${id})`,
    ),
  ].join("\n");
}

/** For `tah status`. */
export function networkLine({ kind, name, operator, url }: NetworkView): string {
  if (kind === "embedded") return "this computer alone";
  return [name, url, operator === "" ? null : `operated by ${operator}`]
    .filter((part) => part !== null)
    .join(", ");
}

/** Asks on the terminal; null where there is none to ask on. */
export function terminalQuestion(question: string): (() => Promise<boolean>) | null {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null;
  return async () => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
    } finally {
      terminal.close();
    }
  };
}

function activeName(networks: readonly KnownNetwork[]): string {
  return networks.find(({ active }) => active)?.name ?? "the network on this computer";
}

/** By id or by name, whatever the capitals. Throws `unknown-network` and `ambiguous-network`. */
function idOf(networks: readonly KnownNetwork[], word: string): NetworkId {
  const wanted = word.toLowerCase();
  const found = networks.filter(({ id, name }) => id === wanted || name.toLowerCase() === wanted);
  const [first, second] = found;
  if (first === undefined)
    throw new Failure(
      "unknown-network",
      `This computer has not joined a network called "${word.slice(0, 64)}". \`tah networks\` lists those it has.`,
    );
  if (second !== undefined)
    throw new Failure(
      "ambiguous-network",
      `Several networks are called "${word.slice(0, 64)}". Name it by its id: ${found.map(({ id }) => id).join(", ")}.`,
    );
  return first.id;
}
