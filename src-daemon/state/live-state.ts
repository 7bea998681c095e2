import type { RunView } from "../../src-protocol/api.ts";
import type { FailureBody } from "../../src-protocol/failure.ts";
import type { AskedOperator } from "../../src-protocol/go-back.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { LoadingProgress } from "../../src-protocol/loading.ts";
import { explain } from "../../src-protocol/reason-text.ts";
import type { ActivityKind, DaemonState } from "../../src-protocol/state.ts";
import { situationText } from "../../src-protocol/why.ts";
import { activityBetween } from "./activity.ts";
import { EMBEDDED_CHAIN, nothingEarned } from "./initial-state.ts";
import type { KeptState } from "../children/kept-child.ts";
import { nodePicture, runState } from "./run-picture.ts";
import { StateStore } from "./state-store.ts";
import type { WorkerPhase } from "../supervision/worker-process.ts";

type Asset = DaemonState["earnings"]["asset"];

export interface LiveStatePorts {
  now(): number;
  /** Each line of the activity list, for the log too. */
  onActivity(text: string): void;
}

/** The state tree as the daemon's parts feed it: each tells what it knows, this says what it means. */
export class LiveState {
  readonly store: StateStore;
  readonly #ports: LiveStatePorts;
  readonly #problems = new Map<string, FailureBody>();
  #silent = false;
  #reading: LoadingProgress | null = null;
  #listener: () => void = () => undefined;
  #neighbours: ReadonlySet<Ss58Address> = new Set();
  #worker: { process: KeptState; phase: WorkerPhase | null } = { process: { kind: "stopped" }, phase: null };

  constructor(initial: DaemonState, ports: LiveStatePorts) {
    this.store = new StateStore(initial, ports.now);
    this.#ports = ports;
  }

  get(): DaemonState {
    return this.store.get();
  }

  /** Called after each change, of whatever part. */
  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  /** The daemon is ending: what its parts still report is true, but no news to anybody. */
  silence(): void {
    this.#silent = true;
    this.#change((state) => this.#withNode(state));
  }

  note(kind: ActivityKind, text: string): void {
    this.#ports.onActivity(text);
    this.store.note(kind, text);
  }

  policy(
    said: Pick<DaemonState, "decision" | "rules" | "override"> & Partial<Pick<DaemonState, "policy">>,
  ): void {
    this.#change((state) => this.#withNode({ ...state, ...said }));
  }

  /** Another network from now on: of the one before it nothing is shown any more. */
  begin(network: DaemonState["network"], neighbours: ReadonlySet<Ss58Address>, asset: Asset): void {
    this.#neighbours = neighbours;
    this.#problems.clear();
    this.#worker = { process: { kind: "stopped" }, phase: null };
    this.#change((state) =>
      this.#withNode({
        ...state,
        network,
        run: null,
        problem: null,
        earnings: nothingEarned(state.node.hotkey, asset),
        chain: state.chain.source === "embedded" ? EMBEDDED_CHAIN : state.chain,
      }),
    );
  }

  /** The hotkey that this computer works with from now on. */
  hotkey(hotkey: Ss58Address): void {
    this.#change((state) => ({
      ...state,
      node: { ...state.node, hotkey },
      earnings: nothingEarned(hotkey, state.earnings.asset),
    }));
  }

  /** The networks that are remembered, and an invitation that waits for a yes. */
  known(known: DaemonState["network"]["known"], offer: DaemonState["network"]["offer"]): void {
    this.#change((state) => ({ ...state, network: { ...state.network, known, offer } }));
  }

  /** What the network that is served from here asks its operator; null: nothing. */
  asked(asked: AskedOperator | null): void {
    this.#change((state) => {
      const next = { ...state };
      if (asked === null) delete next.asked;
      else next.asked = asked;
      return next;
    });
  }

  links(links: DaemonState["network"]["links"]): void {
    this.#change((state) => ({ ...state, network: { ...state.network, links } }));
  }

  traffic(traffic: DaemonState["traffic"]): void {
    this.#change((state) => ({ ...state, traffic }));
  }

  networkAway(away: DaemonState["network"]["away"]): void {
    this.#change((state) => this.#withNode({ ...state, network: { ...state.network, away } }));
  }

  networkAt(url: string | null): void {
    this.#change((state) => ({ ...state, network: { ...state.network, url, connected: false } }));
  }

  networkConnected(connected: boolean): void {
    this.#change((state) => ({ ...state, network: { ...state.network, connected } }));
  }

  run(view: RunView): void {
    this.#change((state) => ({
      ...state,
      run: runState(view, state.node.hotkey, this.#neighbours),
      chain:
        state.chain.source === "embedded"
          ? { ...EMBEDDED_CHAIN, connected: true, block: view.block }
          : state.chain,
    }));
  }

  chain(chain: DaemonState["chain"]): void {
    this.#change((state) => ({ ...state, chain }));
  }

  earnings(earnings: DaemonState["earnings"]): void {
    this.#change((state) => ({ ...state, earnings }));
  }

  /** How far the reading of the owner's data is; null: nothing is read. */
  reading(progress: LoadingProgress | null): void {
    this.#reading = progress;
    this.#change((state) => this.#withNode(state));
  }

  /** This computer's own worker: its process, and what it says it is doing. */
  worker(process: KeptState, phase: WorkerPhase | null): void {
    this.#worker = { process, phase };
    this.#change((state) => this.#withNode(state));
  }

  /** What is wrong with one process now; null: that is over. The oldest problem is shown. */
  problem(process: string, problem: FailureBody | null): void {
    if (problem === null) this.#problems.delete(process);
    else this.#problems.set(process, problem);
    const [oldest = null] = this.#problems.values();
    this.#change((state) => (state.problem === oldest ? state : { ...state, problem: oldest }));
  }

  #withNode(state: DaemonState): DaemonState {
    const paused = state.decision.action === "pause" ? explain(state.decision, this.#ports.now()) : null;
    const { process, phase } = this.#worker;
    const node = nodePicture(state.node, paused, process, phase, this.#reading, this.#silent);
    return { ...state, node };
  }

  #change(to: (state: DaemonState) => DaemonState): void {
    const before = this.store.get();
    this.store.update(to);
    this.#listener();
    if (this.#silent) return;
    const after = this.store.get();
    // A pause is told with its end, as every surface tells it.
    const reason =
      after.decision.action === "pause"
        ? situationText(after, this.#ports.now())
        : explain(after.decision, this.#ports.now());
    for (const { kind, text } of activityBetween(before, after, reason)) this.note(kind, text);
  }
}
