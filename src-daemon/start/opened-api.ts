import { rmSync } from "node:fs";
import { join } from "node:path";
import type { ApiFile } from "../../src-protocol/methods.ts";
import { Agents } from "../agents/agents.ts";
import { startApiServer } from "../api/api-server.ts";
import type { Handlers } from "../api/api-calls.ts";
import { ApiTokens } from "../api/api-tokens.ts";
import { AuditLog } from "../api/audit-log.ts";
import { readBrowserMemory, writeBrowserMemory } from "../api/browser-memory.ts";
import { makeHandlers } from "../api/handlers.ts";
import { localSocketPath } from "../api/local-socket.ts";
import { SignIn } from "../api/sign-in.ts";
import { homeFailure } from "../data-folder/home.ts";
import type { Home } from "../data-folder/home.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";
import { enterPrice, readPrices } from "../earnings/entered-prices.ts";
import type { DaemonOptions } from "../options.ts";
import { WalletDesk } from "../wallet/wallet-desk.ts";
import { askWallet } from "../wallet/wallet-process.ts";
import type { OwnKey } from "../wallet/own-key.ts";
import type { CleanUp } from "./clean-up.ts";
import type { Deciding } from "./deciding.ts";
import type { FollowedChain } from "./followed-chain.ts";
import type { Ground } from "./ground.ts";
import { limitsNow } from "./limits-now.ts";
import type { Watching } from "./watching.ts";
import type { Working } from "./working.ts";

/** The local API, answering. */
export interface OpenedApi {
  readonly url: string;
  readonly handlers: Handlers;
  readonly agents: Agents;
  loginUrl(): string;
}

/** All parts that the local API speaks for. */
export interface ApiParts {
  readonly ground: Ground;
  readonly deciding: Deciding;
  readonly own: OwnKey;
  readonly chain: FollowedChain;
  readonly watching: Watching;
  readonly working: Working;
  /** Ends the daemon. */
  stop(): Promise<void>;
}

export async function openApi(parts: ApiParts, options: DaemonOptions, cleanUp: CleanUp): Promise<OpenedApi> {
  const { home, log, setUp, firstYes } = parts.ground;
  const { policy } = parts.deciding;
  const { live, history, presence } = parts.watching;
  const { membership, providers, asked, writer, points } = parts.working;
  const memory = readBrowserMemory(home.browserFile);
  let { browsers, port } = memory;
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
    asked,
    providers,
    history,
    prices: {
      read: () => readPrices(home.path),
      enter: (asset, entered) =>
        enterPrice(home.path, asset, entered === null ? null : { ...entered, at: Date.now() }),
    },
    wallet: walletDesk(parts),
    writer,
    state: () => live.get(),
    setUp() {
      if (setUp.isDone) return;
      firstYes();
      policy.begin();
    },
    loginUrl: () => api.loginUrl(),
    signOut: () => api.signOut(),
    tokens,
    endToken: (id) => api.endToken(id),
    audit: (limit) => audit.newest(limit),
    limits: () => limitsNow(parts),
    // The answer goes out first.
    quit: () => void setTimeout(() => void parts.stop(), 50),
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
  cleanUp.add(async () => {
    rmSync(home.apiFile, { force: true });
    await api.close();
  });
  port = api.port;
  const reached = { url: api.url, token: signIn.bearer, pid: process.pid, socket: api.socketPath };
  remember(home, { port, browsers }, reached);
  return { url: api.url, handlers, agents, loginUrl: () => api.loginUrl() };
}

function walletDesk({ ground, own, chain, watching, working }: ApiParts): WalletDesk {
  const { live } = watching;
  return new WalletDesk({
    home: ground.home.path,
    own,
    ask: (request) => askWallet(request),
    async changed() {
      live.hotkey(own.hotkey.address);
      live.note("money", ownKeyText(own));
      await chain.again();
      // What the network's start comes to is told as its problem.
      await working.membership.reopen("the key or the payout address was changed").catch(() => undefined);
    },
  });
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
