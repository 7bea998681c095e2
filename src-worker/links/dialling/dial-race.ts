import { Failure, failureBody } from "../../../src-protocol/failure.ts";
import type { Candidate } from "../candidate.ts";
import type { LinkClock } from "../link-clock.ts";
import type { Link } from "../link.ts";
import { decide, onDial, planDial, roadName } from "./dial-plan.ts";
import type { DialState, DialWishes, Road } from "./dial-plan.ts";

export interface RacePorts {
  dial(road: Road, signal: AbortSignal): Promise<Candidate>;
  readonly clock: LinkClock;
}

export interface Won {
  readonly link: Link;
  readonly road: Road;
  readonly dialMs: number;
  /** What was tried and did not come first, with the reason if there is one. */
  readonly lost: readonly { readonly road: Road; readonly why: string | null }[];
  /** In words for people, for as long as the link's path is no better; null: it cannot be better. */
  readonly why: () => string | null;
}

/** Carries out the plan: starts dials, takes the best, drops the others. Rejects with link-refused or link-aborted. */
export async function raceDials(
  wishes: DialWishes,
  withinMs: number,
  signal: AbortSignal,
  { dial, clock }: RacePorts,
): Promise<Won> {
  const startedAt = clock.now();
  const abort = new AbortController();
  const open = new Map<string, Candidate>();
  let state: DialState = planDial(wishes, startedAt, withinMs);
  let wake: () => void = () => {};
  const feed = (event: Parameters<typeof onDial>[0]): void => {
    state = onDial(event, state, clock.now());
    wake();
  };
  const begin = (road: Road): void => {
    const name = roadName(road);
    state = onDial({ type: "started", road: name }, state, clock.now());
    dial(road, abort.signal).then(
      (candidate) => {
        if (abort.signal.aborted) return candidate.drop();
        open.set(name, candidate);
        return feed({ type: "opened", road: name });
      },
      (error: unknown) => feed({ type: "failed", road: name, why: failureBody(error).message }),
    );
  };
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  try {
    for (;;) {
      if (signal.aborted)
        throw new Failure("link-aborted", "Dialling was given up, because it is no longer needed.");
      const { start, choose, givenUp, nextAt } = decide(state, clock.now());
      if (givenUp) throw new Failure("link-refused", sentenceOf(state));
      if (choose !== null) {
        const won = await take(choose);
        if (won !== null) return won;
        continue;
      }
      for (const road of start) begin(road);
      if (start.length > 0) continue;
      await new Promise<void>((resolve) => {
        const cancel =
          nextAt === null ? () => {} : clock.after(Math.max(1, nextAt - clock.now()), () => resolve());
        wake = () => {
          cancel();
          resolve();
        };
      });
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    abort.abort();
    for (const candidate of open.values()) candidate.drop();
  }

  async function take(road: Road): Promise<Won | null> {
    const name = roadName(road);
    const candidate = open.get(name);
    open.delete(name);
    try {
      if (candidate === undefined) throw new Error("it was closed again");
      const link = await candidate.choose();
      const lost = state.tries
        .filter((each) => roadName(each.road) !== name)
        .map((each) => ({ road: each.road, why: each.why }));
      const { why = () => null } = candidate;
      return { link, road, dialMs: clock.now() - startedAt, lost, why };
    } catch (error) {
      state = onDial({ type: "failed", road: name, why: failureBody(error).message }, state, clock.now());
      return null;
    }
  }
}

function sentenceOf({ tries }: DialState): string {
  if (tries.length === 0) return "There is no address at which it could be dialled.";
  const reasons = tries.map(({ road, why, state }) => {
    const what = road.by === "tls" ? `${road.address.host}:${road.address.port}` : road.by;
    return `${what}: ${why ?? (state === "open" ? "it did not prove who it is" : "no answer in time")}`;
  });
  return reasons.join("; ").slice(0, 1_000);
}
