import { rmSync } from "node:fs";
import { explain } from "../src-protocol/reason-text.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import { monthOf } from "../src-protocol/zone.ts";
import type { ApiCaller } from "./api/api-tokens.ts";
import { KeepAwake } from "./awake/keep-awake.ts";
import { sandboxText } from "./children/sandbox.ts";
import type { Home } from "./data-folder/home.ts";
import type { HistoryKeeper } from "./history/history-keeper.ts";
import { NetworksStore } from "./networks/networks-store.ts";
import type { DaemonOptions } from "./options.ts";
import { policyShown, wantsAwake } from "./policy/policy-shown.ts";
import { CleanUp } from "./start/clean-up.ts";
import { startDeciding } from "./start/deciding.ts";
import type { Deciding } from "./start/deciding.ts";
import { FollowedChain } from "./start/followed-chain.ts";
import { openGround } from "./start/ground.ts";
import { openKeys } from "./start/keys.ts";
import { openApi } from "./start/opened-api.ts";
import { startWatching } from "./start/watching.ts";
import type { Watching } from "./start/watching.ts";
import { prepareWork } from "./start/working.ts";
import type { Working } from "./start/working.ts";

/** The running product: what `main.ts`, tests and the shell hold of it. */
export interface Daemon {
  readonly home: Home;
  readonly url: string;
  /** An address that signs one browser in. */
  loginUrl(): string;
  state(): DaemonState;
  /** The owner's yes or no: to the invitation that it was started with, else to beginning at all. */
  answer(yes: boolean): Promise<unknown>;
  /** Ends everything it has started, politely. */
  stop(): Promise<void>;
  /** Ends everything at once. */
  kill(): void;
  /** Resolves when it has ended, by `stop` or because a client asked it to quit. */
  readonly ended: Promise<void>;
}

/**
 * Starts the daemon. Throws a `Failure`, with nothing left running or locked, when it cannot; `interrupted`
 * when `wanted` is aborted while data is read.
 */
export async function runDaemon(options: DaemonOptions, wanted?: AbortSignal): Promise<Daemon> {
  const cleanUp = new CleanUp();
  try {
    return await assemble(options, cleanUp, wanted);
  } catch (error) {
    await cleanUp.run();
    throw error;
  }
}

async function assemble(
  options: DaemonOptions,
  cleanUp: CleanUp,
  wanted: AbortSignal | undefined,
): Promise<Daemon> {
  const { promise: ended, resolve: hasEnded } = Promise.withResolvers<void>();
  let ending: Promise<void> | null = null;
  const stop = (): Promise<void> => (ending ??= cleanUp.run().then(hasEnded));

  const ground = openGround(options, cleanUp);
  const { home } = ground;
  // The history begins after the policy, whose month it counts.
  const late: { history: HistoryKeeper | null } = { history: null };
  const monthBytes = (zone: string, at: number): number | null =>
    late.history?.bytesSince(monthOf(zone, at)) ?? null;
  const deciding = startDeciding(ground, monthBytes, cleanUp);
  const keys = await openKeys(ground, options, cleanUp);
  const networks = new NetworksStore(home.networksFile, (id) => home.joined(id).path);
  const chain = new FollowedChain(options.chain, keys.own);
  cleanUp.add(() => chain.stop());
  const watching = startWatching(ground, deciding, keys, networks, chain, cleanUp);
  late.history = watching.history;
  const working = prepareWork(ground, keys, watching, networks, options, cleanUp);
  const parts = { ground, deciding, own: keys.own, chain, watching, working, stop };
  const api = await openApi(parts, options, cleanUp);

  const { live, reading } = watching;
  const { membership, providers } = working;
  // First of all to be undone: until no process is left, clients are told how it goes.
  cleanUp.add(async () => {
    live.silence();
    await membership.stop("Train at Home is ending");
    rmSync(home.processesFile, { force: true });
  });
  cleanUp.add(() => reading.stop());
  wanted?.addEventListener("abort", () => reading.stop(), { once: true });
  deciding.policy.onRunEnded((over, byItself) => {
    api.agents.giveBack(over);
    if (byItself && over.thenQuit === true) void stop();
  });
  const obeyed = obedience(deciding, watching, working, cleanUp);
  // While the first network starts, which may mean reading data for hours, the owner steers that already.
  const heard = deciding.policy.onDecision(obeyed.whileStarting);
  working.asked.start();
  await membership.start(options.join).catch((error: unknown) => {
    // A client asked us to quit meanwhile: that is no failure.
    if (ending === null) throw error;
  });
  heard();
  if (ending === null) {
    obeyed.always();
    deciding.policy.onDecision(obeyed.always);
  }

  return {
    home,
    url: api.url,
    loginUrl: () => api.loginUrl(),
    state: () => live.get(),
    async answer(yes) {
      if (live.get().network.offer !== null)
        return api.handlers["network.answer"]({ consent: yes }, OWNER_AT_TERMINAL);
      const { rules } = deciding.policy;
      if (!yes) return null;
      return api.handlers["setup.begin"]({ rules, invitation: null, consent: true }, OWNER_AT_TERMINAL);
    },
    stop,
    kill() {
      providers.stop();
      membership.kill();
    },
    ended,
  };
}

const OWNER_AT_TERMINAL: ApiCaller = { who: "owner (terminal)", scopes: "owner" };

/** Carries the policy's decision to all that has to obey it. */
function obedience(
  { policy }: Deciding,
  { live, reading }: Watching,
  { membership, providers }: Working,
  cleanUp: CleanUp,
): { whileStarting(): void; always(): void } {
  const awake = new KeepAwake({ changed: () => showPolicy() });
  cleanUp.add(() => awake.close());
  const showPolicy = (): void => live.policy(policyShown(policy, awake, sandboxText()));
  return {
    whileStarting() {
      showPolicy();
      reading.decided();
    },
    always() {
      const { decision, limits } = policy;
      // First of all: whoever is paused lets the computer sleep at once.
      awake.want(wantsAwake(policy));
      showPolicy();
      reading.decided();
      membership.limit(limits);
      providers.working(decision.action === "run");
      membership.endAt(policy.endsAt);
      membership.standsIn(policy.rules.country);
      membership.setWorking(decision.action === "run", explain(decision, Date.now()));
    },
  };
}
