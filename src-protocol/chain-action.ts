import { z } from "zod";
import { ss58Address } from "./keys.ts";
import type { Ss58Address } from "./keys.ts";
import { formatTao, raoText } from "./units.ts";

/**
 * All that a key of this product signs for a chain. SECURITY: an extrinsic is made from one of these where the key
 * is, and never from bytes that somebody hands over.
 */
const netuid = z.int().min(0).max(65_535);
/** How far the price may move against the owner, in hundredths of a percent; null: as far as it likes. */
const toleranceBps = z.int().min(0).max(5_000).nullable();

export const chainAction = z.discriminatedUnion("kind", [
  /** TAO to an address; the sender's account stays alive. */
  z.strictObject({ kind: z.literal("transfer"), to: ss58Address, amountRao: raoText }),
  /** TAO of the coldkey becomes alpha of a subnet, at a hotkey. */
  z.strictObject({
    kind: z.literal("stake"),
    hotkey: ss58Address,
    netuid,
    amountRao: raoText,
    toleranceBps,
  }),
  /** Alpha becomes TAO of the coldkey. */
  z.strictObject({
    kind: z.literal("unstake"),
    hotkey: ss58Address,
    netuid,
    amountRao: raoText,
    toleranceBps,
  }),
  /** Alpha goes to another coldkey, and stays at the same hotkey of the same subnet. */
  z.strictObject({
    kind: z.literal("transfer-stake"),
    to: ss58Address,
    hotkey: ss58Address,
    netuid,
    amountRao: raoText,
  }),
  /** To many in one transaction: TAO, or alpha that stays staked where it is; of each it is known apart what came of it. */
  z.strictObject({
    kind: z.literal("pay-many"),
    /** Null: it is TAO. */
    staked: z.strictObject({ hotkey: ss58Address, netuid }).nullable(),
    payments: z
      .array(z.strictObject({ to: ss58Address, amountRao: raoText }))
      .min(1)
      .max(100),
  }),
  /** A place in a subnet, for at most so much TAO, which is burned. */
  z.strictObject({ kind: z.literal("register"), hotkey: ss58Address, netuid, mostRao: raoText }),
  /** Where the hotkey is served; its own signature. */
  z.strictObject({
    kind: z.literal("axon"),
    netuid,
    ip: z.union([z.ipv4(), z.ipv6()]),
    port: z.int().min(1).max(65_535),
  }),
  /** What a validator thinks of the others, in shares of its own making; its hotkey's signature. */
  z.strictObject({
    kind: z.literal("weights"),
    netuid,
    weights: z
      .array(z.strictObject({ uid: z.int().min(0).max(65_535), weight: z.number().nonnegative() }))
      .min(1)
      .max(65_536),
    versionKey: z.int().nonnegative(),
  }),
]);
export type ChainAction = z.infer<typeof chainAction>;
export type ChainActionKind = ChainAction["kind"];

export const CHAIN_ACTION_KINDS = [
  "transfer",
  "stake",
  "unstake",
  "transfer-stake",
  "pay-many",
  "register",
  "axon",
  "weights",
] as const satisfies readonly ChainActionKind[];

/** What can be moved: TAO, or the alpha of one subnet. Each has a limit of its own. */
export const chainAsset = z.union([
  z.literal("tao"),
  z.templateLiteral(["alpha-", z.int().min(0).max(65_535)]),
]);
export type ChainAsset = z.infer<typeof chainAsset>;

export function alphaOf(subnet: number): ChainAsset {
  return `alpha-${subnet}`;
}

/** `TAO`, or `alpha of subnet 9`. */
export function assetText(asset: ChainAsset): string {
  return asset === "tao" ? "TAO" : `alpha of subnet ${asset.slice("alpha-".length)}`;
}

/** One of many payments, as it would be alone. */
export function singlePayment(
  { staked }: Pick<Extract<ChainAction, { kind: "pay-many" }>, "staked">,
  { to, amountRao }: { readonly to: Ss58Address; readonly amountRao: string },
): Extract<ChainAction, { kind: "transfer" | "transfer-stake" }> {
  return staked === null
    ? { kind: "transfer", to, amountRao }
    : { kind: "transfer-stake", to, ...staked, amountRao };
}

/** Which of a wallet's keys the chain wants to sign. */
export function signerOf({ kind }: Pick<ChainAction, "kind">): "coldkey" | "hotkey" {
  return kind === "axon" || kind === "weights" ? "hotkey" : "coldkey";
}

/** What it moves out of the signer's hands at most; null: nothing. */
export function spendOf(action: ChainAction): { readonly asset: ChainAsset; readonly rao: bigint } | null {
  switch (action.kind) {
    case "transfer":
    case "stake":
      return { asset: "tao", rao: BigInt(action.amountRao) };
    case "register":
      return { asset: "tao", rao: BigInt(action.mostRao) };
    case "unstake":
    case "transfer-stake":
      return { asset: alphaOf(action.netuid), rao: BigInt(action.amountRao) };
    case "pay-many":
      return { asset: action.staked === null ? "tao" : alphaOf(action.staked.netuid), rao: sumOf(action) };
    case "axon":
    case "weights":
      return null;
  }
}

function sumOf({ payments }: Pick<Extract<ChainAction, { kind: "pay-many" }>, "payments">): bigint {
  return payments.reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n);
}

/** What is signed, for people and for the log of signatures. */
export function actionText(action: ChainAction): string {
  switch (action.kind) {
    case "transfer":
      return `${formatTao(BigInt(action.amountRao))} TAO to ${action.to}`;
    case "stake":
      return `stake ${formatTao(BigInt(action.amountRao))} TAO at ${action.hotkey} in subnet ${action.netuid}`;
    case "unstake":
      return `unstake ${formatTao(BigInt(action.amountRao))} alpha from ${action.hotkey} in subnet ${action.netuid}`;
    case "transfer-stake":
      return `${formatTao(BigInt(action.amountRao))} alpha of subnet ${action.netuid} at ${action.hotkey} to ${action.to}`;
    case "pay-many": {
      const { staked, payments } = action;
      const what = staked === null ? "TAO" : `alpha of subnet ${staked.netuid} at ${staked.hotkey}`;
      return `${formatTao(sumOf(action))} ${what} in ${payments.length} payments: ${payments
        .slice(0, 5)
        .map(({ to, amountRao }) => `${formatTao(BigInt(amountRao))} to ${to}`)
        .join(", ")}${payments.length > 5 ? " …" : ""}`;
    }
    case "register":
      return `register ${action.hotkey} in subnet ${action.netuid} for at most ${formatTao(BigInt(action.mostRao))} TAO, which are burned`;
    case "axon":
      return `serve at ${action.ip} port ${action.port} in subnet ${action.netuid}`;
    case "weights":
      return `weights of ${action.weights.length} in subnet ${action.netuid}: ${action.weights
        .slice(0, 20)
        .map(({ uid, weight }) => `${uid}=${weight}`)
        .join(" ")}${action.weights.length > 20 ? " …" : ""}`;
  }
}
