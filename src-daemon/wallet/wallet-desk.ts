import { Failure } from "../../src-protocol/failure.ts";
import type { MethodResult, Methods } from "../../src-protocol/methods.ts";
import type { WalletAnswer, WalletRequest } from "../../src-protocol/wallet-ipc.ts";
import type { z } from "zod";
import type { OwnKey } from "./own-key.ts";
import { selectedWallet } from "./selected-wallet.ts";
import { locateHotkey } from "./wallet-names.ts";
import type { WalletPlace } from "./wallet-names.ts";

export interface WalletDeskPorts {
  readonly home: string;
  readonly own: Pick<
    OwnKey,
    | "hotkey"
    | "path"
    | "payoutColdkey"
    | "tryOut"
    | "reload"
    | "reloadPayout"
    | "atRest"
    | "keep"
    | "passwordOf"
  >;
  /** The process that holds keys while one request takes. Throws its `Failure`. */
  ask(request: WalletRequest): Promise<WalletAnswer>;
  /** Another hotkey or payout address counts from now on: whatever works with the one before begins again. */
  changed(): Promise<void>;
}

type Params<Name extends keyof Methods> = z.infer<Methods[Name]["params"]>;

/**
 * The wallet, for its owner at the dashboard. Passwords and phrases go through to the process that holds
 * keys; nothing of them is kept or logged here.
 */
export class WalletDesk {
  readonly #ports: WalletDeskPorts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(ports: WalletDeskPorts) {
    this.#ports = ports;
  }

  async list(): Promise<MethodResult<"wallet.list">> {
    const { home, own } = this.#ports;
    const { wallets, root } = await this.#ask({ type: "list", root: this.#root, home }, "list");
    const { hotkey, path, payoutColdkey } = own;
    return {
      root,
      wallets,
      inUse: path,
      payoutColdkey: payoutColdkey === hotkey.address ? null : payoutColdkey,
      atRest: await own.atRest(),
    };
  }

  /** Where the file of the hotkey in use is protected; it stays the same key. */
  keep({ how }: Params<"wallet.keep">): Promise<MethodResult<"wallet.keep">> {
    const { own } = this.#ports;
    return this.#inTurn(async () => {
      await own.keep(how);
      return own.atRest();
    });
  }

  async create(key: Params<"wallet.create">): Promise<MethodResult<"wallet.create">> {
    const { key: made, phrase } = await this.#ask({ type: "create", root: this.#root, ...key }, "key");
    return { key: made, phrase: phrase ?? "" };
  }

  async take(key: Params<"wallet.import">): Promise<MethodResult<"wallet.import">> {
    return { key: (await this.#ask({ type: "import", root: this.#root, ...key }, "key")).key };
  }

  async backup({
    wallet,
    hotkey,
    password,
    backupPassword,
  }: Params<"wallet.backup">): Promise<MethodResult<"wallet.backup">> {
    const to = { type: "content" as const, password: backupPassword };
    const place = { root: this.#root, wallet, hotkey };
    // Of a key that the keychain keeps its owner knows no password.
    const opens = password ?? (hotkey === null ? null : this.#keptPassword({ ...place, hotkey }));
    const request = { type: "export" as const, ...place, password: opens, to };
    const { content, address } = await this.#ask(request, "exported");
    return { content, address };
  }

  /** The key is opened before it is chosen: what cannot be worked with is not left as the choice. */
  use({ wallet, hotkey, password }: Params<"wallet.use">): Promise<MethodResult<"wallet.use">> {
    const { home, own } = this.#ports;
    return this.#inTurn(async () => {
      const place = { root: this.#root, wallet, hotkey };
      await own.tryOut(place, password);
      await this.#ask({ type: "use", home, ...place }, "used");
      await own.reload(password);
      return this.#change();
    });
  }

  payout({ address, replace }: Params<"wallet.payout">): Promise<MethodResult<"wallet.payout">> {
    const { home, own } = this.#ports;
    return this.#inTurn(async () => {
      const { root, wallet } = selectedWallet(home);
      await this.#ask({ type: "payout", root, wallet, address, replace }, "written");
      const before = own.payoutColdkey;
      await own.reloadPayout();
      return own.payoutColdkey === before ? this.#inUse() : this.#change();
    });
  }

  #keptPassword(place: WalletPlace): string | null {
    return this.#ports.own.passwordOf(locateHotkey(place).path);
  }

  get #root(): string {
    return selectedWallet(this.#ports.home).root;
  }

  async #change(): Promise<MethodResult<"wallet.use">> {
    await this.#ports.changed();
    return this.#inUse();
  }

  #inUse(): MethodResult<"wallet.use"> {
    const { hotkey, payoutColdkey } = this.#ports.own;
    return { hotkey: hotkey.address, payoutColdkey };
  }

  async #ask<Type extends WalletAnswer["type"]>(
    request: WalletRequest,
    type: Type,
  ): Promise<Extract<WalletAnswer, { type: Type }>> {
    const answer = await this.#ports.ask(request);
    if (answer.type === type) return answer as Extract<WalletAnswer, { type: Type }>;
    throw new Failure("wallet-ended", "The process that holds the keys answered something else.");
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
