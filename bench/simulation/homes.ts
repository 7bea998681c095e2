import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { Random } from "./random.ts";

/**
 * Computers of homes, and when each is there. Synthetic: the shapes are those of published studies of
 * volunteers' computers and of rentals, the values are chosen. A tenth has 12 hours a day of surplus
 * electricity; of the others 15 % are steady (Weibull 0.6, 48 h), 40 % have declared a nightly schedule, which
 * they keep with noise, 30 % are the gaps between rentals (lognormal, median 2 h, 4 h apart), and 15 %
 * come and go (Weibull 0.5, 1.2 h).
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Owners that have a second computer. */
const SECOND_COMPUTER = 0.1;

export interface Stay {
  readonly key: SessionKey;
  readonly owner: Ss58Address;
  /** Of the median computer; lognormal with a sigma of 0.5. */
  readonly speed: number;
  /** Of the simulation's clock, ms. */
  readonly from: number;
  readonly to: number;
  /** What its owner has said; it may end earlier or later. Null: nothing. */
  readonly declaredEnd: number | null;
}

type Span = Pick<Stay, "from" | "to" | "declaredEnd">;

/** All stays of `count` computers that begin before `until`, in the order of their beginnings. */
export function stays(count: number, until: number, seed: number): Stay[] {
  const random = new Random(seed);
  const all: Stay[] = [];
  let owner = "";
  for (let id = 0; id < count; id++) {
    if (random.next() >= SECOND_COMPUTER) owner = `owner-${id}`;
    const speed = random.lognormal(1, 0.5);
    for (const [index, span] of spansOf(random, until).entries()) {
      const key = `node-${id}-${index}` as SessionKey;
      all.push({ key, owner: owner as Ss58Address, speed, ...span });
    }
  }
  return all.sort((a, b) => a.from - b.from);
}

function spansOf(random: Random, until: number): Span[] {
  if (random.next() < 0.1) return daily(random, until, 12 * HOUR, 0);
  const kind = random.next();
  if (kind < 0.15)
    return alternating(
      random,
      until,
      () => random.weibull(0.6, 48 * HOUR),
      () => random.exponential(8 * HOUR),
    );
  if (kind < 0.55) return daily(random, until, 8 * HOUR, 0.1);
  if (kind < 0.85)
    return alternating(
      random,
      until,
      () => random.lognormal(2 * HOUR, 0.8),
      () => random.lognormal(4 * HOUR, 0.8),
    );
  return alternating(
    random,
    until,
    () => random.weibull(0.5, 1.2 * HOUR),
    () => random.weibull(0.5, 2.4 * HOUR),
  );
}

/** A window of each day, declared; it begins and ends with noise, may end early, and may not be kept at all. */
function daily(random: Random, until: number, length: number, missed: number): Span[] {
  const spans: Span[] = [];
  const start = random.next() * DAY;
  for (let day = start - DAY; day < until; day += DAY) {
    const noise = missed === 0 ? 0 : 20 * MINUTE;
    const from = day + noise * random.normal();
    const declaredEnd = day + length;
    const isEarly = missed > 0 && random.next() < 0.15;
    const to = isEarly ? from + random.next() * length : declaredEnd + noise * random.normal();
    const isMissed = random.next() < missed;
    if (!isMissed && to > Math.max(0, from) && from < until)
      spans.push({ from: Math.max(0, from), to, declaredEnd });
  }
  return spans;
}

function alternating(random: Random, until: number, on: () => number, off: () => number): Span[] {
  const spans: Span[] = [];
  // In the middle of something when the clock begins.
  let at = -random.next() * (on() + off());
  while (at < until) {
    const to = at + Math.max(MINUTE, on());
    if (to > 0) spans.push({ from: Math.max(0, at), to, declaredEnd: null });
    at = to + Math.max(MINUTE, off());
  }
  return spans;
}
