import { availableParallelism } from "node:os";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import { lookAt } from "../networks/look-at.ts";
import { Membership } from "../networks/membership.ts";
import { NetworkSession } from "../networks/network-session.ts";
import type { SessionPorts } from "../networks/network-session.ts";
import type { NetworksStore } from "../networks/networks-store.ts";
import { AskedHere } from "../operator/asked-here.ts";
import { remotePlan } from "../networks/remote-plan.ts";
import type { DaemonOptions } from "../options.ts";
import { commandRunner } from "../children/run-command.ts";
import { type Card, nvidiaCards } from "../providers/cards.ts";
import { readProvidersFile, writeProvidersFile } from "../providers/providers-file.ts";
import { probedMachine } from "../providers/providers-machine.ts";
import { PROBE_MS, PROBE_SCRIPT, probeProvider } from "../providers/providers-probe.ts";
import { Providers } from "../providers/providers.ts";
import { embeddedPlan } from "../runs/embedded-plan.ts";
import { ModelWriter } from "../runs/model-writer.ts";
import { threadsPerWorker } from "../runs/run-plan.ts";
import { writeProcessList } from "../supervision/process-list.ts";
import type { CleanUp } from "./clean-up.ts";
import type { Ground } from "./ground.ts";
import type { Keys } from "./keys.ts";
import type { Watching } from "./watching.ts";

/** What computes, and for whom. Nothing of it runs before `membership.start`. */
export interface Working {
  readonly membership: Membership;
  readonly providers: Providers;
  /** What the network that is served from this data folder asks its operator. */
  readonly asked: AskedHere;
  readonly writer: ModelWriter;
  /** Told each finished step of the run. */
  readonly points: Set<(point: HistoryPoint) => void>;
}

export function prepareWork(
  { home, log, setUp }: Ground,
  { own, former }: Keys,
  { live, history, reading }: Watching,
  networks: NetworksStore,
  options: DaemonOptions,
  cleanUp: CleanUp,
): Working {
  const points: Working["points"] = new Set();
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
    former,
  };
  let cards: readonly Card[] | null = null;
  const membership = new Membership({
    store: networks,
    look: (invitation) => lookAt(invitation, own.hotkey.address, Date.now()),
    async open(network) {
      cards ??= options.probe ? await nvidiaCards(commandRunner(), process.env) : [];
      const parts = { home, own: own.hotkey, known: networks.list(), cards };
      const plan =
        network === null
          ? await embeddedPlan({ ...parts, payoutColdkey: own.payoutColdkey, reading }, options)
          : remotePlan(parts, network);
      return new NetworkSession(plan, ports);
    },
    onKnown: (known, offer) => live.known(known, offer),
    onNote: (text) => live.note("network", text),
    onProblem: (failure) => live.problem("network", failure === null ? null : failure.body()),
    now: Date.now,
    mayOpen: () => setUp.isDone,
  });
  const writer = new ModelWriter({
    networkFolder: () => (networks.active() === null ? home.network : null),
    onLine: (line) => log.debug({ process: "model trial" }, line),
  });
  cleanUp.add(() => writer.stop());
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
    onNote: (text) => live.note("computer", text),
    onFault: (error) => log.warn({ err: error }, "the providers could not be tested"),
    now: Date.now,
  });
  cleanUp.add(() => providers.stop());
  const asked = new AskedHere({
    networkFolder: home.servedNetwork,
    tell: (question) => live.asked(question),
    onNote: (text) => live.note("network", text),
    now: Date.now,
  });
  cleanUp.add(() => asked.stop());
  return { membership, providers, asked, writer, points };
}
