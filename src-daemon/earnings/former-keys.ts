import { readFileSync } from "node:fs";
import { z } from "zod";
import { ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { raoText } from "../../src-protocol/units.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

/** What a hotkey had earned on one network when it was last asked for. */
export const keptAccount = z.strictObject({
  /** Of the network; empty: the one on this computer. */
  network: z.string().max(128),
  hotkey: ss58Address,
  /** Of its file. */
  path: z.string(),
  asset: z.enum(["test", "alpha", "tao"]),
  accruedRao: raoText,
  at: z.int().nonnegative(),
});
export type KeptAccount = z.infer<typeof keptAccount>;

const file = z.strictObject({ accounts: z.array(keptAccount).max(1000) });

/** A figure that changes all the time is not worth a write each time. */
const WRITE_EVERY_MS = 60_000;

/**
 * The hotkeys that this computer has worked with, so that what one has earned stays in sight after
 * another was put in its place.
 */
export class FormerKeys {
  readonly #path: string;
  readonly #now: () => number;
  #accounts: KeptAccount[];
  #writtenAt = -Infinity;

  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
    this.#accounts = read(path);
  }

  /** Of other keys than `hotkey` on this network, with something left to claim when last seen. */
  besides(network: string, hotkey: Ss58Address): KeptAccount[] {
    return this.#accounts.filter(
      (account) => account.network === network && account.hotkey !== hotkey && account.accruedRao !== "0",
    );
  }

  /** The key that this computer worked with last, on any network; null: none is known. */
  last(): Ss58Address | null {
    return this.#accounts.at(-1)?.hotkey ?? null;
  }

  note(account: Omit<KeptAccount, "at">): void {
    const at = this.#now();
    const before = this.#accounts.find((known) => isSame(known, account));
    if (before?.accruedRao === account.accruedRao && before.path === account.path) return;
    this.#accounts = [
      ...this.#accounts.filter((known) => !isSame(known, account)),
      { ...account, at: Math.max(0, Math.floor(at)) },
    ].slice(-1000);
    // New keys at once; a sum that grows, once a minute; nothing left, at once.
    if (before !== undefined && account.accruedRao !== "0" && at - this.#writtenAt < WRITE_EVERY_MS) return;
    this.#writtenAt = at;
    this.save();
  }

  save(): void {
    try {
      writePrivateFile(this.#path, JSON.stringify({ accounts: this.#accounts }));
    } catch {
      // The network knows all of it; what is lost is the reminder.
    }
  }
}

function isSame(
  a: Pick<KeptAccount, "network" | "hotkey">,
  b: Pick<KeptAccount, "network" | "hotkey">,
): boolean {
  return a.network === b.network && a.hotkey === b.hotkey;
}

function read(path: string): KeptAccount[] {
  try {
    return file.parse(JSON.parse(readFileSync(path, "utf8"))).accounts;
  } catch {
    return [];
  }
}

/** A sentence for the owner when another hotkey has taken the place of the last one; null: it is the same. */
export function keyReplaced(last: Ss58Address | null, now: Ss58Address): string | null {
  if (last === null || last === now) return null;
  return `This computer works with the hotkey ${now} from now on; before it was ${last}. If it was not you who changed that, somebody else can write your wallet's folder.`;
}
