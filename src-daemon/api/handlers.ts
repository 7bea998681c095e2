import { statfsSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { LONGEST_HISTORY_MS } from "../../src-protocol/history.ts";
import { METHODS } from "../../src-protocol/methods.ts";
import type { AuditEntry } from "../../src-protocol/methods.ts";
import type { ApiTokens } from "./api-tokens.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { formatTao } from "../../src-protocol/units.ts";
import type { Handlers } from "./api-calls.ts";
import type { HistoryKeeper } from "../history/history-keeper.ts";
import type { Membership } from "../networks/membership.ts";
import type { PolicyKeeper } from "../policy/policy-keeper.ts";
import type { Providers } from "../providers/providers.ts";
import { thinOut } from "../state/run-picture.ts";

export interface HandlerPorts {
  readonly policy: Pick<
    PolicyKeeper,
    "decision" | "pause" | "start" | "resume" | "setRules" | "reportEvidence"
  >;
  readonly membership: Pick<
    Membership,
    "session" | "begin" | "retry" | "list" | "look" | "join" | "answer" | "switchTo" | "leave"
  >;
  readonly providers: Pick<Providers, "report" | "again">;
  readonly history: Pick<HistoryKeeper, "hours">;
  state(): DaemonState;
  note(text: string): void;
  /** The owner's first yes is stored, and holds from now on; nothing when it was given before. */
  setUp(): void;
  loginUrl(): string;
  signOut(): void;
  readonly tokens: Pick<ApiTokens, "create" | "list" | "revoke">;
  /** Its connections end. */
  endToken(id: string): void;
  audit(limit: number): AuditEntry[];
  quit(): void;
}

/** What each method of the local API does. `METHODS` says what goes in and out. */
export function makeHandlers(ports: HandlerPorts): Handlers {
  const { policy, membership, providers } = ports;
  /** A yes to an invitation is a first yes too; not to one that leads nowhere. */
  const join = async (invitation: string) => {
    if (isNew()) await membership.look(invitation);
    ports.setUp();
    return membership.join(invitation);
  };
  const isNew = () => policy.decision.reasons.includes("not-set-up");
  return {
    "state.subscribe": () => ports.state(),
    "state.get": () => ports.state(),
    "run.history": async ({ sinceStep, maxPoints }) => ({
      points: thinOut(await membership.session.accounts.history(sinceStep), maxPoints),
    }),
    "history.hours": ({ from, to }) => ({
      hours: ports.history.hours(Math.max(from, to - LONGEST_HISTORY_MS), to),
    }),
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
    "policy.pause": ({ minutes, by }) => policy.pause(minutes, by),
    "policy.start": ({ minutes, by }) => {
      const state = policy.start(minutes, by);
      membership.retry();
      return state;
    },
    "policy.resume": () => {
      const state = policy.resume();
      membership.retry();
      return state;
    },
    "policy.setRules": ({ rules }) => policy.setRules(rules),
    "earnings.receipts": async ({ limit }) => ({
      receipts: await membership.session.accounts.receipts(limit),
    }),
    "earnings.claims": async () => ({ claims: await membership.session.accounts.claims() }),
    "earnings.claim": async () => {
      const { session } = membership;
      const row = await session.accounts.claim();
      for (const each of [row, ...row.others])
        ports.note(
          `${formatTao(BigInt(each.amountRao))} ${each.asset} units were claimed for ${each.payoutColdkey}: ${each.status}.`,
        );
      session.refreshEarnings();
      return row;
    },
    "providers.get": () => providers.report(),
    "providers.test": () => providers.again(isNew()),
    "network.list": () => ({ networks: membership.list() }),
    "network.look": ({ invitation }) => membership.look(invitation),
    "network.join": async ({ invitation }) => ({ networks: await join(invitation) }),
    "network.answer": async ({ consent }) => {
      if (consent && ports.state().network.offer !== null) ports.setUp();
      return { networks: await membership.answer(consent) };
    },
    "network.switch": async ({ network }) => ({ networks: await membership.switchTo(network) }),
    "network.leave": async ({ network }) => ({ networks: await membership.leave(network) }),
    "evidence.report": ({ evidence }) => policy.reportEvidence(evidence),
    "session.newLogin": () => ({ url: ports.loginUrl() }),
    "session.signOut": () => {
      ports.signOut();
      return {};
    },
    "session.newToken": ({ name, scopes, days }) => ports.tokens.create(name, scopes, days),
    "session.tokens": () => ({ tokens: ports.tokens.list() }),
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
