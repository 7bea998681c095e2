import { isCounted } from "../../src-protocol/control.ts";
import type { OrchestratorMessage } from "../../src-protocol/control.ts";
import { ControlLane } from "../../src-protocol/control-lane.ts";
import type { KeptLane } from "../../src-protocol/control-lane.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { apply } from "./network.ts";
import type { Effect, NetworkEvent, NetworkState } from "./network-state.ts";

/** All that changes what is known of a run: done again in the same order, it comes to the same. */
export type Happened =
  /** `lane`: of a node that has joined, how what is said and heard from now on is named. */
  | { readonly type: "event"; readonly event: NetworkEvent; readonly lane?: string }
  /** A counted message of the node that was no event. */
  | { readonly type: "heard"; readonly key: SessionKey }
  | { readonly type: "acknowledged"; readonly key: SessionKey; readonly count: number }
  /** So late it is. */
  | { readonly type: "beat"; readonly now: number; readonly date: number };

export interface Outcome {
  readonly effects: readonly Effect[];
  /** To be said, in this order. */
  readonly said: readonly { readonly to: SessionKey; readonly text: string }[];
  /** A node that should be told how much was heard of it. */
  readonly untold: SessionKey | null;
}

export interface KeptMemory {
  readonly state: NetworkState;
  readonly lanes: ReadonlyMap<SessionKey, KeptLane>;
  readonly now: number;
  readonly date: number;
}

const NOTHING: Outcome = { effects: [], said: [], untold: null };

/** What a process has to know of its run: the network, and what was said to each of its nodes and heard of it. */
export class RunMemory {
  state: NetworkState;
  readonly lanes: Map<SessionKey, ControlLane>;
  /** When the last thing happened. */
  now: number;
  date: number;
  readonly #textOf: (message: OrchestratorMessage) => string;

  constructor({ state, lanes, now, date }: KeptMemory, textOf: (message: OrchestratorMessage) => string) {
    this.state = state;
    this.lanes = new Map([...lanes].map(([key, lane]) => [key, ControlLane.from(lane)]));
    this.now = now;
    this.date = date;
    this.#textOf = textOf;
  }

  toKept(): KeptMemory {
    const { state, now, date } = this;
    return { state, now, date, lanes: new Map([...this.lanes].map(([key, lane]) => [key, lane.toKept()])) };
  }

  take(happened: Happened): Outcome {
    switch (happened.type) {
      case "event":
        return this.#event(happened.event, happened.lane ?? "");
      case "heard":
        return { ...NOTHING, untold: this.#heard(happened.key) };
      case "acknowledged":
        this.lanes.get(happened.key)?.acknowledge(happened.count);
        return NOTHING;
      case "beat":
        this.now = happened.now;
        this.date = happened.date;
        return NOTHING;
    }
  }

  #event(event: NetworkEvent, lane: string): Outcome {
    this.now = event.now;
    this.date = event.date;
    if (event.type === "joined") this.lanes.set(event.sessionKey, new ControlLane(lane));
    if (event.type === "left") this.lanes.delete(event.sessionKey);
    const isHeard = event.type === "message" && isCounted(event.message);
    const untold = isHeard ? this.#heard(event.sessionKey) : null;
    const { state, effects } = apply(event, this.state);
    this.state = state;
    const said = effects.flatMap((effect) => {
      if (effect.type !== "send") return [];
      const { to, message } = effect;
      const text = this.#textOf(message);
      // Whoever is not connected now hears it when it is back.
      if (isCounted(message)) this.lanes.get(to)?.said(text);
      return [{ to, text }];
    });
    return { effects, said, untold };
  }

  #heard(key: SessionKey): SessionKey | null {
    return this.lanes.get(key)?.hears() === true ? key : null;
  }
}
