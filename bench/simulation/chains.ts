import type { Stay } from "./homes.ts";
import { EventQueue } from "./event-queue.ts";

/**
 * What training came to when each stage had one holder: whole chains of as many computers as there are stages,
 * formed in the order of arrival, at the speed of their slowest. When one leaves, its chain stands still
 * until a spare one has loaded; without a spare it dissolves. Nothing of a step is counted as lost, in its favour.
 *
 * @returns work that was done, of what all computers could have done
 */
export function chainsGoodput(
  stays: readonly Stay[],
  options: {
    readonly stages: number;
    readonly until: number;
    readonly loadMs: number;
    readonly settledAfter: number;
  },
): number {
  const { stages, until, loadMs, settledAfter } = options;
  const queue = new EventQueue<Happening>();
  for (const stay of stays) queue.push(stay.from, { type: "comes", stay });
  const spares = new Set<Stay>();
  const places = new Map<Stay, { readonly chain: Chain; readonly slot: Slot }>();
  let now = 0;
  let online = 0;
  let pace = 0;
  let able = 0;
  let done = 0;
  const changed = (chain: Chain): void => {
    pace -= chain.pace;
    chain.pace = Math.min(
      ...chain.slots.map(({ stay, from }) => (stay === null || from > now ? 0 : stay.speed)),
    );
    pace += chain.pace;
  };
  const take = (chain: Chain, slot: Slot, stay: Stay): void => {
    spares.delete(stay);
    places.set(stay, { chain, slot });
    slot.stay = stay;
    slot.from = now + loadMs;
    queue.push(slot.from, { type: "loaded", chain });
  };
  const fill = (): void => {
    if (spares.size < stages) return;
    const chain: Chain = { pace: 0, slots: Array.from({ length: stages }, () => ({ stay: null, from: 0 })) };
    const members = [...spares];
    for (const [stage, slot] of chain.slots.entries()) {
      const stay = members[stage];
      if (stay !== undefined) take(chain, slot, stay);
    }
  };
  for (let next = queue.pop(); next !== undefined && next.at <= until; next = queue.pop()) {
    if (now >= settledAfter) {
      able += online * (next.at - now);
      done += pace * stages * (next.at - now);
    }
    now = next.at;
    const { event } = next;
    if (event.type === "loaded") changed(event.chain);
    else if (event.type === "comes") {
      online += event.stay.speed;
      spares.add(event.stay);
      queue.push(event.stay.to, { type: "goes", stay: event.stay });
      fill();
    } else {
      online -= event.stay.speed;
      spares.delete(event.stay);
      const place = places.get(event.stay);
      if (place === undefined) continue;
      const [spare] = spares;
      if (spare !== undefined) take(place.chain, place.slot, spare);
      // Nobody to take its place: the others are spares for other chains.
      else
        for (const slot of place.chain.slots) {
          if (slot.stay !== null && slot.stay !== event.stay) spares.add(slot.stay);
          if (slot.stay !== null) places.delete(slot.stay);
          slot.stay = null;
        }
      places.delete(event.stay);
      changed(place.chain);
      fill();
    }
  }
  return done / able;
}

interface Slot {
  stay: Stay | null;
  /** When it has loaded. */
  from: number;
}

interface Chain {
  readonly slots: readonly Slot[];
  /** Of its slowest; 0: one is missing. */
  pace: number;
}

type Happening =
  | { readonly type: "comes" | "goes"; readonly stay: Stay }
  | { readonly type: "loaded"; readonly chain: Chain };
