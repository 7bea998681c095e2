import { randomBytes } from "node:crypto";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import { expiredInvitation, invitationId } from "../../src-protocol/invitation.ts";
import type { InvitationRow } from "../../src-protocol/operator.ts";
import { numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";

/** More live rows are nobody's list; refused ones cost nothing, for they are not kept. */
const MOST_INVITATIONS = 10_000;

/**
 * Who may come in. An invitation admits so many owners (hotkeys), each with as many computers as
 * they like; whoever came in stays in, over reconnects and restarts, also when the invitation has
 * run out or was revoked since. Revoking with `evict` throws those out too who came in by it.
 *
 * Everything is in memory as well: a stranger is refused without a look at the disk. The token
 * itself is stored nowhere.
 */
export class Invitations {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #rows = new Map<string, InvitationRow>();
  /** The invitation by which each owner came in. */
  readonly #admitted = new Map<Ss58Address, string>();

  /** @param now Unix milliseconds */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
    for (const row of store.all("SELECT * FROM invitations")) {
      const id = textOf(row.id);
      this.#rows.set(id, {
        id,
        uses: numberOf(row.uses),
        used: numberOf(row.used),
        createdAt: numberOf(row.createdAt),
        expiresAt: orNull(row.expiresAt, numberOf),
        revokedAt: orNull(row.revokedAt, numberOf),
      });
    }
    for (const row of store.all("SELECT * FROM admissions"))
      this.#admitted.set(ss58Address.parse(textOf(row.hotkey)), textOf(row.invitation));
  }

  /** Newest first. */
  list(): InvitationRow[] {
    return [...this.#rows.values()].toSorted((a, b) => b.createdAt - a.createdAt);
  }

  /** Those who came in by this invitation. */
  admittedBy(id: string): Ss58Address[] {
    return [...this.#admitted].flatMap(([hotkey, invitation]) => (invitation === id ? [hotkey] : []));
  }

  /**
   * A new invitation; on disk when this resolves. The token is told now and never again.
   *
   * @param expiresAt Unix seconds; null: it does not expire
   */
  async create(uses: number, expiresAt: number | null): Promise<{ row: InvitationRow; token: string }> {
    if (this.#rows.size >= MOST_INVITATIONS)
      throw new Failure(
        "too-many-invitations",
        `There are ${MOST_INVITATIONS} invitations already. Let one be used more often instead.`,
      );
    const token = randomBytes(16).toString("hex");
    const id = invitationId(token);
    const row = { id, uses, used: 0, createdAt: this.#now(), expiresAt, revokedAt: null };
    const { revokedAt: _, ...columns } = row;
    await this.#store.write(() =>
      this.#store.run(
        `INSERT INTO invitations (id, uses, used, createdAt, expiresAt)
         VALUES (:id, :uses, :used, :createdAt, :expiresAt)`,
        columns,
      ),
    );
    this.#rows.set(id, row);
    return { row, token };
  }

  /**
   * It lets nobody in any more. Gives those who were thrown out.
   *
   * @throws Failure `no-such-invitation`
   */
  async revoke(id: string, evict: boolean): Promise<readonly Ss58Address[]> {
    const row = this.#rows.get(id);
    if (row === undefined)
      throw new Failure(
        "no-such-invitation",
        `There is no invitation "${id.slice(0, 64)}" here. \`tah network invites\` lists all of them.`,
      );
    const revokedAt = row.revokedAt ?? this.#now();
    await this.#store.write(() => {
      this.#store.run("UPDATE invitations SET revokedAt = :revokedAt WHERE id = :id", { id, revokedAt });
      if (evict) this.#store.run("DELETE FROM admissions WHERE invitation = :id", { id });
    });
    this.#rows.set(id, { ...(this.#rows.get(id) ?? row), revokedAt });
    if (!evict) return [];
    const evicted = this.admittedBy(id);
    for (const hotkey of evicted) this.#admitted.delete(hotkey);
    return evicted;
  }

  /**
   * Null when this caller may go on to prove who they are. `hotkey` is what they say, so far: it only
   * decides whether an invitation that is used up is worth another look.
   */
  refuse(token: string | null, hotkey: string | null): Failure | null {
    const row = token === null ? undefined : this.#rows.get(invitationId(token));
    if (row === undefined) return token === null ? needed() : unknown();
    if (hotkey !== null && this.#admitted.has(hotkey as Ss58Address)) return null;
    return this.#runOut(row);
  }

  /**
   * The owner has proved the hotkey. Resolves when they are in and that is on disk; of several who
   * come at once, no more than the invitation is good for.
   *
   * @throws Failure `invitation-needed`, `-unknown`, `-revoked`, `-expired`, `-used-up`
   */
  async admit(hotkey: Ss58Address, token: string | null): Promise<void> {
    if (this.#admitted.has(hotkey)) return;
    const row = token === null ? undefined : this.#rows.get(invitationId(token));
    if (row === undefined) throw token === null ? needed() : unknown();
    const { id } = row;
    const failure = this.#runOut(row);
    if (failure !== null) throw failure;
    const used = await this.#store.write(() => {
      // Two computers of one owner may come at the same moment: that is one use.
      const isNew = this.#store.run("INSERT OR IGNORE INTO admissions VALUES (:hotkey, :id, :at)", {
        hotkey,
        id,
        at: this.#now(),
      }).changes;
      if (isNew === 0) return 0;
      const { changes } = this.#store.run(
        "UPDATE invitations SET used = used + 1 WHERE id = :id AND used < uses AND revokedAt IS NULL",
        { id },
      );
      // Undoes the admission too.
      if (changes === 0) throw this.#runOut(this.#rows.get(id) ?? row) ?? usedUp(row);
      return changes;
    });
    const current = this.#rows.get(id) ?? row;
    this.#rows.set(id, { ...current, used: current.used + used });
    // Revoked and thrown out while the disk was written: then this one is out too.
    if (this.#store.get("SELECT 1 FROM admissions WHERE hotkey = :hotkey", { hotkey }) === null)
      throw revoked();
    if (!this.#admitted.has(hotkey)) this.#admitted.set(hotkey, id);
  }

  #runOut({ uses, used, expiresAt, revokedAt }: InvitationRow): Failure | null {
    if (revokedAt !== null) return revoked();
    if (expiresAt !== null && this.#now() >= expiresAt * 1000) return expiredInvitation(expiresAt);
    return used >= uses ? usedUp({ uses }) : null;
  }
}

function needed(): Failure {
  return new Failure(
    "invitation-needed",
    "This network lets in who was invited, and nobody else. Ask its operator for an invitation.",
  );
}

function unknown(): Failure {
  return new Failure(
    "invitation-unknown",
    "This network does not know the invitation. It may be of another network at the same address, or the network was begun anew. Ask its operator for a new one.",
  );
}

function revoked(): Failure {
  return new Failure(
    "invitation-revoked",
    "The network's operator has withdrawn this invitation, so it lets nobody in any more. Ask for a new one.",
  );
}

function usedUp({ uses }: { uses: number }): Failure {
  return new Failure(
    "invitation-used-up",
    `The invitation was good for ${uses === 1 ? "one person" : `${uses} people`}, and has been used by others. Ask the network's operator for a new one.`,
  );
}
