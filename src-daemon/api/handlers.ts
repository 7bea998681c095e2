import { statfsSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { API_SCOPES } from "../../src-protocol/api-scopes.ts";
import { LONGEST_HISTORY_MS } from "../../src-protocol/history.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { LimitRow } from "../../src-protocol/limits-report.ts";
import { METHODS } from "../../src-protocol/methods.ts";
import type { AuditEntry } from "../../src-protocol/methods.ts";
import type { EnteredPrice, PricedAsset, Prices } from "../../src-protocol/price.ts";
import { refuseLooserSafety, type Agents } from "../agents/agents.ts";
import type { ApiCaller, ApiTokens } from "./api-tokens.ts";
import type { ClaimRow, DaemonState } from "../../src-protocol/state.ts";
import { forecastOf } from "../forecast/forecast.ts";
import type { Presence } from "../presence/presence-store.ts";
import { suggestSleep } from "../presence/sleep-suggestion.ts";
import type { Handlers } from "./api-calls.ts";
import type { HistoryKeeper } from "../history/history-keeper.ts";
import type { Membership } from "../networks/membership.ts";
import type { AskedHere } from "../operator/asked-here.ts";
import type { Asked, PolicyKeeper } from "../policy/policy-keeper.ts";
import type { Providers } from "../providers/providers.ts";
import type { ModelWriter } from "../runs/model-writer.ts";
import { thinOut } from "./thin-out.ts";
import type { WalletDesk } from "../wallet/wallet-desk.ts";

export interface HandlerPorts {
  readonly policy: Pick<
    PolicyKeeper,
    | "decision"
    | "pause"
    | "start"
    | "finish"
    | "resume"
    | "setRules"
    | "reportEvidence"
    | "evidence"
    | "rules"
    | "zone"
    | "limits"
  >;
  readonly presence: Pick<Presence, "hours" | "forget">;
  readonly agents: Pick<Agents, "mayChange" | "take" | "left">;
  readonly membership: Pick<
    Membership,
    "session" | "begin" | "retry" | "list" | "look" | "offer" | "join" | "answer" | "switchTo" | "leave"
  >;
  readonly asked: Pick<AskedHere, "goBack">;
  readonly providers: Pick<Providers, "report" | "again">;
  readonly history: Pick<HistoryKeeper, "hours" | "inAllRao" | "computer" | "changes">;
  readonly writer: Pick<ModelWriter, "write">;
  /** What 1 TAO or 1 alpha is worth by its owner's word. */
  readonly prices: {
    read(): Prices;
    enter(asset: PricedAsset, entered: Omit<EnteredPrice, "at"> | null): Prices;
  };
  readonly wallet: Pick<WalletDesk, "list" | "create" | "take" | "backup" | "use" | "keep" | "payout">;
  state(): DaemonState;
  /** The owner's first yes is stored, and holds from now on; nothing when it was given before. */
  setUp(): void;
  loginUrl(): string;
  signOut(): void;
  readonly tokens: Pick<ApiTokens, "create" | "list" | "revoke">;
  /** Its connections end. */
  endToken(id: string): void;
  audit(limit: number): AuditEntry[];
  /** Each limit, what is asked of it and what holds here. */
  limits(): Promise<LimitRow[]>;
  quit(): void;
}

const LONGEST_FORECAST_MS = 28 * 24 * 3_600_000;

async function claimsOrNone(membership: HandlerPorts["membership"]): Promise<ClaimRow[]> {
  try {
    return await membership.session.accounts.claims();
  } catch {
    return [];
  }
}

/** What each method of the local API does. `METHODS` says what goes in and out. */
export function makeHandlers(ports: HandlerPorts): Handlers {
  const { policy, membership, providers, agents } = ports;
  /** A yes to an invitation is a first yes too; not to one that leads nowhere. */
  const join = async (invitation: string) => {
    if (isNew()) await membership.look(invitation);
    ports.setUp();
    return membership.join(invitation);
  };
  const isNew = () => policy.decision.reasons.includes("not-set-up");
  /** SECURITY: whoever calls with a token is an agent, whatever it says. */
  const asked = (minutes: number | null, by: Asked["by"], { token }: ApiCaller): Asked => {
    if (token === undefined) return { minutes, by };
    if (minutes === null)
      throw new Failure("end-needed", "An agent's pause needs an end. Say for how many minutes.");
    agents.mayChange(token);
    return { minutes, by: "agent", lease: token };
  };
  return {
    "state.subscribe": () => ports.state(),
    "state.get": () => ports.state(),
    "run.history": async ({ sinceStep, maxPoints }) => ({
      points: thinOut(await membership.session.accounts.history(sinceStep), maxPoints),
    }),
    "model.write": ({ prompt, seed }) => ports.writer.write(prompt, seed),
    "history.computer": ({ from, to }) => ({
      hours: ports.history.computer(Math.max(from, to - LONGEST_HISTORY_MS), to),
    }),
    "history.hours": ({ from, to }) => ({
      hours: ports.history.hours(Math.max(from, to - LONGEST_HISTORY_MS), to),
      inAllRao: ports.history.inAllRao?.toString() ?? null,
    }),
    "history.changes": ({ from, to, limit }) => ({ changes: ports.history.changes(from, to, limit) }),
    "setup.computer": () => ({
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      freeDiskBytes: freeBytes(ports.state().dataFolder),
    }),
    "setup.begin": async ({ rules, invitation }) => {
      if (invitation !== null && isNew()) await membership.look(invitation);
      policy.setRules(rules);
      ports.setUp();
      // Reading data may take hours, and what goes wrong is told as the problem that it is.
      if (invitation === null) void membership.begin().catch(() => undefined);
      else await membership.join(invitation);
      return policy.decision;
    },
    "policy.pause": ({ minutes, by }, caller) => policy.pause(asked(minutes, by, caller)),
    "policy.finish": ({ minutes, by }, caller) => policy.finish(asked(minutes, by, caller)),
    "policy.start": ({ minutes, by, thenQuit }, caller) => {
      const wanted = asked(minutes, by, caller);
      if (caller.token !== undefined) agents.take(caller.token, minutes);
      const state = policy.start({ ...wanted, thenQuit: thenQuit && caller.token === undefined });
      membership.retry();
      return state;
    },
    "policy.resume": (_, caller) => {
      if (caller.token !== undefined) agents.mayChange(caller.token);
      const state = policy.resume();
      membership.retry();
      return state;
    },
    "policy.evidence": () => policy.evidence,
    "policy.limits": async () => ({ limits: await ports.limits() }),
    "policy.forecast": async ({ to, ifStarted }) => {
      const from = Date.now();
      const { asset } = ports.state().earnings;
      return forecastOf({
        from,
        to: Math.max(from, Math.min(to, from + LONGEST_FORECAST_MS)),
        ifStarted,
        rules: policy.rules,
        zone: policy.zone,
        presence: ports.presence.hours(),
        // A network that does not answer says nothing of pay, and that is told.
        claims: await claimsOrNone(membership),
        worked: ports.history.hours(from - LONGEST_HISTORY_MS, from),
        computer: ports.history.computer(from - LONGEST_HISTORY_MS, from),
        asset,
      });
    },
    "policy.sleep": () => suggestSleep(ports.presence.hours(), policy.zone, policy.rules),
    "policy.forgetHours": () => {
      ports.presence.forget();
      return {};
    },
    "policy.setRules": ({ rules }, caller) => {
      if (caller.token !== undefined) {
        refuseLooserSafety(policy.rules, rules);
        agents.mayChange(caller.token);
      }
      return policy.setRules(rules);
    },
    "earnings.receipts": async ({ limit }) => ({
      receipts: await membership.session.accounts.receipts(limit),
    }),
    "earnings.claims": async () => ({ claims: await membership.session.accounts.claims() }),
    "earnings.claim": () => membership.session.claim(),
    "earnings.evidence": (after) => membership.session.accounts.evidence(after),
    "earnings.settled": () => membership.session.accounts.settled(policy.zone),
    "price.get": () => ({ prices: ports.prices.read() }),
    "price.set": ({ asset, entered }) => ({ prices: ports.prices.enter(asset, entered) }),
    "payout.challenge": ({ payoutColdkey }) => membership.session.accounts.payoutChallenge(payoutColdkey),
    "payout.bind": (signed) => membership.session.accounts.bindPayout(signed),
    "wallet.list": () => ports.wallet.list(),
    "wallet.create": (key) => ports.wallet.create(key),
    "wallet.import": (key) => ports.wallet.take(key),
    "wallet.backup": (key) => ports.wallet.backup(key),
    "wallet.use": (key) => ports.wallet.use(key),
    "wallet.keep": (how) => ports.wallet.keep(how),
    "wallet.payout": (address) => ports.wallet.payout(address),
    "providers.get": () => providers.report(),
    "providers.test": () => providers.again(isNew()),
    "network.computers": () => membership.session.otherComputers(),
    "network.list": () => ({ networks: membership.list() }),
    "network.look": ({ invitation }) => membership.look(invitation),
    "network.offer": ({ invitation }) => membership.offer(invitation),
    "network.join": async ({ invitation }) => ({ networks: await join(invitation) }),
    "network.answer": async ({ consent }) => {
      if (consent && ports.state().network.offer !== null) ports.setUp();
      return { networks: await membership.answer(consent) };
    },
    "network.switch": async ({ network }) => ({ networks: await membership.switchTo(network) }),
    "network.leave": async ({ network }) => ({ networks: await membership.leave(network) }),
    "network.goBack": (request) => ports.asked.goBack(request),
    "evidence.report": ({ evidence }) => policy.reportEvidence(evidence),
    "session.newLogin": () => ({ url: ports.loginUrl() }),
    "session.signOut": () => {
      ports.signOut();
      return {};
    },
    "session.newToken": ({ name, scopes, days, budget }) => ports.tokens.create(name, scopes, days, budget),
    "session.tokens": () => ({ tokens: ports.tokens.list() }),
    "session.whoAmI": (_, { who, scopes, token }) => ({
      who,
      scopes: scopes === "owner" ? [...API_SCOPES] : [...scopes],
      left: token === undefined ? null : agents.left(token),
    }),
    "session.revokeToken": ({ id }) => {
      ports.tokens.revoke(id);
      ports.endToken(id);
      return { tokens: ports.tokens.list() };
    },
    "session.audit": ({ limit }) => ({ entries: ports.audit(limit) }),
    "daemon.quit": () => {
      ports.quit();
      return METHODS["daemon.quit"].result.parse({});
    },
  };
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
