import { WebSocket } from "ws";
import {
  CONTROL_PROTOCOL,
  LOOPBACK_CHANNEL,
  orchestratorMessage,
  proofText,
} from "../../src-protocol/control.ts";
import type { NodeMessage, OrchestratorMessage } from "../../src-protocol/control.ts";
import type { Delegation } from "../../src-protocol/delegation.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { NETWORK_HEADERS } from "../../src-protocol/network-card.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { stageFacts } from "../runs/stage-facts.ts";
import { testDigest } from "../runs/fleet.test-support.ts";
import { channelOf } from "../control/access.ts";
import { delegate, hotkey, receipt } from "./keys.test-support.ts";
import type { TestHotkey } from "./keys.test-support.ts";
import { SAVED_STATE } from "../stores/saved-state.test-support.ts";

type Assignment = OrchestratorMessage & { type: "assign" };
type Grant = OrchestratorMessage & { type: "grant" };

/** Nodes that speak the protocol over real sockets and really sign, and only pretend to compute. */
export class FakeNet {
  readonly nodes: FakeNode[] = [];
  /** Receipts made, by node number. */
  readonly receipts: { readonly node: FakeNode; readonly receipt: SignedReceipt }[] = [];

  private flops: readonly number[] | null = null;

  node(url: string, number: number, options: FakeNodeOptions = {}): FakeNode {
    const node = new FakeNode(this, url, number, options);
    this.nodes.push(node);
    return node;
  }

  close(): void {
    for (const node of this.nodes) node.kill();
  }

  /** The pipeline runs a step: the tail takes it first, the head last. */
  run(grant: Grant): void {
    const members = this.nodes
      .flatMap((node) =>
        node.isOpen && node.assignment?.generation === grant.generation
          ? [{ node, plan: node.assignment }]
          : [],
      )
      .sort((a, b) => b.plan.stage - a.plan.stage);
    const run = members[0]?.plan.run;
    if (run === undefined || members.length < run.stages) return;
    const { generation, step } = grant;
    if (grant.evaluations > 0) members[0]?.node.send({ type: "evaluated", generation, step, loss: 4 });
    if (grant.microBatches === 0) return;
    for (const [place, { node, plan }] of members.entries()) {
      const loss = place === 0 ? 5 - step / 10 : null;
      node.send({ type: "stepped", generation, step: step + 1, loss, computeMs: 1 });
      const of = (stage: number) => members.find((other) => other.plan.stage === stage)?.node.signer ?? null;
      this.sign(node, { previous: of(plan.stage - 1), next: of(plan.stage + 1) }, plan, step);
      const digest = testDigest(generation, plan.stage, step + 1);
      node.save(plan.stage, step + 1, digest);
      node.send({ type: "saved", generation, step: step + 1, ...SAVED_STATE, digest });
    }
  }

  private sign(
    node: FakeNode,
    peers: { previous: SessionSigner | null; next: SessionSigner | null },
    { run, stage }: Assignment,
    step: number,
  ): void {
    const one = receipt(node.signer, peers, {
      runId: run.runId,
      stage,
      step,
      microBatches: run.microBatches,
      tokens: run.batch * run.sequence * run.microBatches,
      flops: this.flopsOf(run)[stage] ?? 0,
      finishedAt: Date.now(),
    });
    this.receipts.push({ node, receipt: one });
    node.send({ type: "receipts", receipts: [one] });
  }

  private flopsOf(run: RunSpec): readonly number[] {
    return (this.flops ??= stageFacts(run, null).map(({ flops }) => flops));
  }
}

export interface FakeNodeOptions {
  /** Of its invitation. */
  readonly token?: string;
  /** Digests of steps by stage that it brings along. */
  readonly disk?: Map<number, Map<number, string>>;
  readonly delegation?: Delegation;
  readonly signer?: SessionSigner;
  /** So much it has heard by a connection before this one, on that lane. */
  readonly before?: { readonly lane: string; readonly heard: number };
  /** What it says instead of a hello and a proof. */
  readonly greeting?: (nonce: string) => unknown[];
}

export class FakeNode {
  readonly signer: SessionSigner;
  readonly hotkey: TestHotkey;
  readonly disk: Map<number, Map<number, string>>;
  readonly heard: OrchestratorMessage[] = [];
  readonly said: NodeMessage[] = [];
  /** Ids of receipts that the orchestrator says are on its disk. */
  readonly stored = new Set<string>();
  assignment: Assignment | null = null;
  /** What it was welcomed to. */
  lane = "";
  closeCode: number | null = null;
  /** What it does instead of training. */
  onGrant: ((grant: Grant) => void) | null = null;
  /** It stays connected and says nothing any more. */
  mute = false;
  private readonly net: FakeNet;
  private readonly socket: WebSocket;
  private pulse: NodeJS.Timeout | undefined;
  private channel = LOOPBACK_CHANNEL;

  constructor(net: FakeNet, url: string, number: number, options: FakeNodeOptions) {
    this.net = net;
    this.signer = options.signer ?? createSessionSigner();
    this.hotkey = hotkey(number);
    this.disk = options.disk ?? new Map<number, Map<number, string>>();
    const headers = options.token === undefined ? {} : { [NETWORK_HEADERS.token]: options.token };
    this.socket = new WebSocket(`${url.replace("http", "ws")}/v1/control`, {
      rejectUnauthorized: false,
      headers,
    });
    this.socket.on("upgrade", ({ socket }) => (this.channel = channelOf(socket)));
    this.socket.on("message", (data) =>
      this.hear(orchestratorMessage.parse(JSON.parse(String(data))), options),
    );
    this.socket.on("error", () => {});
    this.socket.on("close", (code) => {
      this.closeCode = code;
      clearInterval(this.pulse);
    });
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN && !this.mute;
  }

  send(message: NodeMessage): void {
    if (!this.isOpen) return;
    this.said.push(message);
    this.socket.send(JSON.stringify(message));
  }

  save(stage: number, step: number, digest: string): void {
    const slots = [...(this.disk.get(stage) ?? []), [step, digest] as const];
    this.disk.set(stage, new Map(slots.sort(([a], [b]) => b - a).slice(0, 3)));
  }

  /** As after SIGKILL: the socket is gone without a word. */
  kill(): void {
    clearInterval(this.pulse);
    this.socket.terminate();
  }

  private hear(message: OrchestratorMessage, options: FakeNodeOptions): void {
    this.heard.push(message);
    switch (message.type) {
      case "challenge":
        return this.greet(message, options);
      case "welcome":
        this.lane = message.lane;
        this.pulse = setInterval(() => this.send({ type: "heartbeat" }), 100);
        return undefined;
      case "assign":
        this.assignment = message;
        return this.send({ type: "ready", generation: message.generation });
      case "halt":
        this.assignment = null;
        return undefined;
      case "grant":
        return this.onGrant === null ? this.net.run(message) : this.onGrant(message);
      case "receiptsStored":
        for (const id of message.stored) this.stored.add(id);
        return undefined;
      default:
        return undefined;
    }
  }

  private greet(
    { network, nonce }: OrchestratorMessage & { type: "challenge" },
    options: FakeNodeOptions,
  ): void {
    const usual = (): unknown[] => [
      {
        type: "hello",
        protocol: CONTROL_PROTOCOL,
        delegation: options.delegation ?? delegate(this.hotkey, this.signer.publicKey, network),
        capabilities: { platform: "test", threads: 1, memoryBytes: 8e9, executionProvider: "cpu" },
        linkAddress: { host: "127.0.0.1", port: 9 },
        restorable: [...this.disk].map(([stage, steps]) => ({
          runId: "test",
          stage,
          steps: [...steps].map(([step, digest]) => ({ step, digest })),
        })),
        ...options.before,
      },
      { type: "proof", signature: this.signer.sign(proofText(network, nonce, this.channel)) },
    ];
    for (const said of (options.greeting ?? usual)(nonce)) this.socket.send(JSON.stringify(said));
  }
}

/** Waits for what other processes do; fails with the reason after `withinMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 50_000,
): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
