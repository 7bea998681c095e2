import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { blake2b } from "@noble/hashes/blake2.js";
import { verify } from "@scure/sr25519";
import type * as PolkadotTypes from "@polkadot/types";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { z } from "zod";
import { sha256 } from "../../src-protocol/signing.ts";
import { decodeSs58, encodeSs58 } from "../../src-protocol/ss58.ts";
import { storageEntries, subtensorStorage } from "./subtensor-storage.test-support.ts";
import { SubtensorState } from "./subtensor-state.test-support.ts";
import type { Account, Field, Outcome } from "./subtensor-state.test-support.ts";

const { Metadata, TypeRegistry } = createRequire(import.meta.url)("@polkadot/types") as typeof PolkadotTypes;
type Codec = ReturnType<PolkadotTypes.TypeRegistry["createType"]>;

/** Finney's own metadata; tests that need it are skipped where it is not. */
const METADATA_FILE = join(
  import.meta.dirname,
  "..",
  "..",
  "..",
  "shared",
  "data",
  "subtensor-finney-393.scale",
);
export const hasSubtensorMetadata = existsSync(METADATA_FILE);

const request = z.object({ id: z.number(), method: z.string(), params: z.array(z.unknown()).default([]) });
const SPEC = {
  specName: "node-subtensor",
  implName: "node-subtensor",
  authoringVersion: 1,
  specVersion: 393,
};
const VERSION = { ...SPEC, implVersion: 1, apis: [], transactionVersion: 1, stateVersion: 1 };
const FEE_RAO = 137_047n;

interface Block {
  readonly number: number;
  readonly hash: string;
  readonly extrinsics: readonly string[];
  readonly events: string;
}

/** These cost their signer nothing, on Subtensor as here: hotkeys hold no TAO. */
const FREE: ReadonlySet<string> = new Set(["subtensorModule.serveAxon", "subtensorModule.setWeights"]);
/** Longer payloads are signed as their hash. */
const HASHED_ABOVE_BYTES = 256;

/** How a node may fail between a client's submission and its answer. */
export type Fault =
  /** It takes the transaction, and the client never hears of it. */
  | "takes and is silent"
  /** It is gone before it has taken it. */
  | "loses it and is silent";

/**
 * A chain node, small and strict: it serves Subtensor's real metadata, keeps accounts, subnets and stake, and takes
 * only extrinsics whose sr25519 signatures, nonces, eras and genesis are right. One block an extrinsic, final at once.
 */
export class SubtensorNode {
  readonly url: string;
  readonly genesis: string;
  readonly state = new SubtensorState();
  /** Module errors that calls of this name meet, first to last. */
  readonly failures: { readonly call: string; readonly error: string }[] = [];
  readonly refused: string[] = [];
  /** Of the next submissions, first to last. */
  readonly faults: Fault[] = [];
  /** Called when a submission has met its fault: the moment to kill who sent it. */
  onFault: (fault: Fault) => void = () => undefined;
  /** Called before each call is done, so that the world can have moved since it was signed. */
  beforeCall: (name: string) => void = () => undefined;
  /** Hashes of the extrinsics that came, in or not. */
  readonly submitted: string[] = [];
  readonly #server: WebSocketServer;
  readonly #registry: PolkadotTypes.TypeRegistry;
  readonly #metadata: string;
  readonly #entries: ReturnType<typeof storageEntries>;
  readonly #blocks: Block[];
  #subscriptions = 0;

  private constructor(server: WebSocketServer, change: (metadata: Buffer) => Buffer) {
    this.#server = server;
    this.url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#metadata = `0x${change(readFileSync(METADATA_FILE)).toString("hex")}`;
    this.#registry = new TypeRegistry();
    const metadata = new Metadata(this.#registry, this.#metadata as `0x${string}`);
    this.#registry.setMetadata(metadata);
    this.#entries = storageEntries(this.#registry, metadata);
    this.#blocks = [];
    this.genesis = this.#build([], "0x00");
    server.on("connection", (socket) => {
      socket.on("message", (data) => this.#receive(socket, request.parse(JSON.parse(String(data)))));
    });
  }

  static async start({ change = (metadata: Buffer): Buffer => metadata } = {}): Promise<SubtensorNode> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    return new SubtensorNode(server, change);
  }

  get accounts(): Map<string, Account> {
    return this.state.accounts;
  }

  /** Empty blocks. */
  mine(blocks: number): void {
    for (let i = 0; i < blocks; i++) this.#build([], "0x00");
  }

  /** Ends every connection, and goes on. */
  hangUp(): void {
    for (const socket of this.#server.clients) socket.terminate();
  }

  /** A node that has forgotten the events of its old blocks. */
  forgetEvents(): void {
    this.#blocks.forEach((block, i) => (this.#blocks[i] = { ...block, events: "0x00" }));
  }

  get height(): number {
    return this.#blocks.length - 1;
  }

  async stop(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((done) => this.#server.close(done));
  }

  #receive(socket: WebSocket, { id, method, params }: z.infer<typeof request>): void {
    const send = (message: object): void => socket.send(JSON.stringify({ jsonrpc: "2.0", ...message }));
    const subscribe = (name: string, results: readonly unknown[]): void => {
      const subscription = `s${++this.#subscriptions}`;
      send({ id, result: subscription });
      for (const result of results) send({ method: name, params: { subscription, result } });
    };
    try {
      switch (method) {
        case "author_submitAndWatchExtrinsic": {
          const fault = this.faults.shift();
          this.submitted.push(hashOf(String(params[0])));
          if (fault === "loses it and is silent") return this.onFault(fault);
          const block = this.#take(String(params[0]));
          if (fault !== undefined) return this.onFault(fault);
          return subscribe("author_extrinsicUpdate", ["ready", { inBlock: block }, { finalized: block }]);
        }
        case "state_subscribeRuntimeVersion":
          return subscribe("state_runtimeVersion", [VERSION]);
        case "state_subscribeStorage": {
          const keys = z.array(z.string()).parse(params[0]);
          const changes = keys.map((key) => [key, this.#storage(key, null)]);
          return subscribe("state_storage", [{ block: this.#head().hash, changes }]);
        }
        case "chain_subscribeNewHead":
        case "chain_subscribeNewHeads":
        case "chain_subscribeFinalizedHeads":
          return subscribe("chain_newHead", [this.#header(this.#head())]);
        case "state_unsubscribeStorage":
        case "author_unwatchExtrinsic":
        case "chain_unsubscribeNewHeads":
        case "chain_unsubscribeFinalizedHeads":
          return send({ id, result: true });
        default:
          return send({ id, result: this.#answer(method, params) });
      }
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(-32_000, String(error));
      this.refused.push(refusal.message);
      return send({ id, error: { code: refusal.code, message: refusal.message, data: refusal.data } });
    }
  }

  #answer(method: string, params: readonly unknown[]): unknown {
    switch (method) {
      case "system_chain":
        return "Bittensor";
      case "system_properties":
        return { ss58Format: 42, tokenDecimals: 9, tokenSymbol: "TAO" };
      case "rpc_methods":
        return { methods: [] };
      case "state_getRuntimeVersion":
        return VERSION;
      case "state_getMetadata":
        return this.#metadata;
      case "chain_getBlockHash":
        return this.#blocks[Number(params[0] ?? this.height)]?.hash ?? null;
      case "chain_getFinalizedHead":
        return this.#head().hash;
      case "chain_getHeader":
        return this.#header(this.#blockOf(params[0]));
      case "chain_getBlock": {
        const block = this.#blockOf(params[0]);
        return { block: { header: this.#header(block), extrinsics: block.extrinsics }, justifications: null };
      }
      case "system_accountNextIndex":
        return this.state.account(String(params[0])).nonce;
      case "state_call":
        return this.#runtime(String(params[0]), String(params[1]));
      case "state_getStorage":
        return this.#storage(String(params[0]), params[1]);
      case "state_queryStorageAt": {
        const keys = z.array(z.string()).parse(params[0]);
        return [
          {
            block: this.#blockOf(params[1]).hash,
            changes: keys.map((key) => [key, this.#storage(key, params[1])]),
          },
        ];
      }
      default:
        throw new Refusal(-32_601, `Method not found: ${method}`);
    }
  }

  #head(): Block {
    const block = this.#blocks.at(-1);
    if (block === undefined) throw new Error("no block");
    return block;
  }

  #blockOf(hash: unknown): Block {
    return this.#blocks.find((block) => block.hash === hash) ?? this.#head();
  }

  #header({ number, extrinsics }: Block): object {
    return this.#headerOf(number, extrinsics);
  }

  #storage(key: string, at: unknown): string | null {
    if (key === EVENTS_KEY) return this.#blockOf(at).events;
    return subtensorStorage(this.#registry, this.#entries, this.state).get(key) ?? null;
  }

  /** Of the runtime's own calls, those that the product asks. */
  #runtime(name: string, words: string): string {
    const input = Buffer.from(words.slice(2), "hex");
    const registry = this.#registry;
    if (name === "SwapRuntimeApi_current_alpha_price") {
      const price = this.state.subnets.get(input.readUInt16LE(0))?.priceRao ?? 0n;
      return registry.createType("u64", price).toHex(true);
    }
    if (name === "StakeInfoRuntimeApi_get_stake_info_for_coldkey") {
      const api = [...registry.metadata.apis].find((each) => each.name.toString() === "StakeInfoRuntimeApi");
      const type = api?.methods[0]?.output;
      if (type === undefined) throw new Refusal(-32_601, "no such call");
      const coldkey = encodeSs58(input);
      const rows = [...this.state.stake].flatMap(([key, rao]) => {
        const [owner, hotkey, netuid] = key.split(" ");
        return owner === coldkey ? { hotkey, coldkey, netuid: Number(netuid), stake: rao } : [];
      });
      return registry.createTypeUnsafe(registry.createLookupType(type), [rows]).toHex();
    }
    throw new Refusal(-32_601, `no such call: ${name}`);
  }

  /** Verifies, then executes. @throws Refusal as a transaction pool says no */
  #take(hex: string): string {
    const extrinsic = this.#registry.createType("Extrinsic", hex) as unknown as Extrinsic;
    const sender = extrinsic.signer.toString();
    const account = this.state.account(sender);
    const { nonce, tip, era, method } = extrinsic;
    const payload = this.#registry.createType(
      "ExtrinsicPayload",
      {
        method: method.toHex(),
        era: era.toHex(),
        nonce: nonce.toNumber(),
        tip: tip.toString(),
        specVersion: VERSION.specVersion,
        transactionVersion: VERSION.transactionVersion,
        genesisHash: this.genesis,
        blockHash: era.isImmortalEra ? this.genesis : this.#birthOf(era),
      },
      { version: 4 },
    ) as unknown as { toU8a(options: { method: true }): Uint8Array };
    const signature = Buffer.from(extrinsic.signature.toHex().slice(2), "hex");
    const signer = decodeSs58(sender);
    const bytes = payload.toU8a({ method: true });
    const text = bytes.length > HASHED_ABOVE_BYTES ? blake2b(bytes, { dkLen: 32 }) : bytes;
    if (signer === null || !isVerified(text, signature, signer))
      throw new Refusal(1010, "Invalid Transaction", "Transaction has a bad signature");
    if (!era.isImmortalEra && this.height + 1 >= era.asMortalEra.death(this.height))
      throw new Refusal(1010, "Invalid Transaction", "Transaction is outdated");
    if (nonce.toNumber() !== account.nonce)
      throw new Refusal(1010, "Invalid Transaction", "Transaction is outdated");
    const feeRao = FREE.has(`${method.section}.${method.method}`) ? 0n : FEE_RAO;
    if (account.free < feeRao)
      throw new Refusal(
        1010,
        "Invalid Transaction",
        "Inability to pay some fees (e.g. account balance too low)",
      );
    account.nonce += 1;
    account.free -= feeRao;
    const outcome = this.#execute(sender, method);
    const paid = feeRao === 0n ? [] : [this.#feePaid(sender, feeRao)];
    const done =
      "error" in outcome
        ? [...paid, this.#failed(outcome.error)]
        : [
            ...outcome.events.map(({ pallet, name, fields }) =>
              this.#event(pallet, name, Buffer.concat(fields.map(encoded))),
            ),
            ...paid,
            this.#event("System", "ExtrinsicSuccess", INFO),
          ];
    const records = done.map((each) => Buffer.concat([Buffer.from([0, 0, 0, 0, 0]), each, Buffer.from([0])]));
    const events = Buffer.concat([compact(records.length), ...records]);
    return this.#build([hex], `0x${events.toString("hex")}`);
  }

  /** A block's hash is that of its header, as clients compute it. */
  #build(extrinsics: readonly string[], events: string): string {
    const number = this.#blocks.length;
    const header = this.#registry.createType("Header", this.#headerOf(number, extrinsics));
    const hash = header.hash.toHex();
    this.#blocks.push({ number, hash, extrinsics, events });
    return hash;
  }

  #headerOf(number: number, extrinsics: readonly string[]): object {
    return {
      parentHash: this.#blocks[number - 1]?.hash ?? `0x${"00".repeat(32)}`,
      number: `0x${number.toString(16)}`,
      stateRoot: `0x${sha256("a chain of a test")}`,
      extrinsicsRoot: `0x${sha256(extrinsics.join(" "))}`,
      digest: { logs: [] },
    };
  }

  #birthOf(era: Era): string {
    const birth = era.asMortalEra.birth(this.height);
    return this.#blocks[Math.min(birth, this.height)]?.hash ?? this.genesis;
  }

  #execute(sender: string, { section, method, args }: Extrinsic["method"]): Outcome {
    const name = `${section}.${method}`;
    if (name === "utility.forceBatch") {
      this.beforeCall(name);
      return this.#executeEach(sender, [...(args[0] as unknown as Iterable<Extrinsic["method"]>)]);
    }
    const planned = this.failures.findIndex(({ call }) => call === name);
    const [failure] = planned < 0 ? [] : this.failures.splice(planned, 1);
    if (failure !== undefined) return { error: failure.error };
    this.beforeCall(name);
    return this.state.execute(sender, name, args.map(String), this.height + 1);
  }

  /** `force_batch`: one that fails undoes no other, and each is told apart. */
  #executeEach(sender: string, calls: readonly Extrinsic["method"][]): Outcome {
    const told = (name: string, fields: readonly Field[] = []) => ({ pallet: "Utility", name, fields });
    let failed = 0;
    const events = calls.flatMap((call) => {
      const outcome = this.#execute(sender, call);
      if ("events" in outcome) return [...outcome.events, told("ItemCompleted")];
      failed += 1;
      return [told("ItemFailed", [{ bytes: this.#moduleError(outcome.error) }])];
    });
    return { events: [...events, told(failed === 0 ? "BatchCompleted" : "BatchCompletedWithErrors")] };
  }

  #feePaid(sender: string, feeRao: bigint): Uint8Array {
    const fields = [{ account: sender }, { u64: feeRao }, { u64: 0n }];
    return this.#event("TransactionPayment", "TransactionFeePaid", Buffer.concat(fields.map(encoded)));
  }

  #event(pallet: string, name: string, fields: Uint8Array): Uint8Array {
    const { index, variants } = this.#pallet(pallet, "events");
    return Buffer.concat([Buffer.from([index, variantIndex(variants, name)]), fields]);
  }

  #failed(error: string): Uint8Array {
    return this.#event("System", "ExtrinsicFailed", Buffer.concat([this.#moduleError(error), INFO]));
  }

  /** DispatchError::Module { index, error: [u8; 4] } */
  #moduleError(error: string): Uint8Array {
    const [pallet = "", name = ""] = error.split(".");
    const { index, variants } = this.#pallet(pallet, "errors");
    return Buffer.from([3, index, variantIndex(variants, name), 0, 0, 0]);
  }

  #pallet(name: string, what: "events" | "errors") {
    const pallet = this.#registry.metadata.pallets.find((each) => each.name.toString() === name);
    const type = pallet?.[what].unwrap().type;
    if (pallet === undefined || type === undefined) throw new Error(`no pallet ${name}`);
    const { variants } = this.#registry.lookup.getSiType(type).def.asVariant;
    return { index: pallet.index.toNumber(), variants };
  }
}

class Refusal extends Error {
  readonly code: number;
  readonly data: string | undefined;

  constructor(code: number, message: string, data?: string) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

interface Era extends Codec {
  readonly isImmortalEra: boolean;
  readonly asMortalEra: { birth(current: number): number; death(current: number): number };
}

/** What of polkadot-js' extrinsic is looked at. */
interface Extrinsic {
  readonly signer: Codec;
  readonly signature: Codec;
  readonly nonce: { toNumber(): number };
  readonly tip: Codec;
  readonly era: Era;
  readonly method: Codec & {
    readonly section: string;
    readonly method: string;
    readonly args: readonly Codec[];
  };
}

/** `DispatchInfo`: weight (two compact zeros), class Normal, fees are paid. */
const INFO = Buffer.from([0, 0, 0, 0]);

/** twox128(System) ‖ twox128(Events). */
const EVENTS_KEY = "0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7";

/** SCALE's compact number, of a list's length. */
function compact(length: number): Uint8Array {
  return length < 64 ? Buffer.from([length << 2]) : u16((length << 2) | 1);
}

function encoded(field: Field): Uint8Array {
  if ("bytes" in field) return field.bytes;
  if ("account" in field) return accountBytes(field.account);
  return "u64" in field ? u64(field.u64) : u16(field.u16);
}

function hashOf(extrinsic: string): string {
  return `0x${Buffer.from(blake2b(Buffer.from(extrinsic.slice(2), "hex"), { dkLen: 32 })).toString("hex")}`;
}

function isVerified(payload: Uint8Array, signature: Uint8Array, signer: Uint8Array): boolean {
  try {
    return verify(payload, signature, signer);
  } catch {
    return false;
  }
}

function variantIndex(
  variants: Iterable<{ readonly name: { toString(): string }; readonly index: { toNumber(): number } }>,
  name: string,
): number {
  for (const variant of variants) if (variant.name.toString() === name) return variant.index.toNumber();
  throw new Error(`no variant ${name}`);
}

function accountBytes(address: string): Uint8Array {
  const bytes = decodeSs58(address);
  if (bytes === null) throw new Error(`no address: ${address}`);
  return bytes;
}

function u64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

function u16(value: number): Uint8Array {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
