/** What becomes of a call: events by name and fields, or a module's error by its name. */
export type Outcome =
  | {
      readonly events: readonly {
        readonly pallet: string;
        readonly name: string;
        readonly fields: readonly Field[];
      }[];
    }
  | { readonly error: string };
export type Field =
  | { readonly bytes: Uint8Array }
  | { readonly account: string }
  | { readonly u64: bigint }
  | { readonly u16: number };

export interface Account {
  nonce: number;
  free: bigint;
}

export interface Subnet {
  tempo: number;
  burnRao: bigint;
  /** Rao of TAO for one alpha. */
  priceRao: bigint;
  takesRegistrations: boolean;
  sealsWeights: boolean;
  /** By uid. */
  readonly neurons: {
    readonly hotkey: string;
    readonly at: number;
    emissionRao: bigint;
    incentive: number;
  }[];
  readonly axons: Map<string, { readonly ip: bigint; readonly port: number; readonly type: number }>;
  readonly weights: Map<number, readonly (readonly [uid: number, weight: number])[]>;
}

const ALPHA = 1_000_000_000n;
const EXISTENTIAL_RAO = 500n;

/** `(coldkey, hotkey, netuid)` as a key. */
export const holding = (coldkey: string, hotkey: string, netuid: number | string): string =>
  `${coldkey} ${hotkey} ${netuid}`;

/** Accounts, subnets and stake of a small chain, and what calls do to them: the rules of Subtensor that a client meets. */
export class SubtensorState {
  readonly accounts = new Map<string, Account>();
  readonly subnets = new Map<number, Subnet>();
  /** Alpha in rao, by `holding`. */
  readonly stake = new Map<string, bigint>();
  /** The part of it that cannot be moved. */
  readonly locked = new Map<string, bigint>();
  /** Coldkey of a hotkey. */
  readonly owners = new Map<string, string>();
  /** How the runtime calls locked stake: its errors were renamed. */
  lockedError = "SubtensorModule.CannotUnstakeLock";

  account(address: string): Account {
    const known = this.accounts.get(address);
    if (known !== undefined) return known;
    const fresh = { nonce: 0, free: 0n };
    this.accounts.set(address, fresh);
    return fresh;
  }

  addSubnet(netuid: number, changes: Partial<Subnet> = {}): Subnet {
    const subnet: Subnet = {
      tempo: 360,
      burnRao: 100_000_000n,
      priceRao: 20_000_000n,
      takesRegistrations: true,
      sealsWeights: false,
      neurons: [],
      axons: new Map(),
      weights: new Map(),
      ...changes,
    };
    this.subnets.set(netuid, subnet);
    return subnet;
  }

  alphaOf(hotkey: string, netuid: number): bigint {
    let sum = 0n;
    for (const [key, rao] of this.stake) {
      const [, at, subnet] = key.split(" ");
      if (at === hotkey && Number(subnet) === netuid) sum += rao;
    }
    return sum;
  }

  /** `block` is the one that it comes into. */
  execute(sender: string, name: string, words: readonly string[], block: number): Outcome {
    switch (name) {
      case "balances.transferKeepAlive":
        return this.#transfer(sender, words);
      case "subtensorModule.addStake":
      case "subtensorModule.addStakeLimit":
        return this.#addStake(sender, words);
      case "subtensorModule.removeStake":
      case "subtensorModule.removeStakeLimit":
        return this.#removeStake(sender, words);
      case "subtensorModule.transferStake":
        return this.#transferStake(sender, words);
      case "subtensorModule.burnedRegister":
        return this.#register(sender, words, block);
      case "subtensorModule.serveAxon":
        return this.#serveAxon(sender, words);
      case "subtensorModule.setWeights":
        return this.#setWeights(sender, words);
      default:
        return { error: "System.CallFiltered" };
    }
  }

  #transfer(sender: string, [to = "", amount = "0"]: readonly string[]): Outcome {
    const [from, rao] = [this.account(sender), BigInt(amount)];
    if (from.free < rao + EXISTENTIAL_RAO) return { error: "Balances.InsufficientBalance" };
    from.free -= rao;
    this.account(to).free += rao;
    return done("Balances", "Transfer", [{ account: sender }, { account: to }, { u64: rao }]);
  }

  #addStake(sender: string, [hotkey = "", netuid = "", amount = "0", limit]: readonly string[]): Outcome {
    const subnet = this.subnets.get(Number(netuid));
    if (subnet === undefined) return { error: "SubtensorModule.SubnetNotExists" };
    if (!this.owners.has(hotkey)) return { error: "SubtensorModule.HotKeyAccountNotExists" };
    const [from, rao] = [this.account(sender), BigInt(amount)];
    if (from.free < rao) return { error: "SubtensorModule.NotEnoughBalanceToStake" };
    if (limit !== undefined && subnet.priceRao > BigInt(limit))
      return { error: "SubtensorModule.SlippageTooHigh" };
    const alpha = (rao * ALPHA) / subnet.priceRao;
    from.free -= rao;
    this.#move(holding(sender, hotkey, netuid), alpha);
    return done("SubtensorModule", "StakeAdded", staked(sender, hotkey, rao, alpha, netuid));
  }

  #removeStake(sender: string, [hotkey = "", netuid = "", amount = "0", limit]: readonly string[]): Outcome {
    const subnet = this.subnets.get(Number(netuid));
    if (subnet === undefined) return { error: "SubtensorModule.SubnetNotExists" };
    const [key, alpha] = [holding(sender, hotkey, netuid), BigInt(amount)];
    const refusal = this.#cannotLeave(key, alpha);
    if (refusal !== null) return { error: refusal };
    if (limit !== undefined && subnet.priceRao < BigInt(limit))
      return { error: "SubtensorModule.SlippageTooHigh" };
    const rao = (alpha * subnet.priceRao) / ALPHA;
    this.#move(key, -alpha);
    this.account(sender).free += rao;
    return done("SubtensorModule", "StakeRemoved", staked(sender, hotkey, rao, alpha, netuid));
  }

  #transferStake(
    sender: string,
    [to = "", hotkey = "", netuid = "", target = "", amount = "0"]: readonly string[],
  ): Outcome {
    const subnet = this.subnets.get(Number(netuid));
    if (subnet === undefined) return { error: "SubtensorModule.SubnetNotExists" };
    const [key, alpha] = [holding(sender, hotkey, netuid), BigInt(amount)];
    const refusal = this.#cannotLeave(key, alpha);
    if (refusal !== null) return { error: refusal };
    // Observed on a real chain: fee and slippage keep 0.3 percent.
    const arrived = (alpha * 997n) / 1000n;
    const worth = (arrived * subnet.priceRao) / ALPHA;
    this.#move(key, -alpha);
    this.#move(holding(to, hotkey, target), arrived);
    const ends = [{ u16: Number(netuid) }, { u16: Number(target) }, { u64: worth }];
    return {
      events: [
        {
          pallet: "SubtensorModule",
          name: "StakeRemoved",
          fields: staked(sender, hotkey, worth, alpha, netuid),
        },
        { pallet: "SubtensorModule", name: "StakeAdded", fields: staked(to, hotkey, worth, arrived, target) },
        {
          pallet: "SubtensorModule",
          name: "StakeTransferred",
          fields: [{ account: sender }, { account: to }, { account: hotkey }, ...ends],
        },
      ],
    };
  }

  #register(sender: string, [netuid = "", hotkey = ""]: readonly string[], at: number): Outcome {
    const subnet = this.subnets.get(Number(netuid));
    if (subnet === undefined) return { error: "SubtensorModule.SubnetNotExists" };
    if (!subnet.takesRegistrations) return { error: "SubtensorModule.SubNetRegistrationDisabled" };
    if (subnet.neurons.some((neuron) => neuron.hotkey === hotkey))
      return { error: "SubtensorModule.HotKeyAlreadyRegisteredInSubNet" };
    if ((this.owners.get(hotkey) ?? sender) !== sender)
      return { error: "SubtensorModule.NonAssociatedColdKey" };
    const from = this.account(sender);
    if (from.free < subnet.burnRao) return { error: "SubtensorModule.NotEnoughBalanceToStake" };
    from.free -= subnet.burnRao;
    this.owners.set(hotkey, sender);
    subnet.neurons.push({ hotkey, at, emissionRao: 0n, incentive: 0 });
    const uid = subnet.neurons.length - 1;
    return done("SubtensorModule", "NeuronRegistered", [
      { u16: Number(netuid) },
      { u16: uid },
      { account: hotkey },
    ]);
  }

  #serveAxon(sender: string, [netuid = "", , ip = "", port = "", type = ""]: readonly string[]): Outcome {
    const subnet = this.subnets.get(Number(netuid));
    if (subnet?.neurons.some(({ hotkey }) => hotkey === sender) !== true)
      return { error: "SubtensorModule.HotKeyNotRegisteredInNetwork" };
    subnet.axons.set(sender, { ip: BigInt(ip), port: Number(port), type: Number(type) });
    return done("SubtensorModule", "AxonServed", [{ u16: Number(netuid) }, { account: sender }]);
  }

  #setWeights(sender: string, [netuid = "", uids = "[]", weights = "[]"]: readonly string[]): Outcome {
    const subnet = this.subnets.get(Number(netuid));
    const uid = subnet?.neurons.findIndex(({ hotkey }) => hotkey === sender) ?? -1;
    if (subnet === undefined || uid < 0) return { error: "SubtensorModule.HotKeyNotRegisteredInSubNet" };
    if (subnet.sealsWeights) return { error: "SubtensorModule.CommitRevealEnabled" };
    const [whom, shares] = [uids, weights].map((list) => JSON.parse(list) as number[]);
    subnet.weights.set(uid, whom?.map((each, i) => [each, shares?.[i] ?? 0] as const) ?? []);
    return done("SubtensorModule", "WeightsSet", [{ u16: Number(netuid) }, { u16: uid }]);
  }

  #cannotLeave(key: string, alpha: bigint): string | null {
    const held = this.stake.get(key) ?? 0n;
    if (held < alpha) return "SubtensorModule.NotEnoughStakeToWithdraw";
    return held - (this.locked.get(key) ?? 0n) < alpha ? this.lockedError : null;
  }

  #move(key: string, alpha: bigint): void {
    this.stake.set(key, (this.stake.get(key) ?? 0n) + alpha);
  }
}

function done(pallet: string, name: string, fields: readonly Field[]): Outcome {
  return { events: [{ pallet, name, fields }] };
}

/** StakeAdded and StakeRemoved: (coldkey, hotkey, TAO, alpha, netuid, fee). */
function staked(coldkey: string, hotkey: string, tao: bigint, alpha: bigint, netuid: string): Field[] {
  return [
    { account: coldkey },
    { account: hotkey },
    { u64: tao },
    { u64: alpha },
    { u16: Number(netuid) },
    { u64: 0n },
  ];
}
