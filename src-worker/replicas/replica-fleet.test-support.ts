import { createHash } from "node:crypto";
import {
  applyToReplicas,
  nextReplicaWake,
  replicaRun,
} from "../../src-orchestrator/replicas/replica-machine.ts";
import type {
  ReplicaEffect,
  ReplicaEvent,
  ReplicaRun,
  Share,
} from "../../src-orchestrator/replicas/replica-run.ts";
import type { OrchestratorMessage, ReplicaPeer } from "../../src-protocol/control.ts";
import { moveFor } from "../../src-orchestrator/replicas/replica-placement.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { ReceiptChain } from "../../src-protocol/receipt.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import type { StageInfo } from "../compute/compute-call.ts";
import type { Compute } from "../compute/compute.ts";
import { tiedCount } from "../compute/parameter-home.ts";
import { loadRuntime } from "../compute/sessions.ts";
import { StageCompute } from "../compute/stage-compute.ts";
import type { Report } from "../control/control.ts";
import { memoryCorpus } from "../corpus/corpus-reader.ts";
import { receiptId } from "../pipeline/receipt-outbox.ts";
import { memoryLinks } from "../links/index.ts";
import type { Link } from "../links/index.ts";
import { parametersIn, stageBytes } from "../stage/stage-memory.ts";
import { samplesOf } from "../stage/stage-samples.ts";
import { StageChain } from "../stage/stage-chain.ts";
import type { RestoredSum } from "./kept-sum.ts";
import { ReplicaRunner } from "./replica-runner.ts";
import { ShareReceipts } from "./share-receipts.ts";
import type { ReplicaInstruction } from "./replica-runner.ts";

const NETWORK = "fleet";
const GENERATION = 4;
/** A message in memory is there after a few turns of the event loop. */
const STILL_TURNS = 20;

/** Making a stage's sessions takes longer than a test does. */
const idle = new Map<string, StageCompute[]>();

async function computeFor(name: string): Promise<StageCompute> {
  const free = idle.get(name)?.pop();
  if (free !== undefined) return free;
  return new StageCompute(await loadRuntime(), { threads: 1, executionProvider: "cpu", niceness: null });
}

type Sent = readonly [PeerMessage, Uint8Array];

/** The link, with what its node makes of each message. */
function overheard(node: FleetNode, link: Link): Link {
  return new Proxy(link, {
    get(target, name) {
      if (name === "send")
        return async (message: PeerMessage, payload = new Uint8Array(0)): Promise<void> => {
          for (const sent of node.sends(message, payload, target.remoteKey)) await target.send(...sent);
        };
      if (name === "isNear") return !node.far.has(target.remoteKey);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const PASSES: ReadonlySet<string> = new Set(["forward", "backward", "tail", "loss"]);

export class FleetNode {
  readonly signer: SessionSigner;
  readonly stage: number;
  readonly links = new Map<SessionKey, Link>();
  readonly cut: (() => void)[] = [];
  /** Peers of which it hears nothing. */
  readonly quiet = new Set<SessionKey>();
  /** Peers that are not of its home. */
  readonly far = new Set<SessionKey>();
  /** Passes worked on, as `call step/microBatch`. */
  readonly jobs: string[] = [];
  /** Passes that its compute thread had at once, at most. */
  mostGiven = 0;
  readonly receipts: SignedReceipt[] = [];
  /** What it would find on its disk after a kill: signed, and not known to be earned. */
  readonly kept = new Map<string, SignedReceipt>();
  shares: ShareReceipts | null = null;
  memory = new SharedArrayBuffer(0);
  info: StageInfo | null = null;
  runner: ReplicaRunner | null = null;
  isDead = false;
  /** The whole sum that it has kept last. */
  sum: (RestoredSum & { readonly step: number }) | null = null;
  /** Whether what the orchestrator says to it reaches it. */
  hears: (instruction: ReplicaInstruction) => boolean = () => true;
  /** Changes or swallows what it says to the orchestrator. */
  says: (report: Report) => readonly Report[] = (report) => [report];
  /** The same for what it sends to another node. */
  sends: (message: PeerMessage, payload: Uint8Array, to: SessionKey) => readonly Sent[] = (
    message,
    payload,
  ) => [[message, payload]];

  constructor(seed: number, stage: number) {
    this.signer = createSessionSigner(new Uint8Array(32).fill(seed));
    this.stage = stage;
  }

  get key(): SessionKey {
    return this.signer.publicKey;
  }
}

/** Replicas in one process: real stages and runners, links in memory, and the orchestrator's pure machine between them. */
export class Fleet {
  readonly spec: RunSpec;
  readonly nodes: FleetNode[] = [];
  readonly losses = new Map<number, number>();
  readonly heldOut = new Map<number, number>();
  readonly effects: ReplicaEffect[] = [];
  /** Of each step that is over, what it has counted, by stage. */
  readonly shares = new Map<number, readonly (readonly Share[])[]>();
  /** Hears what every node says. */
  readonly watchers: ((node: FleetNode, report: Report) => void)[] = [];
  /** A stage that has lost its last node waits for one; else that is an error. */
  mayStandBy = false;
  /** Called with every step that is over. */
  onStep: (step: number) => void = () => undefined;
  run: ReplicaRun;
  #now = 0;
  #queue: (() => void)[] = [];
  #isDraining = false;
  /** Nodes that load: the orchestrator hears of nothing meanwhile, or how many steps that takes would be chance. */
  #starting = 0;
  /** What computes or saves now. */
  #works = 0;
  readonly #corpus: Uint8Array;
  /** Of a model that has one. */
  readonly #file: Uint8Array | null;
  readonly #computes: (readonly [string, StageCompute])[] = [];

  private constructor(spec: RunSpec, corpus: Uint8Array, file: Uint8Array | null) {
    this.spec = spec;
    this.#corpus = corpus;
    this.#file = file;
    this.run = replicaRun({ ...this.#options(), live: [] });
  }

  static async open(
    spec: RunSpec,
    corpus: Uint8Array,
    replicas: readonly number[],
    file: Uint8Array | null = null,
  ): Promise<Fleet> {
    const fleet = new Fleet(spec, corpus, file);
    for (const [stage, count] of replicas.entries())
      for (let i = 0; i < count; i++) await fleet.start(stage, 0);
    const live = replicas.map((_, stage) =>
      fleet.nodes.filter((node) => node.stage === stage).map(({ key }) => key),
    );
    const tied = new Set(
      fleet.nodes.flatMap(({ stage, info }) => (info && tiedCount(info, stage) > 0 ? [stage] : [])),
    );
    fleet.run = replicaRun({ ...fleet.#options(), tied, live });
    return fleet;
  }

  #options(): Omit<Parameters<typeof replicaRun>[0], "live"> {
    const { spec } = this;
    return {
      run: spec,
      signs: { network: NETWORK, runId: spec.runId, generation: GENERATION },
      step: 0,
      agreed: Array.from({ length: spec.stages }, () => null),
      evaluatedStep: -1,
      now: 0,
    };
  }

  begin(): void {
    this.tell({ type: "begin" });
  }

  /** Trains `steps` steps, and on until `isDone`; at most `most`. */
  async train(steps: number, isDone: () => boolean = () => true, most = steps): Promise<void> {
    const next = this.onStep;
    await new Promise<void>((resolve) => {
      this.onStep = (step) => {
        next(step);
        if ((step >= steps && isDone()) || step === most) resolve();
      };
      this.begin();
    });
    this.onStep = () => undefined;
  }

  /** Resolves when all have done what they can do without more time. */
  async still(): Promise<void> {
    for (let turns = 0; turns < STILL_TURNS; turns++) {
      if (this.#works > 0 || this.#isDraining || this.#starting > 0) turns = 0;
      await new Promise(setImmediate);
    }
  }

  /** Ends all work; what was made of graphs serves the next fleet. */
  async close(): Promise<void> {
    this.onStep = () => undefined;
    for (const { runner } of this.nodes) runner?.stop();
    for (const { isDead, runner } of this.nodes) if (!isDead) await runner?.quiet();
    for (const [name, compute] of this.#computes) idle.set(name, [...(idle.get(name) ?? []), compute]);
  }

  /** A node that comes later: it takes the state over from another one. */
  async join(stage: number): Promise<FleetNode> {
    const node = await this.start(stage, null);
    this.tell({ type: "added", key: node.key, stage });
    this.tell({ type: "warm", key: node.key });
    return node;
  }

  /** A node of a stage that has none is started again, with what it had kept of the step under way. */
  async resume(dead: FleetNode): Promise<FleetNode> {
    const { step } = this.run;
    const node = await this.start(dead.stage, step, dead);
    this.tell({ type: "added", key: node.key, stage: node.stage, resumes: step });
    const sumRound = dead.sum?.step === step ? { sumRound: dead.sum.round } : {};
    this.tell({ type: "warm", key: node.key, step, ...sumRound });
    return node;
  }

  /** The move that placement wants now, done: the node leaves its stage, and takes another one over. */
  async balance(): Promise<FleetNode | null> {
    const members = [...this.run.members].map(([key, { stage, phase }]) => ({
      key,
      owner: key as unknown as Ss58Address,
      stage,
      speed: null,
      endsAt: null,
      isLive: phase === "live",
    }));
    const flops = Array.from({ length: this.spec.stages }, () => 1);
    const move = moveFor({ flops, members, most: Infinity, now: this.#now }, () => true);
    const node = this.nodes.find(({ key }) => key === move?.key);
    if (move === null || node === undefined) return null;
    this.#stop(node, "moved");
    return await this.join(move.to);
  }

  /** `before`: whose state it has; null: its own, or none yet. */
  async start(stage: number, step: number | null, before: FleetNode | null = null): Promise<FleetNode> {
    this.#starting += 1;
    try {
      return await this.#start(stage, step, before);
    } finally {
      this.#starting -= 1;
      this.#drain();
    }
  }

  async #start(stage: number, step: number | null, before: FleetNode | null): Promise<FleetNode> {
    const { spec } = this;
    const node = new FleetNode(this.nodes.length + 1, stage);
    const own = await computeFor(`${spec.arithmetic} ${stage}`);
    this.#computes.push([`${spec.arithmetic} ${stage}`, own]);
    const info = await own.open({ spec: { ...spec, stage }, file: this.#file });
    node.info = info;
    node.memory = new SharedArrayBuffer(stageBytes(info));
    const { memory } = node;
    await own.load({
      memory,
      seed: step === null || before !== null ? null : spec.seed,
      recompute: "full",
    });
    if (before !== null) {
      new Uint8Array(memory).set(new Uint8Array(before.memory));
      await own.upload();
    }
    const link = before === null ? null : (this.run.agreed[stage]?.link ?? null);
    let chain = new StageChain(spec, stage, step ?? 0, link, { isShared: true });
    let last: Promise<unknown> = Promise.resolve();
    let given = 0;
    const call = ((name: string, request: never) => {
      const isPass = PASSES.has(name);
      if (isPass) node.mostGiven = Math.max(node.mostGiven, (given += 1));
      const done = last.then(async () => {
        await new Promise(setImmediate);
        if (node.isDead) throw new Error("killed");
        const { microBatch, keep = true } = request as { microBatch?: number; keep?: boolean };
        if (microBatch !== undefined && keep) node.jobs.push(`${name} ${this.run.step}/${microBatch}`);
        const answer = await (own as unknown as Record<string, (of: never) => Promise<unknown>>)[name]?.(
          request,
        );
        return { answer, ms: 1 };
      });
      last = done.catch(() => undefined).finally(() => (given -= Number(isPass)));
      return this.#counted(done);
    }) as unknown as Compute["call"];
    node.shares = this.#shares(node);
    node.runner = new ReplicaRunner({
      spec,
      stage: info,
      generation: GENERATION,
      network: NETWORK,
      step,
      link: step === null ? null : chain.link,
      signer: node.signer,
      receipts: node.shares,
      keepSum: async ({ step: of, round }, parts) => {
        const values = Float32Array.from(parts.flatMap((part) => [...part]));
        if (!node.isDead) node.sum = { step: of, round, values };
      },
      sum: before?.sum?.step === step ? before.sum : null,
      web: { link: (key) => node.links.get(key) ?? null, isQuiet: (key) => node.quiet.has(key) },
      compute: { call },
      samples: samplesOf(spec, memoryCorpus(this.#corpus)),
      memory,
      save: async ({ step: at, squaredNorm }) => {
        const saved = await this.#counted(chain.advance(at, squaredNorm, memory));
        const digest = sha256(`${at} ${saved.link} ${saved.stateSha256}`);
        return { ...saved, digest, onDisk: [] };
      },
      leaves: () => chain.leaves,
      adopted: (at, link, leaves) => {
        chain = new StageChain(spec, stage, at, link, { isShared: true, leaves });
      },
      overwriting: () => undefined,
      putAside: () => undefined,
      leaving: () => undefined,
      report: (report) => {
        if (!node.isDead) for (const each of node.says(report)) this.#heard(node, each);
      },
      now: () => this.#now,
    });
    for (const other of this.nodes) if (!other.isDead) this.#connect(node, other);
    this.nodes.push(node);
    return node;
  }

  #shares(node: FleetNode): ShareReceipts {
    return new ShareReceipts({
      signer: node.signer,
      chain: new ReceiptChain(),
      network: NETWORK,
      send: (to, message) =>
        void node.links
          .get(to)
          ?.send(message)
          .catch(() => undefined),
      keep: async (receipt) => {
        if (!node.isDead) node.kept.set(receiptId(receipt), receipt);
      },
      forget: (id) => void node.kept.delete(id),
      earned: async (receipt) => {
        if (node.isDead) return;
        node.kept.delete(receiptId(receipt));
        node.receipts.push(receipt);
      },
      now: () => this.#now,
    });
  }

  /** As kill -9 does: links break at once, and the orchestrator hears of it a moment later. */
  kill(node: FleetNode): void {
    this.#stop(node, "closed");
  }

  /** Kills all nodes of these stages, each when it is told to take the step; resolves when all are dead. */
  async killWhenTaken(stages: readonly number[], step: number): Promise<FleetNode[]> {
    const nodes = this.nodes.filter((node) => stages.includes(node.stage));
    const { promise, resolve } = Promise.withResolvers<FleetNode[]>();
    for (const node of nodes)
      node.hears = (instruction) => {
        if (instruction.type !== "take" || instruction.step !== step) return true;
        this.kill(node);
        if (nodes.every(({ isDead }) => isDead)) resolve(nodes);
        return false;
      };
    return await promise;
  }

  /** As `kill`, where what the node had said before is heard, and acted on, first. */
  die(node: FleetNode): void {
    this.#die(node);
    this.#later(() => this.tell({ type: "gone", key: node.key, code: "closed" }));
  }

  #stop(node: FleetNode, code: string): void {
    this.#die(node);
    this.tell({ type: "gone", key: node.key, code });
  }

  #die(node: FleetNode): void {
    node.isDead = true;
    node.runner?.stop();
    for (const cut of node.cut) cut();
  }

  /** Their link breaks, with what was on its way, and there is another one. */
  relink(a: FleetNode, b: FleetNode): void {
    a.links.get(b.key)?.close("cut");
    this.#connect(a, b);
  }

  tell(event: ReplicaEvent extends infer E ? (E extends unknown ? Omit<E, "now"> : never) : never): void {
    this.#later(() => {
      this.#now += 1;
      const { run, effects } = applyToReplicas({ ...event, now: this.#now } as ReplicaEvent, this.run);
      this.run = run;
      this.effects.push(...effects);
      for (const effect of effects) this.#perform(effect);
    });
  }

  /** Whatever waits for time gets it. */
  elapse(ms: number): void {
    this.#now += ms;
    if (nextReplicaWake(this.run) !== null) this.tell({ type: "tick" });
  }

  weights(): Map<string, Float32Array> {
    const all = new Map<string, Float32Array>();
    for (let stage = 0; stage < this.spec.stages; stage++) {
      const node = this.nodes.find(
        ({ key }) =>
          this.run.members.get(key)?.stage === stage && this.run.members.get(key)?.phase === "live",
      );
      if (!node?.info) throw new Error(`stage ${stage} is nowhere`);
      for (const [name, values] of parametersIn(node.info, node.memory)) all.set(name, values);
    }
    return all;
  }

  /** Of each replica, what its whole state hashes to. */
  states(stage: number): Set<string> {
    return new Set(
      this.nodes
        .filter((node) => this.run.members.get(node.key)?.phase === "live" && node.stage === stage)
        .map(({ memory }) => createHash("sha256").update(new Uint8Array(memory)).digest("hex")),
    );
  }

  #heard(node: FleetNode, message: Report): void {
    for (const watch of this.watchers) watch(node, message);
    switch (message.type) {
      case "ask":
      case "routed":
      case "counted":
      case "summed":
      case "lacking":
      case "adopted":
      case "measured":
      case "accuse":
      case "saved":
      case "loading":
        return this.tell({ type: "message", key: node.key, message });
      case "trouble":
        throw new Error(`${node.stage}: ${message.code} ${message.message}`);
    }
  }

  #perform(effect: ReplicaEffect): void {
    switch (effect.type) {
      case "send":
        return this.#send(effect.to, effect.message);
      case "ask":
        if (this.nodes.some(({ key, isDead }) => key === effect.to && !isDead))
          this.tell({ type: "alive", key: effect.to });
        return;
      case "members":
        for (const node of this.nodes) {
          const member = this.run.members.get(node.key);
          if (member === undefined) continue;
          const at = (stage: number): ReplicaPeer[] =>
            [...this.run.members].flatMap(([key, each]) =>
              each.stage === stage && key !== node.key
                ? [
                    {
                      sessionKey: key,
                      address: { host: "memory", port: 1 },
                      live: each.phase === "live" && !this.run.leaving.has(key),
                    },
                  ]
                : [],
            );
          const [previous, own, next] = [-1, 0, 1].map((d) => at(member.stage + d));
          if (previous && own && next)
            this.#send(node.key, { type: "members", generation: GENERATION, previous, own, next });
        }
        return;
      case "stepped":
        this.shares.set(effect.step - 1, effect.shares);
        if (effect.loss !== null) this.losses.set(effect.step, effect.loss);
        return this.onStep(effect.step);
      case "evaluated":
        this.heldOut.set(effect.step, effect.loss);
        return;
      case "ended":
        if (this.mayStandBy && effect.code !== "results-differ") return;
        throw new Error(`stage ${effect.stage} ended: ${effect.code}`);
    }
  }

  #send(to: SessionKey, message: OrchestratorMessage): void {
    const node = this.nodes.find(({ key }) => key === to);
    this.#later(() => {
      const instruction = message as ReplicaInstruction;
      if (node?.isDead === false && node.hears(instruction)) node.runner?.instruct(instruction);
    });
  }

  #connect(a: FleetNode, b: FleetNode): void {
    if (Math.abs(a.stage - b.stage) > 1) return;
    const { a: atA, b: atB, cut } = memoryLinks({ a: a.key, b: b.key });
    for (const [node, peer, link] of [
      [a, b, atA],
      [b, a, atB],
    ] as const) {
      const heard = overheard(node, link);
      node.links.set(peer.key, heard);
      link.onClose(() => {
        if (node.links.get(peer.key) !== heard) return;
        node.links.delete(peer.key);
        node.runner?.unlinked(peer.key);
      });
    }
    a.cut.push(cut);
    b.cut.push(cut);
    a.runner?.linked(atA);
    b.runner?.linked(atB);
  }

  async #counted<T>(work: Promise<T>): Promise<T> {
    this.#works += 1;
    try {
      return await work;
    } finally {
      this.#works -= 1;
    }
  }

  #later(action: () => void): void {
    this.#queue.push(action);
    this.#drain();
  }

  #drain(): void {
    if (this.#isDraining || this.#starting > 0 || this.#queue.length === 0) return;
    this.#isDraining = true;
    setImmediate(() => {
      this.#isDraining = false;
      if (this.#starting > 0) return;
      const queue = this.#queue;
      this.#queue = [];
      for (const each of queue) each();
    });
  }
}
