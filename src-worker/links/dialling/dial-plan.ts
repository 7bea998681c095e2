import type { LinkAddress } from "../../../src-protocol/control.ts";
import { isOwnHost, isPrivateHost } from "../own-addresses.ts";

/** One way to try: which transport, and where. */
export type Road =
  | { readonly by: "tls"; readonly address: LinkAddress }
  | { readonly by: "hyperdht" }
  | { readonly by: "byte relay" };

export interface Try {
  readonly road: Road;
  /** Better roads have lower ranks. */
  readonly rank: number;
  /** Not before this time; then the dial begins. */
  readonly startAt: number;
  readonly state: "waiting" | "dialling" | "open" | "failed";
  readonly openedAt: number | null;
  readonly attempts: number;
  /** Why it failed last, in words for people. */
  readonly why: string | null;
}

/** A race of dials to one peer, as data. `decide` says what to do next. */
export interface DialState {
  readonly tries: readonly Try[];
  readonly deadline: number;
  /** How long an open road waits for a better one, by rank. */
  readonly graceMs: readonly number[];
}

export type DialEvent =
  | { readonly type: "started" | "opened"; readonly road: string }
  | { readonly type: "failed"; readonly road: string; readonly why: string };

export interface DialDecision {
  readonly start: readonly Road[];
  /** The race is over: this one becomes the link, if the peer proves to be the one we mean. */
  readonly choose: Road | null;
  readonly givenUp: boolean;
  /** When to ask again at the latest, though nothing happens; null: only an event changes anything. */
  readonly nextAt: number | null;
}

/** TCP over the open internet loses to UDP where packets are lost, so it lets that go first. */
const PUBLIC_TLS_DELAY_MS = 250;
/** The byte relay costs the network's operator; it is also slower. Still all of it has to fit in 3 s. */
const RELAY_DELAY_MS = 1_000;
/** A road that is open waits so long for a better one that is still being dialled. */
const GRACE_MS = [0, 0, 0, 200, 600];
/** Nothing passes meanwhile, and a better road is looked for again soon. */
const URGENT_GRACE_MS = [0, 0, 0, 100, 200];
const RETRY_MS = 300;
const LAST_RETRY_MS = 1_500;

/** When the network's relay is tried; HyperDHT's own relay comes with it. */
export type Relays = "last" | "at once" | "never";

export interface DialWishes {
  /** Where the peer's TLS port may answer. */
  readonly addresses: readonly LinkAddress[];
  readonly hyperdht: boolean;
  readonly byteRelay: Relays;
  /** The road that led to this peer last time; it goes first, whatever it is. */
  readonly remembered: string | null;
}

export function roadName(road: Road): string {
  return road.by === "tls" ? `tls ${road.address.host} ${road.address.port}` : road.by;
}

/** LAN, direct, punched and relayed at once, as far as each makes sense: in turn they would not fit in 3 s. */
export function planDial(wishes: DialWishes, now: number, withinMs: number): DialState {
  const roads: Road[] = wishes.addresses.map((address) => ({ by: "tls", address }));
  if (wishes.hyperdht) roads.push({ by: "hyperdht" });
  if (wishes.byteRelay !== "never") roads.push({ by: "byte relay" });
  const unique = new Map(roads.map((road) => [roadName(road), road]));
  const tries = [...unique.values()].map((road): Try => {
    const rank = rankOf(road);
    const delayMs =
      roadName(road) === wishes.remembered || unique.size === 1
        ? 0
        : road.by === "byte relay"
          ? wishes.byteRelay === "at once"
            ? 0
            : RELAY_DELAY_MS
          : rank === 3 && wishes.hyperdht
            ? PUBLIC_TLS_DELAY_MS
            : 0;
    return { road, rank, startAt: now + delayMs, state: "waiting", openedAt: null, attempts: 0, why: null };
  });
  const graceMs = wishes.byteRelay === "at once" ? URGENT_GRACE_MS : GRACE_MS;
  return { tries, deadline: now + withinMs, graceMs };
}

export function onDial(event: DialEvent, state: DialState, now: number): DialState {
  const tries = state.tries.map((each): Try => {
    if (roadName(each.road) !== event.road) return each;
    switch (event.type) {
      case "started":
        return { ...each, state: "dialling", attempts: each.attempts + 1 };
      case "opened":
        return { ...each, state: "open", openedAt: now };
      case "failed": {
        // A refusal looks like a broken path, and a peer that was named a moment ago may know us now.
        const pauseMs = Math.min(LAST_RETRY_MS, RETRY_MS * 2 ** (each.attempts - 1));
        return { ...each, state: "failed", why: event.why, startAt: now + pauseMs, openedAt: null };
      }
    }
  });
  return { ...state, tries };
}

export function decide({ tries, deadline, graceMs }: DialState, now: number): DialDecision {
  const graceOf = ({ rank }: Try): number => graceMs[rank] ?? 0;
  const choose = chosen(tries, now, graceOf);
  if (choose !== null) return { start: [], choose: choose.road, givenUp: false, nextAt: null };
  if (now >= deadline) return { start: [], choose: null, givenUp: true, nextAt: null };
  const asleep = tries.filter(({ state }) => state === "waiting" || state === "failed");
  // When all that was tried has failed, nothing is worth waiting for.
  const idle = !tries.some(({ state }) => state === "dialling" || state === "open");
  const due = asleep.filter(
    ({ startAt, state }) => startAt <= now || (idle && state === "waiting" && hasFailed(tries)),
  );
  const start = due.map(({ road }) => road);
  const times = [
    deadline,
    ...asleep.filter((each) => !due.includes(each)).map(({ startAt }) => startAt),
    ...tries.flatMap((each) => (each.openedAt === null ? [] : [each.openedAt + graceOf(each)])),
  ];
  return { start, choose: null, givenUp: false, nextAt: Math.min(...times.filter((time) => time > now)) };
}

/** The best open road, unless a better one may still come within its grace. */
function chosen(tries: readonly Try[], now: number, graceOf: (open: Try) => number): Try | null {
  const open = tries.filter(({ state }) => state === "open").sort((a, b) => a.rank - b.rank)[0];
  if (open === undefined) return null;
  const betterMayCome = tries.some(({ rank, state }) => rank < open.rank && state === "dialling");
  return !betterMayCome || now >= (open.openedAt ?? now) + graceOf(open) ? open : null;
}

function hasFailed(tries: readonly Try[]): boolean {
  return tries.some(({ attempts }) => attempts > 0);
}

function rankOf(road: Road): number {
  switch (road.by) {
    case "tls":
      return isOwnHost(road.address.host) ? 0 : isPrivateHost(road.address.host) ? 1 : 3;
    case "hyperdht":
      return 2;
    case "byte relay":
      return 4;
  }
}
