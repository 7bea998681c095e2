import { existsSync } from "node:fs";
import { isWorking } from "../../src-protocol/why.ts";
import { keyReplaced } from "../earnings/former-keys.ts";
import { computerWatts } from "../evidence/watts.ts";
import { HistoryKeeper } from "../history/history-keeper.ts";
import { MEASURE_EVERY_MS, PowerMeter } from "../history/power-meter.ts";
import type { NetworksStore } from "../networks/networks-store.ts";
import { Finishing } from "../policy/finishing.ts";
import { Presence } from "../presence/presence-store.ts";
import { DataReading } from "../runs/data-reading.ts";
import { embeddedNetwork, initialState } from "../state/initial-state.ts";
import { LiveState } from "../state/live-state.ts";
import { VERSION } from "../version.ts";
import type { CleanUp } from "./clean-up.ts";
import type { Deciding } from "./deciding.ts";
import type { FollowedChain } from "./followed-chain.ts";
import type { Ground } from "./ground.ts";
import type { Keys } from "./keys.ts";

/** The state as clients see it, and who writes down what passes in it. */
export interface Watching {
  readonly live: LiveState;
  readonly history: HistoryKeeper;
  readonly presence: Presence;
  readonly reading: DataReading;
}

const LEARN_EVERY_MS = 60_000;

export function startWatching(
  { home, log }: Ground,
  { policy }: Deciding,
  { own, atRest, formerKeys }: Keys,
  networks: NetworksStore,
  chain: FollowedChain,
  cleanUp: CleanUp,
): Watching {
  const live = new LiveState(
    initialState({
      version: VERSION,
      startedAt: Date.now(),
      dataFolder: home.path,
      hotkey: own.hotkey.address,
      policy: { decision: policy.decision, rules: policy.rules, override: policy.override },
      network: embeddedNetwork(0, networks.list()),
      chain: chain.state(),
    }),
    { now: Date.now, onActivity: (text) => log.info(text) },
  );
  chain.tell(live);
  const replaced = keyReplaced(formerKeys.last(), own.hotkey.address);
  if (replaced !== null) live.note("money", replaced);
  if (own.created) {
    live.note(
      "money",
      "A new hotkey was made: the key that signs for this computer's work. Save a copy of it under Wallet.",
    );
    // `wallet.list` and `tah doctor` say it at any time.
    log.info(atRest.text);
  }
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
  cleanUp.add(() => history.stop());
  const presence = new Presence({
    store: history.store,
    now: Date.now,
    idleSeconds: () => policy.evidence.idleSeconds,
    allowed: () => policy.rules.learnHours,
    failed: (error) => log.warn({ err: error }, "when nobody is here cannot be kept"),
  });
  const learning = setInterval(() => presence.look(), LEARN_EVERY_MS).unref();
  cleanUp.add(() => clearInterval(learning));
  const power = new PowerMeter({
    read: computerWatts,
    isWorking: () => isWorking(live.get()),
    steady: () => performance.now(),
    drew: (drawn) => history.drew(drawn),
  });
  const measuring = setInterval(() => void power.look(), MEASURE_EVERY_MS).unref();
  cleanUp.add(() => clearInterval(measuring));
  live.onChange(() => {
    history.look();
    finishing.look();
  });
  return { live, history, presence, reading };
}
