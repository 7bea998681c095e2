import type { ApiPromise } from "@polkadot/api";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import type { ChainAccountRead, ChainNeuron, ChainSubnet } from "../../src-protocol/chain-reads.ts";

/**
 * What a chain of Subtensor says, whatever its runtime: each item is looked for in the metadata, by its newer
 * name first, and one that is not there is null and no error.
 */
type Value = unknown;
interface Numbered {
  toString(): string;
}

/** At the head of now. */
export async function subnetOf(api: ApiPromise, netuid: number): Promise<ChainSubnet> {
  const block = await blockOf(api);
  const read = reader(api);
  const [exists, tempo, last, burn, takes, seals, price] = await Promise.all([
    read(["networksAdded"], netuid),
    read(["tempo"], netuid),
    read(["lastEpochBlock"], netuid),
    read(["burn"], netuid),
    read(["networkRegistrationAllowed"], netuid),
    read(["commitRevealWeightsEnabled"], netuid),
    alphaPrice(api, netuid),
  ]);
  const blocks = numberOf(tempo);
  return {
    netuid,
    block,
    exists: flagOf(exists),
    tempo: blocks,
    blocksToEpoch: blocks === null ? null : blocksToEpoch({ netuid, block, tempo: blocks }, numberOf(last)),
    priceRao: price === null ? null : String(price),
    burnRao: raoOf(burn),
    takesRegistrations: flagOf(takes),
    sealsWeights: flagOf(seals),
  };
}

/**
 * Subtensor's own rule: an epoch runs where `(block + netuid + 1) mod (tempo + 1)` is 0; newer runtimes note the
 * last one, and the next is a tempo and a block later. Null: it never runs.
 */
export function blocksToEpoch(
  { netuid, block, tempo }: { readonly netuid: number; readonly block: number; readonly tempo: number },
  lastEpochBlock: number | null,
): number | null {
  if (tempo === 0) return null;
  if (lastEpochBlock !== null && lastEpochBlock > 0) return Math.max(0, lastEpochBlock + tempo + 1 - block);
  return tempo - ((block + netuid + 1) % (tempo + 1));
}

/** Rao of TAO for one alpha; null: it is not told. */
export async function alphaPrice(api: ApiPromise, netuid: number): Promise<bigint | null> {
  const told = await runtime(api, "swapRuntimeApi", "currentAlphaPrice", [netuid]);
  const rao = told === null ? null : raoOf(told);
  return rao === null || rao === "0" ? null : BigInt(rao);
}

export async function neuronOf(api: ApiPromise, netuid: number, hotkey: Ss58Address): Promise<ChainNeuron> {
  const block = await blockOf(api);
  const read = reader(api);
  const [uidValue, owner, stake, axon] = await Promise.all([
    read(["uids"], netuid, hotkey),
    read(["owner"], hotkey),
    read(["totalHotkeyAlpha"], hotkey, netuid),
    read(["axons"], netuid, hotkey),
  ]);
  const uid = numberOf(uidValue);
  const [at, emission, incentive, dividends] =
    uid === null
      ? [null, null, null, null]
      : await Promise.all([
          read(["blockAtRegistration"], netuid, uid),
          read(["emission"], netuid),
          read(["incentive"], netuid),
          read(["dividends"], netuid),
        ]);
  const share = (list: Value): number | null => {
    const of = uid === null ? null : numberOf(itemOf(list, uid));
    return of === null ? null : Math.min(1, of / 65_535);
  };
  return {
    netuid,
    block,
    hotkey,
    owner: addressOf(owner),
    uid,
    registeredAt: numberOf(at),
    emissionRao: uid === null ? null : raoOf(itemOf(emission, uid)),
    incentive: share(incentive),
    dividends: share(dividends),
    stakeRao: raoOf(stake),
    axon: axonOf(axon),
  };
}

export async function accountOf(api: ApiPromise, address: Ss58Address): Promise<ChainAccountRead> {
  const block = await blockOf(api);
  const account = api.query["system"]?.["account"];
  const info = account === undefined ? null : await account(address);
  return {
    address,
    block,
    freeRao: raoOf(fieldOf(fieldOf(info, "data"), "free")),
    stakes: await stakesOf(api, address),
  };
}

/** From the runtime itself where it tells; else from shares in the storage, of the hotkeys that it names. */
async function stakesOf(api: ApiPromise, coldkey: Ss58Address): Promise<ChainAccountRead["stakes"]> {
  const told = await runtime(api, "stakeInfoRuntimeApi", "getStakeInfoForColdkey", [coldkey]);
  if (isList(told))
    return told.flatMap((row) => {
      const hotkey = addressOf(fieldOf(row, "hotkey"));
      const netuid = numberOf(fieldOf(row, "netuid"));
      const rao = raoOf(fieldOf(row, "stake"));
      return hotkey === null || netuid === null || rao === null || rao === "0" ? [] : { hotkey, netuid, rao };
    });
  const read = reader(api);
  const hotkeys = await read(["stakingHotkeys"], coldkey);
  const networks = numberOf(await read(["totalNetworks"]));
  if (!isList(hotkeys) || networks === null) return null;
  const pairs = hotkeys.flatMap((value) => {
    const hotkey = addressOf(value);
    return hotkey === null ? [] : Array.from({ length: networks }, (_, netuid) => ({ hotkey, netuid }));
  });
  const rows = await Promise.all(
    pairs.map(async ({ hotkey, netuid }) => ({
      hotkey,
      netuid,
      rao: await stakeOf(api, { coldkey, hotkey, netuid }),
    })),
  );
  if (rows.some(({ rao }) => rao === null)) return null;
  return rows.flatMap(({ hotkey, netuid, rao }) =>
    rao === null || rao === 0n ? [] : { hotkey, netuid, rao: String(rao) },
  );
}

/** A coldkey's part of a hotkey's alpha: its shares ÷ all shares × all alpha, rounded down. Null: not told. */
export async function stakeOf(
  api: ApiPromise,
  {
    coldkey,
    hotkey,
    netuid,
  }: { readonly coldkey: Ss58Address; readonly hotkey: Ss58Address; readonly netuid: number },
): Promise<bigint | null> {
  const read = reader(api);
  const [mine, all, alpha] = await Promise.all([
    read(["alphaV2", "alpha"], hotkey, coldkey, netuid),
    read(["totalHotkeySharesV2", "totalHotkeyShares"], hotkey, netuid),
    read(["totalHotkeyAlpha"], hotkey, netuid),
  ]);
  const [part, whole, rao] = [sharesOf(mine), sharesOf(all), raoOf(alpha)];
  return part === null || whole === null || rao === null ? null : portion(BigInt(rao), part, whole);
}

/** `value × part ÷ whole`, rounded down; 0 of nothing. Both are of `sharesOf`. */
export function portion(value: bigint, part: Shares, whole: Shares): bigint {
  if (whole.mantissa === 0n) return 0n;
  const exponent = part.exponent - whole.exponent;
  const [up, down] = exponent >= 0 ? [10n ** BigInt(exponent), 1n] : [1n, 10n ** BigInt(-exponent)];
  return (value * part.mantissa * up) / (whole.mantissa * down);
}

export interface Shares {
  readonly mantissa: bigint;
  /** Of ten. */
  readonly exponent: number;
}

/** The account of 32 zero bytes. */
const NOBODY = "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM";
/** More digits are no number of shares. */
const MOST_EXPONENT = 100;

/** Shares in either form: `U64F64` as bits (whose 2⁶⁴ falls out of any ratio), or a mantissa and an exponent of ten. */
export function sharesOf(value: Value): Shares | null {
  const bits = fieldOf(value, "bits");
  if (bits !== undefined) return { mantissa: BigInt(String(bits)), exponent: 0 };
  const [mantissa, exponent] = [fieldOf(value, "mantissa"), fieldOf(value, "exponent")];
  if (mantissa === undefined || exponent === undefined) return null;
  const ten = Number(String(exponent));
  return Number.isInteger(ten) && Math.abs(ten) <= MOST_EXPONENT
    ? { mantissa: BigInt(String(mantissa)), exponent: ten }
    : null;
}

/** Reads the first of these items that the chain has; null: it has none. */
function reader(api: ApiPromise) {
  const items = api.query["subtensorModule"] ?? {};
  return async (names: readonly string[], ...keys: readonly unknown[]): Promise<Value> => {
    const name = names.find((each) => items[each] !== undefined);
    const item = name === undefined ? undefined : items[name];
    return item === undefined ? null : await item(...keys);
  };
}

/** Null: this chain has no such call. */
async function runtime(
  api: ApiPromise,
  section: string,
  method: string,
  words: readonly unknown[],
): Promise<Value> {
  const call = api.call[section]?.[method];
  return call === undefined ? null : await call(...words);
}

async function blockOf(api: ApiPromise): Promise<number> {
  return (await api.rpc.chain.getHeader()).number.toNumber();
}

function fieldOf(value: Value, name: string): Value {
  const whole = unwrapped(value);
  return typeof whole === "object" && whole !== null
    ? (whole as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

/** The inside of an `Option`; null where it is none. */
function unwrapped(value: Value): Value {
  if (typeof value !== "object" || value === null || !("isNone" in value)) return value;
  return value.isNone === true ? null : (value as unknown as { unwrap(): unknown }).unwrap();
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

function itemOf(list: Value, index: number): Value {
  return isList(list) ? list[index] : null;
}

function raoOf(value: Value): string | null {
  const inside = unwrapped(value);
  const text = inside === null || inside === undefined ? "" : (inside as Numbered).toString();
  return /^\d{1,20}$/.test(text) ? text : null;
}

function numberOf(value: Value): number | null {
  const text = raoOf(value);
  const number = text === null ? Number.NaN : Number(text);
  return Number.isSafeInteger(number) ? number : null;
}

function flagOf(value: Value): boolean | null {
  const text = value === null ? "" : String(value);
  return text === "true" ? true : text === "false" ? false : null;
}

function addressOf(value: Value): Ss58Address | null {
  const inside = unwrapped(value);
  const parsed = ss58Address.safeParse(inside === null || inside === undefined ? "" : String(inside));
  // What a chain says of an account that it does not know.
  return parsed.success && parsed.data !== NOBODY ? parsed.data : null;
}

function axonOf(value: Value): ChainNeuron["axon"] {
  const [ip, port, type] = ["ip", "port", "ipType"].map((name) => raoOf128(fieldOf(value, name)));
  if (ip === undefined || ip === null || port === undefined || port === null || port === 0n) return null;
  return { ip: type === 6n ? ipv6Text(ip) : ipv4Text(ip), port: Number(port) };
}

function raoOf128(value: Value): bigint | null {
  const text = value === null || value === undefined ? "" : String(value);
  return /^\d{1,39}$/.test(text) ? BigInt(text) : null;
}

function ipv4Text(ip: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((ip >> shift) & 0xffn)).join(".");
}

function ipv6Text(ip: bigint): string {
  return Array.from({ length: 8 }, (_, i) => ((ip >> BigInt(16 * (7 - i))) & 0xffffn).toString(16)).join(":");
}
