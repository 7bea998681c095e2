import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { explain } from "../src-protocol/reason-text.ts";
import type { DaemonState, HistoryPoint } from "../src-protocol/state.ts";
import { Accounts } from "./accounts.ts";
import { startApiServer } from "./api-server.ts";
import { readBrowserMemory, writeBrowserMemory } from "./browser-memory.ts";
import { chainClock } from "./chain-connection.ts";
import { EarningsRound } from "./earnings-round.ts";
import { makeHandlers } from "./handlers.ts";
import { homeFailure, openHome } from "./home.ts";
import type { Home } from "./home.ts";
import { EMBEDDED_CHAIN, initialState } from "./initial-state.ts";
import { LiveState } from "./live-state.ts";
import { lockHome } from "./lock.ts";
import { openLog } from "./log-file.ts";
import { NetworkWatch } from "./network-watch.ts";
import type { DaemonOptions } from "./options.ts";
import { PolicyKeeper } from "./policy/policy-keeper.ts";
import { writePrivateFile } from "./private-file.ts";
import { writeProcessList } from "./process-list.ts";
import { readProvidersFile, writeProvidersFile } from "./providers-file.ts";
import { probedMachine } from "./providers-machine.ts";
import { PROBE_MS, PROBE_SCRIPT, probeProvider } from "./providers-probe.ts";
import { Providers } from "./providers.ts";
import { runJob } from "./run-job.ts";
import { EMBEDDED_NETWORK, threadsPerWorker } from "./run-plan.ts";
import { SignIn } from "./sign-in.ts";
import { Supervisor } from "./supervisor.ts";
import { VERSION } from "./version.ts";
import type { Member } from "./worker-process.ts";
import { openOrCreateHotkey, payoutAddress } from "./wallet.ts";
import type { Hotkey } from "./wallet.ts";

/** Test units: one for 1e14 counted floating-point operations. */
const RAO_PER_TERAFLOP = "10000000";
const EMBEDDED_NETUID = 0;
const HOTKEY_NAME = { wallet: "default", hotkey: "default" };

/** The running product: what `main.ts`, tests and the shell hold of it. */
export interface Daemon {
  readonly home: Home;
  readonly url: string;
  /** An address that signs one browser in. */
  loginUrl(): string;
  state(): DaemonState;
  /** Ends everything it has started, politely. */
  stop(): Promise<void>;
  /** Ends everything at once. */
  kill(): void;
  /** Resolves when it has ended, by `stop` or because a client asked it to quit. */
  readonly ended: Promise<void>;
}

/** Starts the daemon. Throws a `Failure`, with nothing left running or locked, when it cannot. */
export async function runDaemon(options: DaemonOptions): Promise<Daemon> {
  const cleanUp: (() => Promise<void> | void)[] = [];
  const undo = async (): Promise<void> => {
    for (const action of cleanUp.splice(0).reverse()) await action();
  };
  try {
    return await assemble(options, cleanUp, undo);
  } catch (error) {
    await undo();
    throw error;
  }
}

async function assemble(
  options: DaemonOptions,
  cleanUp: (() => Promise<void> | void)[],
  undo: () => Promise<void>,
): Promise<Daemon> {
  const home = openHome(options.home);
  const lock = lockHome(home);
  cleanUp.push(() => lock.release());
  const { log, close } = openLog(home.logFile);
  cleanUp.push(close);
  log.info({ version: VERSION, node: process.version, options }, "start");

  const policy = new PolicyKeeper({ folder: home.path });
  cleanUp.push(() => policy.close());
  const job = runJob(options, home.corpus, options.neighbours + 1);
  const { own, payoutColdkey, neighbours, members, warnings } = await openKeys(home, options.neighbours);
  for (const warning of warnings) log.warn(warning);
  const chain = options.chain === null ? null : chainClock({ url: options.chain, payout: payoutColdkey });
  if (chain !== null) cleanUp.push(() => chain.stop());

  const live = new LiveState(
    initialState({
      version: VERSION,
      startedAt: Date.now(),
      dataFolder: home.path,
      hotkey: own.address,
      policy: { decision: policy.decision, rules: policy.rules, override: policy.override },
      neighbours: neighbours.length,
      chain: chain?.state() ?? EMBEDDED_CHAIN,
    }),
    {
      neighbours: new Set(neighbours.map(({ address }) => address)),
      now: Date.now,
      onActivity: (text) => log.info(text),
    },
  );
  chain?.onChange((state) => live.chain(state));

  const accounts = new Accounts({
    network: EMBEDDED_NETWORK,
    netuid: EMBEDDED_NETUID,
    own,
    neighbours,
    payoutColdkey,
    claimFolder: home.claims,
    url: () => live.get().network.url,
  });
  const earnings = new EarningsRound({
    ask: () => accounts.earnings(),
    tell: (answer) => live.earnings(answer),
    failed: (error) => log.debug({ err: error }, "earnings could not be read"),
  });
  cleanUp.push(() => earnings.stop());

  const points = new Set<(point: HistoryPoint) => void>();
  const watch = new NetworkWatch({
    onConnected(connected) {
      live.networkConnected(connected);
      // What was earned before is not nothing until the first step of today.
      if (connected) earnings.now();
    },
    onRun(view) {
      live.run(view);
      earnings.due();
    },
    onPoint(point) {
      for (const listener of points) listener(point);
    },
  });
  cleanUp.push(() => watch.follow(null));

  const threads = threadsPerWorker(availableParallelism(), members.length);
  const providers: Providers = new Providers({
    machine: options.probe ? probedMachine(threads) : null,
    read: () => readProvidersFile(home.providersFile),
    write: (file) => writeProvidersFile(home.providersFile, file),
    probe(provider, signal) {
      const onLine = (line: string): void => log.debug({ process: `probe of ${provider}` }, line);
      return probeProvider({ script: PROBE_SCRIPT, provider, threads, timeoutMs: PROBE_MS, onLine }, signal);
    },
    onProvider: (provider) => supervisor.use(provider),
    onNote: (text) => live.note(text),
    onFault: (error) => log.warn({ err: error }, "the providers could not be tested"),
    now: Date.now,
  });
  cleanUp.push(() => providers.stop());

  const { promise: ended, resolve: hasEnded } = Promise.withResolvers<void>();
  let ending: Promise<void> | null = null;
  const stop = (): Promise<void> => (ending ??= undo().then(hasEnded));

  const memory = readBrowserMemory(home.browserFile);
  const signIn = new SignIn({ cookieSecret: memory.cookieSecret, dataFolder: home.path, now: Date.now });
  const api = await startApiServer({
    signIn,
    store: live.store,
    bundle: options.bundle,
    port:
      options.port === null || options.port === 0
        ? { kind: "likely", number: options.port ?? memory.port }
        : { kind: "exact", number: options.port },
    handlers: makeHandlers({
      policy,
      accounts,
      providers,
      state: () => live.get(),
      note: (text) => live.note(text),
      refreshEarnings: () => earnings.now(),
      loginUrl: () => api.loginUrl(),
      // The answer goes out first.
      quit: () => void setTimeout(() => void stop(), 50),
    }),
    onPoint(listener) {
      points.add(listener);
      return () => void points.delete(listener);
    },
  });
  cleanUp.push(async () => {
    rmSync(home.apiFile, { force: true });
    await api.close();
  });
  remember(home, { ...memory, port: api.port }, { url: api.url, token: signIn.bearer, pid: process.pid });

  const supervisor = new Supervisor({
    orchestrator: {
      network: EMBEDDED_NETWORK,
      folder: home.network,
      ...job,
      raoPerTeraflop: RAO_PER_TERAFLOP,
      payouts: [{ hotkey: own.address, coldkey: payoutColdkey }],
    },
    worker: { network: EMBEDDED_NETWORK, access: null, threads },
    members,
    log,
    events: {
      onNetwork(url) {
        live.networkAt(url);
        watch.follow(url);
      },
      onMember(member, state, phase) {
        if (member.hotkey === own) live.worker(state, phase);
      },
      onProviderFault: (provider, ending) => providers.trainingFailed(provider, ending),
      onProblem: (name, problem) => live.problem(name, problem),
      onNote: (text) => live.note(text),
      onProcesses: (list) => writeProcessList(home.processesFile, list),
    },
  });
  // First of all to be undone: until no process is left, clients are told how it goes.
  cleanUp.push(async () => {
    live.silence();
    await supervisor.stop("Train at Home is ending");
    rmSync(home.processesFile, { force: true });
  });

  const obey = (): void => {
    const { decision, rules, override } = policy;
    live.policy({ decision, rules, override });
    providers.working(decision.action === "run");
    supervisor.setWorking(decision.action === "run", explain(decision, Date.now()));
  };
  await supervisor.start().catch((error: unknown) => {
    // A client asked us to quit meanwhile: that is no failure.
    if (ending === null) throw error;
  });
  if (ending === null) {
    obey();
    policy.onDecision(obey);
  }

  return {
    home,
    url: api.url,
    loginUrl: () => api.loginUrl(),
    state: () => live.get(),
    stop,
    kill() {
      providers.stop();
      supervisor.kill();
    },
    ended,
  };
}

interface Keys {
  readonly own: Hotkey;
  readonly payoutColdkey: Hotkey["address"];
  readonly neighbours: readonly Hotkey[];
  /** Mine first. */
  readonly members: readonly Member[];
  readonly warnings: readonly string[];
}

/** The owner's hotkey, and one for each neighbour process: it earns for itself. */
async function openKeys(home: Home, count: number): Promise<Keys> {
  const place = { root: home.wallets, ...HOTKEY_NAME };
  const own = await openOrCreateHotkey(place);
  const payoutColdkey = await payoutAddress(place, own);
  const members: Member[] = [{ name: "worker", hotkey: own, folder: home.worker }];
  for (let number = 1; number <= count; number += 1) {
    const { wallets, worker } = home.neighbour(number);
    const hotkey = await openOrCreateHotkey({ root: wallets, ...HOTKEY_NAME });
    members.push({ name: `neighbour ${number}`, hotkey, folder: worker });
  }
  const neighbours = members.slice(1).map(({ hotkey }) => hotkey);
  return { own, payoutColdkey, neighbours, members, warnings: own.warnings };
}

function remember(
  home: Home,
  memory: Parameters<typeof writeBrowserMemory>[1],
  api: { url: string; token: string; pid: number },
): void {
  try {
    writeBrowserMemory(home.browserFile, memory);
    writePrivateFile(home.apiFile, JSON.stringify(api));
  } catch (error) {
    throw homeFailure(home.path, error);
  }
}
