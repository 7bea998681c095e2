import { z } from "zod";
import { CHAIN_ACTION_KINDS, chainAction, chainAsset } from "./chain-action.ts";
import { raoText } from "./units.ts";
import { sr25519Signature, ss58Address } from "./keys.ts";

/**
 * `tah wallet …` ↔ the process that holds the keys meanwhile, over Node's IPC channel. Passwords and
 * phrases travel here and nowhere else: never as words of a command line.
 */
export const keyName = z.string().min(1).max(64);
const folder = z.string().min(1);
export const keyPassword = z.string().max(1024);

/** Where keys lie: a folder of wallets in Bittensor's layout. */
const place = { root: folder, wallet: keyName };

export const keySource = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("phrase"), phrase: z.string().max(1000) }),
  z.strictObject({ type: z.literal("seed"), seed: z.string().max(80) }),
  /** A file of Bittensor's tools or of polkadot-js; the password, where it is locked. */
  z.strictObject({ type: z.literal("file"), path: folder, password: keyPassword.nullable() }),
  /** What such a file holds. */
  z.strictObject({
    type: z.literal("content"),
    content: z.string().max(64 * 1024),
    password: keyPassword.nullable(),
  }),
]);
export type KeySource = z.infer<typeof keySource>;

export const walletRequest = z.discriminatedUnion("type", [
  /** `home`: whose hotkey in use is to be marked. */
  z.strictObject({ type: z.literal("list"), root: folder, home: folder }),
  z.strictObject({
    type: z.literal("create"),
    ...place,
    /** Name of the hotkey; null: the coldkey. */
    hotkey: keyName.nullable(),
    words: z.literal([12, 15, 18, 21, 24]),
    password: keyPassword.nullable(),
  }),
  z.strictObject({
    type: z.literal("import"),
    ...place,
    hotkey: keyName.nullable(),
    from: keySource,
    /** Of the new file. */
    password: keyPassword.nullable(),
  }),
  z.strictObject({
    type: z.literal("export"),
    ...place,
    hotkey: keyName.nullable(),
    /** Of the file that is read, where it is locked. */
    password: keyPassword.nullable(),
    to: z.discriminatedUnion("type", [
      z.strictObject({ type: z.literal("phrase") }),
      z.strictObject({ type: z.literal("bittensor"), path: folder, password: keyPassword.nullable() }),
      z.strictObject({ type: z.literal("polkadot"), path: folder, password: keyPassword }),
      /** The same, told instead of written. */
      z.strictObject({ type: z.literal("content"), password: keyPassword }),
    ]),
  }),
  /** The address that earnings go to, without its secret: `coldkeypub.txt`. */
  z.strictObject({
    type: z.literal("payout"),
    ...place,
    address: z.string().max(100),
    replace: z.boolean(),
  }),
  /** The coldkey agrees to be paid: it signs the text when it is such a consent, of its own address. */
  z.strictObject({
    type: z.literal("consent"),
    ...place,
    /** The data folder, where each signature is written down. */
    home: folder,
    text: z.string().max(4096),
    /** Of the coldkey's file, where it is locked. */
    password: keyPassword.nullable(),
  }),
  /** One thing on a chain, within the day's limit. */
  z.strictObject({
    type: z.literal("act"),
    ...place,
    /** Whose key signs what hotkeys sign. */
    hotkey: keyName,
    home: folder,
    url: z.string().max(500),
    genesis: z.string().regex(/^0x[0-9a-f]{64}$/, "0x and 64 digits of hex"),
    action: chainAction,
    password: keyPassword.nullable(),
  }),
  z.strictObject({ type: z.literal("limit"), home: folder, asset: chainAsset, raoPerDay: raoText }),
  /** Which hotkey the daemon of this data folder works with. */
  z.strictObject({ type: z.literal("use"), home: folder, ...place, hotkey: keyName }),
]);
export type WalletRequest = z.infer<typeof walletRequest>;

/** A key file as it lies there. */
export const listedKey = z.strictObject({
  name: z.string(),
  path: z.string(),
  /** Null: it cannot be known without the password, or at all. */
  address: ss58Address.nullable(),
  /** `public`: the address alone. */
  holds: z.enum(["secret", "locked", "public"]),
  /** Why it cannot be used, as a sentence; null: it can. */
  problem: z.string().nullable(),
});
export type ListedKey = z.infer<typeof listedKey>;

export const listedWallet = z.strictObject({
  name: z.string(),
  coldkey: listedKey.nullable(),
  hotkeys: z.array(listedKey),
});
export type ListedWallet = z.infer<typeof listedWallet>;

export const walletAnswer = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("list"),
    root: z.string(),
    wallets: z.array(listedWallet),
    /** Path of the hotkey that the daemon of the data folder works with. */
    inUse: z.string(),
  }),
  z.strictObject({
    type: z.literal("key"),
    key: listedKey,
    /** Null: it is not asked for, or the key has none. */
    phrase: z.string().nullable(),
  }),
  z.strictObject({ type: z.literal("written"), path: z.string(), address: ss58Address }),
  z.strictObject({ type: z.literal("exported"), content: z.string(), address: ss58Address }),
  z.strictObject({ type: z.literal("signed"), address: ss58Address, signature: sr25519Signature }),
  z.strictObject({
    type: z.literal("acted"),
    kind: z.enum(CHAIN_ACTION_KINDS),
    from: ss58Address,
    block: z.int().nonnegative(),
    blockHash: z.string(),
    extrinsic: z.string(),
    /** By the chain's own event; null: it moves nothing. */
    creditedRao: raoText.nullable(),
    /** What the chain took for it; null: it does not say. */
    feeRao: raoText.nullable(),
  }),
  z.strictObject({ type: z.literal("limited"), asset: chainAsset, raoPerDay: raoText }),
  z.strictObject({ type: z.literal("used"), path: z.string(), address: ss58Address.nullable() }),
]);
export type WalletAnswer = z.infer<typeof walletAnswer>;

export const walletMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("working"), seconds: z.number().nonnegative() }),
  z.strictObject({ type: z.literal("done"), answer: walletAnswer }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type WalletMessage = z.infer<typeof walletMessage>;
