import { isDeepStrictEqual } from "node:util";
import type { Country } from "../../src-protocol/countries.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { NO_LIMITS } from "../../src-protocol/line-limits.ts";
import type { NetworkCard } from "../../src-protocol/network-card.ts";
import type { KnownNetwork, NetworkId, NetworkOffer } from "../../src-protocol/networks.ts";
import type { ExecutionProvider } from "../../src-protocol/providers.ts";
import { NO_WORK_LIMITS, type Limits } from "../../src-protocol/rules.ts";
import type { NetworksStore, StoredNetwork } from "./networks-store.ts";
import type { NetworkSession } from "./network-session.ts";

/** What an invitation leads to. */
export interface Looked extends Pick<StoredNetwork, "id" | "address" | "otherAddresses" | "access"> {
  readonly card: NetworkCard;
}

type Session = Pick<
  NetworkSession,
  | "accounts"
  | "start"
  | "stop"
  | "setWorking"
  | "endIn"
  | "standsIn"
  | "limit"
  | "retry"
  | "use"
  | "claim"
  | "kill"
  | "held"
  | "otherComputers"
>;

export interface MembershipPorts {
  readonly store: NetworksStore;
  /** Asks the network itself, over a connection pinned to its key. Throws a `Failure`. */
  look(invitation: string): Promise<Looked>;
  /** Null: the embedded network. Throws a `Failure` when it cannot be started here. */
  open(network: StoredNetwork | null): Promise<Session>;
  /** The remembered networks, and the offer that waits for a yes, have changed. */
  onKnown(known: KnownNetwork[], offer: NetworkOffer | null): void;
  /** Something worth a line for a person. */
  onNote(text: string): void;
  /** The active network cannot be started; null: it could. */
  onProblem(failure: Failure | null): void;
  now(): number;
  /** Whether the owner has said yes, to anything at all: before that no network is opened. */
  mayOpen(): boolean;
}

/**
 * Which network this computer works for. One at a time: a change is on disk first, then the old
 * network's processes end, then the new one's start. Changes wait for each other.
 */
export class Membership {
  readonly #ports: MembershipPorts;
  #session: Session | null = null;
  /** What an invitation leads to that waits for its owner's yes or no. */
  #waiting: Looked | null = null;
  #work: { working: boolean; reason: string } = { working: false, reason: "" };
  #limits: Limits = { ...NO_WORK_LIMITS, ...NO_LIMITS };
  /** Of the work that is allowed now, ms of the wall clock. */
  #endsAt: number | null = null;
  /** Where the owner has said that this computer stands; null: it is not said. */
  #country: Country | null = null;
  #provider: ExecutionProvider | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #ended = false;

  constructor(ports: MembershipPorts) {
    this.#ports = ports;
  }

  /** Throws `network-changing` in the moments between two networks. */
  get session(): Session {
    if (this.#session !== null) return this.#session;
    if (!this.#ports.mayOpen() && this.#waiting === null)
      throw new Failure(
        "not-set-up",
        "Nothing has begun yet: say in the dashboard when it may run, or type `tah setup`.",
      );
    throw this.#waiting === null
      ? new Failure("network-changing", "The network is being changed just now. Try again in a few seconds.")
      : new Failure(
          "consent-waits",
          `An invitation to ${this.#waiting.card.name} waits for your yes or no; until then no network is active.`,
        );
  }

  /** What the workers of the active network are held to; null: none is open. */
  held(): ReturnType<Session["held"]> {
    return this.#session?.held() ?? null;
  }

  /** Of the store alone: also right while a network is being changed. */
  list(): KnownNetwork[] {
    return this.#ports.store.list();
  }

  /**
   * Starts the active network. With an invitation to one that was not joined yet nothing starts
   * until its owner has said yes or no (`answer`). Throws a `Failure` when the invitation
   * leads nowhere or the network cannot start.
   */
  async start(invitation: { readonly text: string; readonly yes: boolean } | null): Promise<void> {
    if (invitation === null) return this.#inTurn(() => this.#open());
    const looked = await this.#ports.look(invitation.text);
    if (this.#offerOf(looked).joined || invitation.yes) {
      this.#remember(looked);
      return this.#inTurn(() => this.#open());
    }
    this.#waiting = looked;
    this.#tell();
  }

  /** After the owner's first yes: opens the active network, if none is open yet. */
  begin(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#session === null && this.#waiting === null) await this.#open();
    });
  }

  /** What a session was opened with has changed: the active one ends and begins again. */
  reopen(reason: string): Promise<void> {
    return this.#inTurn(async () => {
      const session = this.#session;
      if (session === null) return;
      this.#session = null;
      await session.stop(reason);
      await this.#open();
    });
  }

  async look(invitation: string): Promise<NetworkOffer> {
    return this.#offerOf(await this.#ports.look(invitation));
  }

  /** Shows it to the owner, whose yes or no (`answer`) it waits for. What runs goes on meanwhile. */
  async offer(invitation: string): Promise<NetworkOffer> {
    const looked = await this.#ports.look(invitation);
    this.#waiting = looked;
    this.#tell();
    return this.#offerOf(looked);
  }

  async join(invitation: string): Promise<KnownNetwork[]> {
    return this.#joinLooked(await this.#ports.look(invitation));
  }

  /** Yes joins the network of the invitation that waits; no starts the one that was active before. */
  answer(yes: boolean): Promise<KnownNetwork[]> {
    const waiting = this.#waiting;
    if (waiting === null)
      throw new Failure(
        "no-offer",
        "No invitation waits for an answer: it was given already, or there was none.",
      );
    return yes ? this.#joinLooked(waiting) : this.#change(() => undefined);
  }

  switchTo(id: NetworkId | null): Promise<KnownNetwork[]> {
    const { store, onNote } = this.#ports;
    return this.#change(() => {
      if (id === (store.active()?.id ?? null)) return;
      store.activate(id);
      onNote(`Works for ${store.active()?.name ?? "the network on this computer"} from now on.`);
    });
  }

  leave(id: NetworkId): Promise<KnownNetwork[]> {
    const { store, onNote } = this.#ports;
    return this.#change(() => onNote(`Left ${store.leave(id).name}.`));
  }

  setWorking(working: boolean, reason: string): void {
    this.#work = { working, reason };
    this.#session?.setWorking(working, reason);
  }

  /** When the work that is allowed now ends by itself, ms of the wall clock; null: no end is known. */
  endAt(at: number | null): void {
    this.#endsAt = at;
    this.#tellEnd(this.#session);
  }

  #tellEnd(session: Session | null): void {
    session?.endIn(this.#endsAt === null ? null : Math.max(0, this.#endsAt - this.#ports.now()));
  }

  /** What its network may know of where this computer stands; null: nothing. */
  standsIn(country: Country | null): void {
    if (country === this.#country) return;
    this.#country = country;
    this.#session?.standsIn(country);
  }

  /** What its workers may use of the computer and of its line. */
  limit(limits: Limits): void {
    const before = this.#provider;
    this.#limits = limits;
    this.#session?.limit(limits);
    if (before !== null) this.#session?.use(this.#allowed(before));
  }

  /** Somebody asks for work: what was put aside is tried again at once. */
  retry(): void {
    this.#session?.retry();
  }

  use(provider: ExecutionProvider): void {
    this.#provider = provider;
    this.#session?.use(this.#allowed(provider));
  }

  /** Resolves when no process is left. */
  async stop(reason: string): Promise<void> {
    this.#ended = true;
    const session = this.#session;
    this.#session = null;
    await session?.stop(reason);
    await this.#last.catch(() => undefined);
  }

  kill(): void {
    this.#ended = true;
    this.#session?.kill();
  }

  #joinLooked(looked: Looked): Promise<KnownNetwork[]> {
    return this.#change(() => {
      this.#remember(looked);
      this.#ports.onNote(`Joined ${looked.card.name}.`);
    });
  }

  #offerOf({ id, address, access, card }: Looked): NetworkOffer {
    const joined = this.#ports.store.find(id) !== null;
    return { id, address, keySha256: access.keySha256, card, joined };
  }

  #remember({ id, address, otherAddresses, access, card: { name, operator, network } }: Looked): void {
    const { store, now } = this.#ports;
    const joinedAt = store.find(id)?.joinedAt ?? now();
    store.join({ id, name, operator, network, address, otherAddresses, access, joinedAt });
  }

  /** What is written first is what a start after a kill goes by. */
  async #change(write: () => void): Promise<KnownNetwork[]> {
    const { store } = this.#ports;
    await this.#inTurn(async () => {
      const before = store.active();
      write();
      const isSame = isDeepStrictEqual(before, store.active());
      this.#waiting = null;
      const session = this.#session;
      if (isSame && session !== null) return this.#tell();
      this.#session = null;
      await session?.stop("another network is active from now on");
      await this.#open();
    });
    return this.list();
  }

  async #open(): Promise<void> {
    if (this.#ended) return;
    const { store, open, onProblem } = this.#ports;
    if (!this.#ports.mayOpen()) return this.#tell();
    try {
      const session = await open(store.active());
      if (this.#isEnding()) return;
      this.#session = session;
      await session.start();
      this.#tell();
      onProblem(null);
      if (this.#provider !== null) session.use(this.#allowed(this.#provider));
      session.limit(this.#limits);
      this.#tellEnd(session);
      if (this.#country !== null) session.standsIn(this.#country);
      session.setWorking(this.#work.working, this.#work.reason);
    } catch (error) {
      this.#tell();
      if (error instanceof Failure) onProblem(error);
      throw error;
    }
  }

  /** While the graphics card is not to be used, the processor computes. */
  #allowed(provider: ExecutionProvider): ExecutionProvider {
    return this.#limits.gpu ? provider : "cpu";
  }

  #isEnding(): boolean {
    return this.#ended;
  }

  #tell(): void {
    this.#ports.onKnown(this.list(), this.#waiting === null ? null : this.#offerOf(this.#waiting));
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
