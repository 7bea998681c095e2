import { z } from "zod";
import { raoText } from "./units.ts";
import { agentBudget, DEFAULT_AGENT_BUDGET } from "./agent-budget.ts";
import { apiScope } from "./api-scopes.ts";
import { forecast } from "./forecast.ts";
import { sleepSuggestion } from "./sleep.ts";
import { failureSchema } from "./failure.ts";
import { goBackQuestion, goBackRequest } from "./go-back.ts";
import { computerHour, stateChange, workedHour } from "./history.ts";
import { invitationText, knownNetwork, networkId, networkOffer } from "./networks.ts";
import { otherComputers } from "./own-computers.ts";
import { limitsReport } from "./limits-report.ts";
import { patchOperation } from "./patch.ts";
import { decision, evidence, override, rules } from "./policy.ts";
import { keyAtRest } from "./keychain.ts";
import { ss58Address } from "./keys.ts";
import { bindAnswer, bindRequest, challengeAnswer } from "./payout-consent.ts";
import { enteredPrice, pricedAsset, prices } from "./price.ts";
import { providersReport } from "./providers.ts";
import { evidencePage } from "./receipt-export.ts";
import { settledPay } from "./settled-pay.ts";
import { claimOutcome, claimRow, daemonState, historyPoint, receiptRow } from "./state.ts";
import { keyName, keyPassword, listedKey, listedWallet } from "./wallet-ipc.ts";

/** Until 17:00 is a number of minutes with a fraction. */
const overrideMinutes = z
  .number()
  .min(1)
  .max(60 * 24 * 7);

const knownNetworks = z.strictObject({ networks: z.array(knownNetwork) });

/** One call of the local API that could change something. */
export const auditEntry = z.strictObject({
  at: z.int().nonnegative(),
  who: z.string(),
  method: z.string(),
  /** Of the refusal; null: it was done. */
  code: z.string().nullable(),
});
export type AuditEntry = z.infer<typeof auditEntry>;

/** A key of the folder of wallets that is in use. */
const namedKey = {
  wallet: keyName,
  /** Null: the wallet's coldkey. */
  hotkey: keyName.nullable(),
};

/** Which hotkey works here, and where it is paid to. */
const keysInUse = z.strictObject({ hotkey: ss58Address, payoutColdkey: ss58Address });

const apiToken = z.strictObject({
  id: z.string(),
  name: z.string(),
  scopes: z.array(apiScope),
  createdAt: z.int(),
  endsAt: z.int(),
  budget: agentBudget,
});

/**
 * The daemon's local API, all of it. The preload bridge, the WebSocket server, the CLI and the
 * agents' tools are derived from this table.
 */
export const METHODS = {
  /** The whole state; after it the connection gets `patch` events. */
  "state.subscribe": {
    params: z.strictObject({}),
    result: daemonState,
    about: "The whole state, then patches",
  },
  "state.get": { params: z.strictObject({}), result: daemonState, about: "The whole state, once" },
  "run.history": {
    params: z.strictObject({
      sinceStep: z.int().nonnegative().default(0),
      maxPoints: z.int().min(1).max(5000).default(1000),
    }),
    result: z.strictObject({ points: z.array(historyPoint) }),
    about: "Finished steps of the run, oldest first, thinned out evenly to maxPoints",
  },
  "model.write": {
    params: z.strictObject({
      /** What the text begins with. */
      prompt: z.string().min(1).max(500),
      /** The same seed and checkpoint write the same text. */
      seed: z.int().nonnegative().max(1e9).default(0),
    }),
    result: z.strictObject({
      /** Steps that the checkpoint had taken. */
      step: z.int().positive(),
      prompt: z.string(),
      /** What comes after the prompt. */
      text: z.string(),
    }),
    about: "What the model writes by now, from the newest checkpoint, where all of its slices are here",
  },
  "history.hours": {
    params: z.strictObject({
      /** Unix milliseconds; `to` is not in it. */
      from: z.int().nonnegative(),
      to: z.int().nonnegative(),
    }),
    result: z.strictObject({
      hours: z.array(workedHour),
      /** Pending and claimed together, as these hours have counted it; null: nothing was heard of it yet. */
      inAllRao: raoText.nullable(),
    }),
    about: "What this computer did, by the hour: time, tokens and what was earned. Kept here alone",
  },
  "history.computer": {
    params: z.strictObject({
      /** Unix milliseconds; `to` is not in it. */
      from: z.int().nonnegative(),
      to: z.int().nonnegative(),
    }),
    result: z.strictObject({ hours: z.array(computerHour) }),
    about: "What this computer sent, received and drew, by the hour. Kept here alone",
  },
  "history.changes": {
    params: z.strictObject({
      /** Unix milliseconds; `to` is not in it. */
      from: z.int().nonnegative().default(0),
      to: z.int().nonnegative().default(Number.MAX_SAFE_INTEGER),
      limit: z.int().min(1).max(5000).default(200),
    }),
    result: z.strictObject({ changes: z.array(stateChange) }),
    about: "When it began to work or to wait, why, and by whom: newest first. Kept here alone",
  },
  "setup.computer": {
    params: z.strictObject({}),
    result: z.strictObject({
      cores: z.int().positive(),
      memoryBytes: z.int().positive(),
      /** Where the data folder is. */
      freeDiskBytes: z.int().nonnegative(),
    }),
    about: "What this computer has",
  },
  "setup.begin": {
    params: z.strictObject({
      /** When it may run, from its first moment on. */
      rules,
      /** To join at once; null: the network on this computer alone. */
      invitation: invitationText.nullable(),
      /** SECURITY: the owner's first yes. Before it nothing is downloaded and nothing computes. */
      consent: z.literal(true),
    }),
    result: decision,
    about: "Say yes for the first time: the rules are stored, and work begins when they allow it",
  },
  "policy.pause": {
    params: z.strictObject({ minutes: overrideMinutes.nullable(), by: override.shape.by }),
    result: decision,
    about: "Pause for some minutes, whatever the schedule says; null: until it is resumed",
  },
  "policy.finish": {
    params: z.strictObject({ minutes: overrideMinutes.nullable(), by: override.shape.by }),
    result: decision,
    about: "Finish the step in hand, then pause for some minutes; null: until it is resumed",
  },
  "policy.start": {
    params: z.strictObject({
      minutes: overrideMinutes,
      by: override.shape.by,
      /** When it ends by itself the daemon ends too, and frees all that it holds. */
      thenQuit: z.boolean().default(false),
    }),
    result: decision,
    about: "Run for some minutes, whatever the schedule says; safety rules still hold",
  },
  "policy.resume": {
    params: z.strictObject({}),
    result: decision,
    about: "End a manual pause or start: the rules apply again",
  },
  "policy.evidence": {
    params: z.strictObject({}),
    result: evidence,
    about: "What it knows of the computer and its owner now; null: it cannot tell, or no rule needs it",
  },
  "policy.limits": {
    params: z.strictObject({}),
    result: limitsReport,
    about: "Each limit: what is asked, what holds here and by what means, or why not, and what is used now",
  },
  "policy.forecast": {
    params: z.strictObject({
      /** Unix milliseconds; from now on. At most four weeks ahead. */
      to: z.int().nonnegative(),
      /** As if it were started now, whatever the hours say. */
      ifStarted: z.boolean().default(false),
    }),
    result: forecast,
    about: "When it will run until then, and what such hours were paid so far: from settled pay only",
  },
  "policy.sleep": {
    params: z.strictObject({}),
    result: sleepSuggestion,
    about: "Hours in which nobody is here, learned on this computer; they apply only as rules",
  },
  "policy.forgetHours": {
    params: z.strictObject({}),
    result: z.strictObject({}),
    about: "Delete what was learned of when nobody is here",
  },
  "policy.setRules": { params: z.strictObject({ rules }), result: decision, about: "Replace the rules" },
  "earnings.receipts": {
    params: z.strictObject({ limit: z.int().min(1).max(500).default(50) }),
    result: z.strictObject({ receipts: z.array(receiptRow) }),
    about: "Counter-signed receipts, newest first",
  },
  "earnings.claims": {
    params: z.strictObject({}),
    result: z.strictObject({ claims: z.array(claimRow) }),
    about: "Claims, newest first",
  },
  "earnings.claim": { params: z.strictObject({}), result: claimOutcome, about: "Claim all that has accrued" },
  "earnings.evidence": {
    params: z.strictObject({
      afterReceipt: z.int().nonnegative().default(0),
      afterStatement: z.int().nonnegative().default(0),
    }),
    result: evidencePage,
    about: "Receipts with their signatures, and statements, oldest first; ask again with `next`",
  },
  "earnings.settled": {
    params: z.strictObject({}),
    result: settledPay,
    about:
      "What has arrived, by computer (its hotkey) and over stated times: of payments alone, nothing expected",
  },
  "price.get": {
    params: z.strictObject({}),
    result: z.strictObject({ prices }),
    about: "What 1 TAO or 1 alpha is worth by its owner's word, with source and date; none is ever looked up",
  },
  "price.set": {
    params: z.strictObject({
      asset: pricedAsset,
      /** Null: forget it. */
      entered: enteredPrice.omit({ at: true }).nullable(),
    }),
    result: z.strictObject({ prices }),
    about: "Say what 1 TAO or 1 alpha is worth and where that was read, as of now",
  },
  "payout.challenge": {
    params: z.strictObject({ payoutColdkey: ss58Address }),
    result: challengeAnswer,
    about: "The text that a payout address has to sign so that the network pays to it",
  },
  "payout.bind": {
    params: bindRequest,
    result: bindAnswer,
    about: "Have the network pay to the address that has signed its text",
  },
  "wallet.list": {
    params: z.strictObject({}),
    result: z.strictObject({
      /** The folder of wallets. */
      root: z.string(),
      wallets: z.array(listedWallet),
      /** Path of the hotkey that works here. */
      inUse: z.string(),
      /** Where its wallet is paid to; null: to the hotkey itself. */
      payoutColdkey: ss58Address.nullable(),
      /** How the file of the hotkey that works here is protected. */
      atRest: keyAtRest,
    }),
    about: "The keys in the folder of wallets, by their addresses, and which hotkey works here",
  },
  "wallet.create": {
    params: z.strictObject({
      ...namedKey,
      words: z.literal([12, 15, 18, 21, 24]).default(12),
      /** Of the new file; null: none. */
      password: keyPassword.nullable().default(null),
    }),
    result: z.strictObject({ key: listedKey, phrase: z.string() }),
    about: "Make a key. Its secret phrase is told once, and not kept by who asked",
  },
  "wallet.import": {
    params: z.strictObject({
      ...namedKey,
      from: z.discriminatedUnion("type", [
        z.strictObject({ type: z.literal("phrase"), phrase: z.string().max(1000) }),
        z.strictObject({
          type: z.literal("content"),
          /** Of a key file of Bittensor's tools, or of an account exported by polkadot-js. */
          content: z.string().max(64 * 1024),
          password: keyPassword.nullable(),
        }),
      ]),
      password: keyPassword.nullable().default(null),
    }),
    result: z.strictObject({ key: listedKey }),
    about: "Take a key in, from its phrase or a file of another program",
  },
  "wallet.backup": {
    params: z.strictObject({
      ...namedKey,
      /** Of the key's file, where it is locked. */
      password: keyPassword.nullable().default(null),
      backupPassword: keyPassword,
    }),
    result: z.strictObject({ content: z.string(), address: ss58Address }),
    about: "A key under a password, as polkadot-js and browser wallets take it",
  },
  "wallet.use": {
    params: z.strictObject({
      wallet: keyName,
      hotkey: keyName,
      password: keyPassword.nullable().default(null),
    }),
    result: keysInUse,
    about: "Work with another hotkey from now on. What the one before has earned stays in sight",
  },
  "wallet.keep": {
    params: z.strictObject({ how: z.enum(["keychain", "open"]) }),
    result: keyAtRest,
    about:
      "Have the system's keychain protect the hotkey's file, or nobody any more (before the app is removed); it stays the same key",
  },
  "wallet.payout": {
    params: z.strictObject({
      address: z.string().max(100),
      /** Instead of the address that is there. */
      replace: z.boolean().default(false),
    }),
    result: keysInUse,
    about: "Have the wallet in use be paid to this address, whose secret need not be here",
  },
  "providers.get": {
    params: z.strictObject({}),
    result: providersReport,
    about: "What this computer can train with, and why it uses what it does",
  },
  "providers.test": {
    params: z.strictObject({}),
    result: providersReport,
    about: "Test again what this computer can train with; `providers.get` tells how it goes",
  },
  "network.list": {
    params: z.strictObject({}),
    result: knownNetworks,
    about:
      "The networks that this computer has joined; the one on this computer alone runs when none is active",
  },
  "network.computers": {
    params: z.strictObject({}),
    result: otherComputers,
    about:
      "The owner's other computers that work for the active network: with the same key, or by the payout address's word",
  },
  "network.look": {
    params: z.strictObject({ invitation: invitationText }),
    result: networkOffer,
    about: "What an invitation leads to and asks for. Nothing is joined, downloaded or computed",
  },
  "network.offer": {
    params: z.strictObject({ invitation: invitationText }),
    result: networkOffer,
    about:
      "Show the owner what an invitation leads to (`network.offer` in the state): it waits for a yes or no there",
  },
  "network.join": {
    params: z.strictObject({
      invitation: invitationText,
      /** SECURITY: without the owner's yes to what `network.look` said, nothing of the network runs here. */
      consent: z.literal(true),
    }),
    result: knownNetworks,
    about: "Join a network after its owner's yes, and make it the active one",
  },
  "network.answer": {
    params: z.strictObject({ consent: z.boolean() }),
    result: knownNetworks,
    about:
      "Say yes or no to the invitation that Train at Home was started with (`network.offer` in the state)",
  },
  "network.switch": {
    params: z.strictObject({ network: networkId.nullable() }),
    result: knownNetworks,
    about: "Make another joined network the active one; null: the one on this computer alone",
  },
  "network.leave": {
    params: z.strictObject({ network: networkId }),
    result: knownNetworks,
    about: "Leave a network. What was kept of it stays on the disk until its folder is deleted",
  },
  "network.goBack": {
    params: goBackRequest,
    result: goBackQuestion,
    about:
      "As operator of the network that is served from this data folder: give up what it asks about (`asked` in the state), as it was read there",
  },
  "evidence.report": {
    params: z.strictObject({ evidence }),
    result: decision,
    about: "What the shell knows about idle time and power",
  },
  "session.newLogin": {
    params: z.strictObject({}),
    result: z.strictObject({ url: z.url() }),
    about: "An address that signs a browser in, once, within two minutes",
  },
  "session.signOut": {
    params: z.strictObject({}),
    result: z.strictObject({}),
    about: "End the sign-in of every browser, and every address that was not used yet",
  },
  "session.newToken": {
    params: z.strictObject({
      name: z.string().trim().min(1).max(40),
      scopes: z.array(apiScope).min(1).max(4),
      days: z.int().min(1).max(3650).default(30),
      budget: agentBudget.default(DEFAULT_AGENT_BUDGET),
    }),
    result: z.strictObject({ id: z.string(), token: z.string() }),
    about: "A token with which a program may do what its scopes say. It is told once",
  },
  "session.tokens": {
    params: z.strictObject({}),
    result: z.strictObject({ tokens: z.array(apiToken) }),
    about: "The tokens that hold, without the tokens themselves",
  },
  "session.whoAmI": {
    params: z.strictObject({}),
    result: z.strictObject({
      /** As the audit names this caller. */
      who: z.string(),
      scopes: z.array(apiScope),
      /** Of a token: what is left of its budget in this hour and on this day. Null: it is the owner. */
      left: z.strictObject({ calls: z.int(), minutes: z.int() }).nullable(),
    }),
    about: "Who calls, what it may do, and what is left of its budget",
  },
  "session.revokeToken": {
    params: z.strictObject({ id: z.string().max(64) }),
    result: z.strictObject({ tokens: z.array(apiToken) }),
    about: "Take a token back, and end the connections that were opened with it",
  },
  "session.audit": {
    params: z.strictObject({ limit: z.int().min(1).max(1000).default(50) }),
    result: z.strictObject({ entries: z.array(auditEntry) }),
    about: "Who did what over this API, newest first",
  },
  "daemon.quit": {
    params: z.strictObject({}),
    result: z.strictObject({}),
    about: "End the daemon and everything it started",
  },
} as const;
export type Methods = typeof METHODS;
export type MethodName = keyof Methods;
/** Parameters as a caller writes them (defaults may be left out). */
export type MethodParams<Name extends MethodName> = z.input<Methods[Name]["params"]>;
export type MethodResult<Name extends MethodName> = z.infer<Methods[Name]["result"]>;

/** A model is prepared, or a password worked with: seconds, and more of them while the computer trains. */
const SLOW: ReadonlySet<MethodName> = new Set<MethodName>([
  "model.write",
  "wallet.create",
  "wallet.import",
  "wallet.backup",
  "wallet.use",
  "wallet.keep",
]);

/** How long a client waits for an answer before it says that there is none, in milliseconds. */
export function answerWithinMs(method: MethodName): number {
  return SLOW.has(method) ? 180_000 : 20_000;
}

/** A call, as JSON text on the WebSocket `/rpc`. */
export const apiRequest = z.strictObject({
  id: z.int().nonnegative(),
  method: z.enum(Object.keys(METHODS) as [MethodName, ...MethodName[]]),
  params: z.unknown().optional(),
});

/** All that the daemon sends: answers to calls, patches to the state, and finished steps. */
export const apiMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("result"), id: z.int().nonnegative(), result: z.unknown() }),
  z.strictObject({ type: z.literal("error"), id: z.int().nonnegative(), error: failureSchema }),
  z.strictObject({ type: z.literal("patch"), operations: z.array(patchOperation) }),
  z.strictObject({ type: z.literal("point"), point: historyPoint }),
]);
export type ApiMessage = z.infer<typeof apiMessage>;

/** `<data folder>/api.json`, mode 0600: how a client on this computer reaches the daemon. */
export const apiFile = z.strictObject({
  url: z.url(),
  /** Sent as `Authorization: Bearer …` when opening `/rpc`. */
  token: z.string().regex(/^[0-9a-f]{64}$/),
  pid: z.int().positive(),
  /** A Unix socket, or Windows' named pipe, for who may use this file: no token is needed there. */
  socket: z.string().nullable().default(null),
});
export type ApiFile = z.infer<typeof apiFile>;
