import { existsSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { explain } from "../src-protocol/reason-text.ts";
import { monthOf } from "../src-protocol/zone.ts";
import type { ApiFile } from "../src-protocol/methods.ts";
import type { DaemonState, HistoryPoint } from "../src-protocol/state.ts";
import { startApiServer } from "./api/api-server.ts";
import { ApiTokens } from "./api/api-tokens.ts";
import type { ApiCaller } from "./api/api-tokens.ts";
import { AuditLog } from "./api/audit-log.ts";
import { readBrowserMemory, writeBrowserMemory } from "./api/browser-memory.ts";
import { localSocketPath } from "./api/local-socket.ts";
import { chainClock } from "./chain/chain-connection.ts";
import type { ChainClock } from "./chain/chain.ts";
import { makeHandlers } from "./api/handlers.ts";
import { HistoryKeeper } from "./history/history-keeper.ts";
import { FormerKeys, keyReplaced } from "./earnings/former-keys.ts";
import { DiskUse } from "./data-folder/disk-use.ts";
import { homeFailure, openHome } from "./data-folder/home.ts";
import type { Home } from "./data-folder/home.ts";
import { embeddedPlan } from "./runs/embedded-plan.ts";
import { EMBEDDED_CHAIN, embeddedNetwork, initialState } from "./state/initial-state.ts";
import { LiveState } from "./state/live-state.ts";
import { lockHome } from "./data-folder/lock.ts";
import { openLog } from "./data-folder/log-file.ts";
import { lookAt } from "./networks/look-at.ts";
import { Membership } from "./networks/membership.ts";
import { NetworkSession } from "./networks/network-session.ts";
import type { SessionPorts } from "./networks/network-session.ts";
import { NetworksStore } from "./networks/networks-store.ts";
import { ModelWriter } from "./runs/model-writer.ts";
import { DataReading } from "./runs/data-reading.ts";
import type { DaemonOptions } from "./options.ts";
import { SetUp } from "./data-folder/set-up.ts";
import { Agents } from "./agents/agents.ts";
import { KeepAwake } from "./awake/keep-awake.ts";
import { Finishing } from "./policy/finishing.ts";
import { PolicyKeeper } from "./policy/policy-keeper.ts";
import { Presence } from "./presence/presence-store.ts";
import { endOf, policyShown, wantsAwake } from "./policy/policy-shown.ts";
import { SystemZone } from "./policy/system-zone.ts";
import { writePrivateFile } from "./data-folder/private-file.ts";
import { writeProcessList } from "./supervision/process-list.ts";
import { readProvidersFile, writeProvidersFile } from "./providers/providers-file.ts";
import { probedMachine } from "./providers/providers-machine.ts";
import { PROBE_MS, PROBE_SCRIPT, probeProvider } from "./providers/providers-probe.ts";
import { Providers } from "./providers/providers.ts";
import { remotePlan } from "./networks/remote-plan.ts";
import { threadsPerWorker } from "./runs/run-plan.ts";
import { SignIn } from "./api/sign-in.ts";
import { VERSION } from "./version.ts";
import { passwordSource } from "./wallet/password-source.ts";
import { SignatureLog } from "./wallet/signature-log.ts";
import { askWallet } from "./wallet/wallet-process.ts";
import { OwnKey } from "./wallet/own-key.ts";
import { WalletDesk } from "./wallet/wallet-desk.ts";
import { loggedHotkey, openFormerHotkey } from "./wallet/wallet.ts";
import type { PasswordSource } from "./wallet/wallet.ts";

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
  const cleanUp: (() => Promise<void> | void)[] = [];
  const undo = async (): Promise<void> => {
    for (const action of cleanUp.splice(0).reverse()) await action();
  };
  try {
    return await assemble(options, cleanUp, undo, wanted);
  } catch (error) {
    await undo();
    throw error;
  }
}

async function assemble(
  options: DaemonOptions,
  cleanUp: (() => Promise<void> | void)[],
  undo: () => Promise<void>,
  wanted: AbortSignal | undefined,
): Promise<Daemon> {
  const home = openHome(options.home);
  const lock = lockHome(home);
  cleanUp.push(() => lock.release());
  const { log, close } = openLog(home.logFile);
  cleanUp.push(close);
  log.info({ version: VERSION, node: process.version, options }, "start");

  const setUp = new SetUp(home);
  if (options.yes) firstYes(home, setUp);
  const zone = new SystemZone();
  cleanUp.push(() => zone.close());
  const disk: DiskUse = new DiskUse(home.path, {
    wanted: () => policy.rules.diskMegabytes !== null,
    changed: () => policy.look(),
  });
  cleanUp.push(() => disk.stop());
  // The history begins after the policy, whose month it counts.
  const keeper: { history: HistoryKeeper | null } = { history: null };
  const policy = new PolicyKeeper({
    folder: home.path,
    zone: () => zone.name,
    begun: setUp.isDone,
    monthBytes: (where, at) => keeper.history?.bytesSince(monthOf(where, at)) ?? null,
    folderBytes: () => disk.bytes,
  });
  cleanUp.push(() => policy.close());
  zone.onChange(() => policy.look());
  policy.onDecision(() => disk.look());
  disk.look();
  const signatures = new SignatureLog(join(home.path, "signatures.jsonl"), Date.now);
  const own = await OwnKey.open(home.path, signatures, passwordOf(options));
  const formerKeys = new FormerKeys(join(home.path, "former-keys.json"), Date.now);
  cleanUp.push(() => formerKeys.save());
  for (const warning of own.warnings) log.warn(warning);
  const networks = new NetworksStore(home.networksFile, (id) => home.joined(id).path);
  const followChain = (): ChainClock | null =>
    options.chain === null ? null : chainClock({ url: options.chain, payout: own.payoutColdkey });
  let chain = followChain();
  cleanUp.push(() => chain?.stop());

  const live = new LiveState(
    initialState({
      version: VERSION,
      startedAt: Date.now(),
      dataFolder: home.path,
      hotkey: own.hotkey.address,
      policy: { decision: policy.decision, rules: policy.rules, override: policy.override },
      network: embeddedNetwork(0, networks.list()),
      chain: chain?.state() ?? EMBEDDED_CHAIN,
    }),
    { now: Date.now, onActivity: (text) => log.info(text) },
  );
  chain?.onChange((state) => live.chain(state));
  const replaced = keyReplaced(formerKeys.last(), own.hotkey.address);
  if (replaced !== null) live.note(replaced);

  const reading = new DataReading({
    isWorking: () => policy.decision.action === "run",
    show: (progress) => live.reading(progress),
    now: () => performance.now(),
  });
  const finishing = new Finishing({ state: () => live.get(), done: () => policy.stepFinished() });
  const history = new HistoryKeeper(home.historyFile, {
    state: () => live.get(),
    now: Date.now,
    steady: () => performance.now(),
    failed: (error) => log.warn({ err: error }, "the history of hours cannot be kept"),
    isNew: !existsSync(home.network),
  });
  keeper.history = history;
  cleanUp.push(() => history.stop());
  const presence = new Presence({
    store: history.store,
    now: Date.now,
    idleSeconds: () => policy.evidence.idleSeconds,
    allowed: () => policy.rules.learnHours,
    failed: (error) => log.warn({ err: error }, "when nobody is here cannot be kept"),
  });
  const learning = setInterval(() => presence.look(), LEARN_EVERY_MS).unref();
  cleanUp.push(() => clearInterval(learning));
  live.onChange(() => {
    history.look();
    finishing.look();
  });

  const points = new Set<(point: HistoryPoint) => void>();
  const ports: SessionPorts = {
    live,
    get payoutColdkey() {
      return own.payoutColdkey;
    },
    log,
    onPoint(point) {
      for (const listener of points) listener(point);
    },
    onEarnings: (earnings) => history.earned(earnings),
    onBytes: (sent, received) => history.moved(sent, received),
    onProviderFault: (provider, ending) => providers.trainingFailed(provider, ending),
    onProcesses: (list) => writeProcessList(home.processesFile, list),
    former: {
      keys: formerKeys,
      get path() {
        return own.path;
      },
      async open(path, address) {
        const hotkey = await openFormerHotkey(path, address);
        return hotkey === null ? null : loggedHotkey(hotkey, signatures);
      },
    },
  };
  const membership = new Membership({
    store: networks,
    look: (invitation) => lookAt(invitation, own.hotkey.address, Date.now()),
    async open(network) {
      const parts = { home, own: own.hotkey, known: networks.list() };
      const plan =
        network === null
          ? await embeddedPlan({ ...parts, payoutColdkey: own.payoutColdkey, reading }, options)
          : remotePlan(parts, network);
      return new NetworkSession(plan, ports);
    },
    onKnown: (known, offer) => live.known(known, offer),
    onNote: (text) => live.note(text),
    onProblem: (failure) => live.problem("network", failure === null ? null : failure.body()),
    now: Date.now,
    mayOpen: () => setUp.isDone,
  });

  const writer = new ModelWriter({
    networkFolder: () => (networks.active() === null ? home.network : null),
    onLine: (line) => log.debug({ process: "model trial" }, line),
  });
  cleanUp.push(() => writer.stop());
  const wallet = new WalletDesk({
    home: home.path,
    own,
    ask: (request) => askWallet(request),
    async changed() {
      live.hotkey(own.hotkey.address);
      live.note(ownKeyText(own));
      await chain?.stop();
      chain = followChain();
      if (chain !== null) live.chain(chain.state());
      chain?.onChange((state) => live.chain(state));
      // What the network's start comes to is told as its problem.
      await membership.reopen("the key or the payout address was changed").catch(() => undefined);
    },
  });
  const threads = threadsPerWorker(
    availableParallelism(),
    networks.active() === null ? options.neighbours + 1 : 1,
  );
  const providers: Providers = new Providers({
    machine: options.probe ? probedMachine(threads) : null,
    read: () => readProvidersFile(home.providersFile),
    write: (file) => writeProvidersFile(home.providersFile, file),
    probe(provider, signal) {
      const onLine = (line: string): void => log.debug({ process: `probe of ${provider}` }, line);
      return probeProvider({ script: PROBE_SCRIPT, provider, threads, timeoutMs: PROBE_MS, onLine }, signal);
    },
    onProvider: (provider) => membership.use(provider),
    onNote: (text) => live.note(text),
    onFault: (error) => log.warn({ err: error }, "the providers could not be tested"),
    now: Date.now,
  });
  cleanUp.push(() => providers.stop());

  const { promise: ended, resolve: hasEnded } = Promise.withResolvers<void>();
  let ending: Promise<void> | null = null;
  const stop = (): Promise<void> => (ending ??= undo().then(hasEnded));

  const memory = readBrowserMemory(home.browserFile);
  let browsers = memory.browsers;
  let port = memory.port;
  const signIn = new SignIn({
    browsers,
    keep(next) {
      browsers = [...next];
      try {
        writeBrowserMemory(home.browserFile, { port, browsers });
      } catch (error) {
        // Who is signed in stays so until the daemon ends.
        log.warn({ err: error }, "browsers could not be remembered");
      }
    },
    now: Date.now,
  });
  const tokens = new ApiTokens(join(home.path, "tokens.json"), Date.now);
  const agents = new Agents({
    folder: home.path,
    now: Date.now,
    zone: () => policy.zone,
    override: () => policy.override,
    budget: (id) => tokens.budget(id),
  });
  const audit = new AuditLog(join(home.path, "audit.jsonl"), Date.now);
  const handlers = makeHandlers({
    policy,
    agents,
    presence,
    membership,
    providers,
    history,
    wallet,
    writer,
    state: () => live.get(),
    note: (text) => live.note(text),
    setUp() {
      if (setUp.isDone) return;
      firstYes(home, setUp);
      policy.begin();
    },
    loginUrl: () => api.loginUrl(),
    signOut: () => api.signOut(),
    tokens,
    endToken: (id) => api.endToken(id),
    audit: (limit) => audit.newest(limit),
    folderBytes: () => disk.measure(),
    // The answer goes out first.
    quit: () => void setTimeout(() => void stop(), 50),
  });
  const api = await startApiServer({
    signIn,
    tokens,
    socketPath: localSocketPath(home.path),
    onCall: (who, method, code) => audit.note(who, method, code),
    store: live.store,
    bundle: options.bundle,
    port:
      options.port === null || options.port === 0
        ? { kind: "likely", number: options.port ?? memory.port }
        : { kind: "exact", number: options.port },
    handlers,
    onAgent: (id, here) => policy.agentHere(id, here),
    onPoint(listener) {
      points.add(listener);
      return () => void points.delete(listener);
    },
  });
  cleanUp.push(async () => {
    rmSync(home.apiFile, { force: true });
    await api.close();
  });
  port = api.port;
  const reached = { url: api.url, token: signIn.bearer, pid: process.pid, socket: api.socketPath };
  remember(home, { port, browsers }, reached);

  // First of all to be undone: until no process is left, clients are told how it goes.
  cleanUp.push(async () => {
    live.silence();
    await membership.stop("Train at Home is ending");
    rmSync(home.processesFile, { force: true });
  });

  // While the first network starts, which may mean reading data for hours, the owner steers that already.
  const heard = policy.onDecision(() => {
    showPolicy();
    reading.decided();
  });
  cleanUp.push(() => reading.stop());
  wanted?.addEventListener("abort", () => reading.stop(), { once: true });
  const awake = new KeepAwake({ changed: () => showPolicy() });
  cleanUp.push(() => awake.close());
  const showPolicy = (): void => live.policy(policyShown(policy, awake));
  const obey = (): void => {
    const { decision, limits } = policy;
    // First of all: whoever is paused lets the computer sleep at once.
    awake.want(wantsAwake(policy));
    showPolicy();
    reading.decided();
    membership.limit(limits);
    providers.working(decision.action === "run");
    membership.endAt(endOf(decision));
    membership.setWorking(decision.action === "run", explain(decision, Date.now()));
  };
  policy.onRunEnded((ended, byItself) => {
    agents.giveBack(ended);
    if (byItself && ended.thenQuit === true) void stop();
  });
  await membership.start(options.join).catch((error: unknown) => {
    // A client asked us to quit meanwhile: that is no failure.
    if (ending === null) throw error;
  });
  heard();
  if (ending === null) {
    obey();
    policy.onDecision(obey);
  }

  return {
    home,
    url: api.url,
    loginUrl: () => api.loginUrl(),
    state: () => live.get(),
    async answer(yes) {
      if (live.get().network.offer !== null)
        return handlers["network.answer"]({ consent: yes }, OWNER_AT_TERMINAL);
      const { rules } = policy;
      if (!yes) return null;
      return handlers["setup.begin"]({ rules, invitation: null, consent: true }, OWNER_AT_TERMINAL);
    },
    stop,
    kill() {
      providers.stop();
      membership.kill();
    },
    ended,
  };
}

const LEARN_EVERY_MS = 60_000;
const OWNER_AT_TERMINAL: ApiCaller = { who: "owner (terminal)", scopes: "owner" };

function firstYes(home: Home, setUp: SetUp): void {
  try {
    setUp.finish(Date.now());
  } catch (error) {
    throw homeFailure(home.path, error);
  }
}

function passwordOf({ walletPasswordFile }: DaemonOptions): PasswordSource {
  const terminal = { input: process.stdin, output: process.stdout };
  return passwordSource({ file: walletPasswordFile, env: process.env, terminal });
}

/** A line for the owner after a change of theirs. */
function ownKeyText({ hotkey, payoutColdkey }: OwnKey): string {
  return payoutColdkey === hotkey.address
    ? `This computer works with ${hotkey.address} from now on, and is paid to it.`
    : `This computer works with ${hotkey.address} from now on, and is paid to ${payoutColdkey}.`;
}

function remember(home: Home, memory: Parameters<typeof writeBrowserMemory>[1], api: ApiFile): void {
  try {
    writeBrowserMemory(home.browserFile, memory);
    writePrivateFile(home.apiFile, JSON.stringify(api));
  } catch (error) {
    throw homeFailure(home.path, error);
  }
}
