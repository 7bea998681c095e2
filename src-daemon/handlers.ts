import { METHODS } from "../src-protocol/methods.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import { formatTao } from "../src-protocol/units.ts";
import type { Accounts } from "./accounts.ts";
import type { Handlers } from "./api-calls.ts";
import type { PolicyKeeper } from "./policy/policy-keeper.ts";
import type { Providers } from "./providers.ts";
import { thinOut } from "./run-picture.ts";

export interface HandlerPorts {
  readonly policy: Pick<PolicyKeeper, "pause" | "start" | "resume" | "setRules" | "reportEvidence">;
  readonly accounts: Pick<Accounts, "receipts" | "claims" | "claim" | "history">;
  readonly providers: Pick<Providers, "report" | "again">;
  state(): DaemonState;
  note(text: string): void;
  /** Asks for the earnings now, not at the next round. */
  refreshEarnings(): void;
  loginUrl(): string;
  quit(): void;
}

/** What each method of the local API does. `METHODS` says what goes in and out. */
export function makeHandlers(ports: HandlerPorts): Handlers {
  const { policy, accounts, providers } = ports;
  return {
    "state.subscribe": () => ports.state(),
    "state.get": () => ports.state(),
    "run.history": async ({ sinceStep, maxPoints }) => ({
      points: thinOut(await accounts.history(sinceStep), maxPoints),
    }),
    "policy.pause": ({ minutes, by }) => policy.pause(minutes, by),
    "policy.start": ({ minutes, by }) => policy.start(minutes, by),
    "policy.resume": () => policy.resume(),
    "policy.setRules": ({ rules }) => policy.setRules(rules),
    "earnings.receipts": async ({ limit }) => ({ receipts: await accounts.receipts(limit) }),
    "earnings.claims": async () => ({ claims: await accounts.claims() }),
    "earnings.claim": async () => {
      const row = await accounts.claim();
      ports.note(`${formatTao(BigInt(row.amountRao))} ${row.asset} units were claimed and granted.`);
      ports.refreshEarnings();
      return row;
    },
    "providers.get": () => providers.report(),
    "providers.test": () => providers.again(),
    "evidence.report": ({ evidence }) => policy.reportEvidence(evidence),
    "session.newLogin": () => ({ url: ports.loginUrl() }),
    "daemon.quit": () => {
      ports.quit();
      return METHODS["daemon.quit"].result.parse({});
    },
  };
}
