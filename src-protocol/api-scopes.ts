import { z } from "zod";
import type { MethodName } from "./methods.ts";

/** What a token of the local API allows. */
export const API_SCOPES = ["read", "control", "rules", "wallet"] as const;
export const apiScope = z.enum(API_SCOPES);
export type ApiScope = z.infer<typeof apiScope>;

export const SCOPE_TEXT: Readonly<Record<ApiScope, string>> = {
  read: "see what it does, why, and what was earned",
  control: "pause, start and end it",
  rules: "change when it runs, and for which network",
  wallet: "claim what was earned",
};

/**
 * What a person alone may do, and no program with a token. `person`: at a terminal, in the app, or in a
 * browser that is signed in. `owner`: not in a browser either, since it would give all other rights.
 */
export type PersonScope = "person" | "owner";

/** What each method of the local API needs. */
export const SCOPE_OF: Readonly<Record<MethodName, ApiScope | PersonScope>> = {
  "state.subscribe": "read",
  "state.get": "read",
  "run.history": "read",
  "model.write": "control",
  "history.hours": "read",
  "history.computer": "read",
  "history.changes": "read",
  "setup.computer": "read",
  "setup.begin": "rules",
  "policy.pause": "control",
  "policy.finish": "control",
  "policy.start": "control",
  "policy.resume": "control",
  "policy.evidence": "read",
  "policy.limits": "read",
  "policy.forecast": "read",
  "policy.sleep": "read",
  "policy.forgetHours": "person",
  "policy.setRules": "rules",
  "earnings.receipts": "read",
  "earnings.claims": "read",
  "earnings.claim": "wallet",
  "earnings.evidence": "read",
  "earnings.settled": "read",
  "price.get": "read",
  "price.set": "person",
  "payout.challenge": "wallet",
  "payout.bind": "person",
  "wallet.list": "read",
  "wallet.create": "person",
  "wallet.import": "person",
  "wallet.backup": "person",
  "wallet.use": "person",
  "wallet.keep": "person",
  "wallet.payout": "person",
  "providers.get": "read",
  "providers.test": "control",
  "network.computers": "read",
  "network.list": "read",
  "network.look": "rules",
  "network.offer": "rules",
  "network.join": "rules",
  "network.answer": "rules",
  "network.switch": "rules",
  "network.leave": "rules",
  "network.goBack": "person",
  "evidence.report": "owner",
  "session.newLogin": "owner",
  "session.signOut": "owner",
  "session.newToken": "owner",
  "session.tokens": "owner",
  "session.whoAmI": "read",
  "session.revokeToken": "owner",
  "session.audit": "owner",
  "daemon.quit": "control",
};
