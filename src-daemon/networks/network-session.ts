import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { Country } from "../../src-protocol/countries.ts";
import type { Limits } from "../../src-protocol/rules.ts";
import type { ExecutionProvider } from "../../src-protocol/providers.ts";
import type { DaemonState, HistoryPoint } from "../../src-protocol/state.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { ClaimOutcome } from "../../src-protocol/state.ts";
import { assetWord, formatTao } from "../../src-protocol/units.ts";
import { Accounts } from "../earnings/accounts.ts";
import type { AccountsOptions } from "../earnings/accounts.ts";
import { EpochClaims } from "../earnings/epoch-claims.ts";
import { clockProblem } from "../earnings/clock-problem.ts";
import { EarningsRound } from "../earnings/earnings-round.ts";
import type { LiveState } from "../state/live-state.ts";
import type { Log } from "../data-folder/log-file.ts";
import { NetworkWatch } from "./network-watch.ts";
import type { ProcessList } from "../supervision/process-list.ts";
import type { Reach } from "./reach.ts";
import { Supervisor } from "../supervision/supervisor.ts";
import type { Held, SupervisorOptions } from "../supervision/supervisor.ts";
import type { OtherComputers } from "../../src-protocol/own-computers.ts";
import type { Member, WorkerSettings } from "../supervision/worker-process.ts";

/** All that differs between one network and another. */
export interface SessionPlan {
  /** As it is shown before anything of it has answered. */
  readonly view: DaemonState["network"];
  readonly asset: DaemonState["earnings"]["asset"];
  readonly reach: Reach;
  readonly claimFolder: string;
  /** Mine first; then mine on other cards, and the neighbours that run here too. */
  readonly members: readonly [Member, ...Member[]];
  readonly supervised: SupervisorOptions["network"];
  readonly worker: WorkerSettings;
  /** What its owner should hear before it begins; null: nothing. */
  readonly note?: string | null;
}

export interface SessionPorts {
  readonly live: LiveState;
  readonly payoutColdkey: Ss58Address;
  readonly log: Log;
  onPoint(point: HistoryPoint): void;
  /** What was earned, as the network says it. */
  onEarnings(earnings: DaemonState["earnings"]): void;
  onProviderFault(provider: ExecutionProvider, ending: string): void;
  onBytes(sent: number, received: number): void;
  onProcesses(list: ProcessList): void;
  /** Hotkeys of before. */
  readonly former: Omit<NonNullable<AccountsOptions["former"]>, "id">;
}

/** The active network: its processes here, what is watched of it, and what was earned there. */
export class NetworkSession {
  readonly accounts: Accounts;
  readonly #plan: SessionPlan;
  readonly #live: LiveState;
  readonly #earnings: EarningsRound;
  readonly #epochs: EpochClaims;
  readonly #watch: NetworkWatch;
  readonly #supervisor: Supervisor;

  constructor(plan: SessionPlan, ports: SessionPorts) {
    const { live, log } = ports;
    const [mine, ...others] = plan.members;
    const own = mine.hotkey;
    this.#plan = plan;
    this.#live = live;
    this.accounts = new Accounts({
      network: plan.worker.network,
      own,
      neighbours: others.map(({ hotkey }) => hotkey).filter((hotkey) => hotkey !== own),
      payoutColdkey: ports.payoutColdkey,
      claimFolder: plan.claimFolder,
      url: () => live.get().network.url,
      reach: plan.reach,
      former: { ...ports.former, id: plan.view.id ?? "" },
    });
    this.#epochs = new EpochClaims({
      claim: () => this.claim(),
      failed(error) {
        if (!(error instanceof Failure && error.code === "nothing-to-claim"))
          log.warn({ err: error }, "the epoch's claim could not be made");
      },
      now: Date.now,
      random: Math.random,
    });
    this.#earnings = new EarningsRound({
      ask: () => this.accounts.earnings(),
      tell: (answer) => {
        const { heard, clockProblem: problem } = this.accounts;
        live.problem("clock", problem);
        if (heard !== null) this.#epochs.heard(heard);
        live.earnings({ ...answer, nextClaimAt: this.#epochs.nextAt });
        ports.onEarnings(answer);
      },
      failed(error) {
        log.debug({ err: error }, "earnings could not be read");
        const clock = clockProblem(error);
        // Of anything else is known only that it is not answered now: the clock may be wrong still.
        if (clock !== null) live.problem("clock", clock);
      },
    });
    this.#watch = new NetworkWatch(
      {
        onConnected: (connected) => {
          live.networkConnected(connected);
          // What was earned before is not nothing until the first step of today.
          if (connected) this.#earnings.now();
        },
        onAddress: (url) => this.#supervisor.moved(url),
        onAway(away) {
          // The embedded network is started again by ourselves: that is told as what it is.
          if (plan.supervised.kind === "remote") live.networkAway(away);
        },
        onRun: (view) => {
          live.run(view);
          this.#earnings.due();
        },
        onPoint: (point) => ports.onPoint(point),
      },
      plan.reach,
    );
    this.#supervisor = new Supervisor({
      network: plan.supervised,
      worker: { ...plan.worker, now: this.accounts.networkNow },
      members: plan.members,
      log,
      events: {
        onNetwork: (url) => {
          live.networkAt(url);
          this.#watch.follow(url, plan.supervised.kind === "remote" ? plan.supervised.others : []);
        },
        onMember(member, state, phase) {
          if (member === mine) live.worker(state, phase);
        },
        onLinks: (links) => live.links(links),
        onTraffic: (traffic) => live.traffic(traffic),
        onBytes: (sent, received) => ports.onBytes(sent, received),
        onProviderFault: (provider, ending) => ports.onProviderFault(provider, ending),
        onProblem: (name, problem) => live.problem(name, problem),
        onNote: (text) => live.note("computer", text),
        onProcesses: (list) => ports.onProcesses(list),
      },
    });
  }

  /** Rejects with a `Failure` when it cannot run here. */
  start(): Promise<void> {
    const { view, members, asset, note = null } = this.#plan;
    const [{ hotkey: own }] = members;
    const neighbours = members
      .map(({ hotkey }) => hotkey.address)
      .filter((address) => address !== own.address);
    this.#live.begin(view, new Set(neighbours), asset);
    if (note !== null) this.#live.note("work", note);
    return this.#supervisor.start();
  }

  setWorking(working: boolean, reason: string): void {
    this.#supervisor.setWorking(working, reason);
  }

  /** What the network may know of where this computer stands; null: nothing. */
  standsIn(country: Country | null): void {
    this.#supervisor.standsIn(country);
  }

  endIn(inMs: number | null): void {
    this.#supervisor.endIn(inMs);
  }

  limit(limits: Limits): void {
    const { uploadMbit, downloadMbit } = limits;
    this.#supervisor.limit({ uploadMbit, downloadMbit });
    this.#supervisor.hold(limits);
  }

  /** What its workers are held to, and what they use. */
  held(): Held | null {
    return this.#supervisor.held();
  }

  /** What was put aside is tried again at once. */
  retry(): void {
    this.#supervisor.retry();
  }

  use(provider: ExecutionProvider): void {
    this.#supervisor.use(provider);
  }

  /** Claims all that has accrued, and says so. */
  async claim(): Promise<ClaimOutcome> {
    const outcome = await this.accounts.claim();
    for (const { amountRao, asset, status } of [outcome, ...outcome.others])
      this.#live.note(
        "money",
        `${formatTao(BigInt(amountRao))} ${assetWord(asset)} were claimed: ${status}.`,
      );
    this.#earnings.now();
    return outcome;
  }

  /** Resolves when no process of it is left. */
  async stop(reason: string): Promise<void> {
    this.#earnings.stop();
    this.#epochs.stop();
    await this.#supervisor.stop(reason);
    this.#watch.follow(null);
  }

  /** The owner's computers that work for this network, beside this one. */
  otherComputers(): Promise<OtherComputers> {
    return this.accounts.otherComputers(this.#supervisor.ownKey);
  }

  kill(): void {
    this.#supervisor.kill();
  }
}
