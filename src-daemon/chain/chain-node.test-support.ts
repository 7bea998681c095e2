import { once } from "node:events";
import type { AddressInfo } from "node:net";
import metadata, { rpc, version } from "@polkadot/types-support/metadata/static-substrate";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { z } from "zod";

const request = z.object({ id: z.number(), method: z.string(), params: z.array(z.unknown()) });
const HASH = `0x${"11".repeat(32)}`;

/**
 * A chain node, small: it serves real (static) Substrate metadata, heads when told to, and one
 * account's balance. No runtime behind it.
 */
export class FakeChainNode {
  readonly url: string;
  readonly port: number;
  readonly asked: string[] = [];
  readonly #server: WebSocketServer;
  readonly #heads = new Set<{ socket: WebSocket; id: string }>();
  readonly #storage = new Set<{ socket: WebSocket; id: string; key: string }>();
  #block: number;
  #free: bigint;

  private constructor(server: WebSocketServer, block: number, free: bigint) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.url = `ws://127.0.0.1:${this.port}`;
    this.#block = block;
    this.#free = free;
    server.on("connection", (socket) => {
      socket.on("message", (data) => this.#answer(socket, request.parse(JSON.parse(String(data)))));
    });
  }

  static async start({ block = 100, free = 0n, port = 0 } = {}): Promise<FakeChainNode> {
    const server = new WebSocketServer({ host: "127.0.0.1", port });
    await once(server, "listening");
    return new FakeChainNode(server, block, free);
  }

  /** Connections that follow the heads. */
  get followers(): number {
    return this.#heads.size;
  }

  nextBlock(): void {
    this.#block += 1;
    for (const { socket, id } of this.#heads) notify(socket, "chain_newHead", id, header(this.#block));
  }

  setBalance(free: bigint): void {
    this.#free = free;
    for (const { socket, id, key } of this.#storage) notify(socket, "state_storage", id, this.#changes(key));
  }

  sayNonsense(): void {
    for (const socket of this.#server.clients) socket.send("this is not JSON");
  }

  async stop(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((done) => this.#server.close(done));
  }

  #answer(socket: WebSocket, { id, method, params }: z.infer<typeof request>): void {
    this.asked.push(method);
    const answer = (result: unknown) => socket.send(JSON.stringify({ jsonrpc: "2.0", id, result }));
    const subscription = `sub-${this.asked.length}`;
    switch (method) {
      case "system_chain":
        return answer("Mocknet\u001b[31m");
      case "system_properties":
        return answer({ ss58Format: 42, tokenDecimals: 9, tokenSymbol: "TAO" });
      case "rpc_methods":
        return answer(rpc);
      case "state_getRuntimeVersion":
        return answer(version);
      case "state_getMetadata":
        return answer(metadata);
      case "chain_getBlockHash":
        return answer(HASH);
      case "chain_getHeader":
        return answer(header(this.#block));
      case "state_subscribeRuntimeVersion":
        answer(subscription);
        return notify(socket, "state_runtimeVersion", subscription, version);
      case "chain_subscribeNewHead":
      case "chain_subscribeNewHeads":
        this.#heads.add({ socket, id: subscription });
        socket.once("close", () => this.#forget(socket));
        answer(subscription);
        return notify(socket, "chain_newHead", subscription, header(this.#block));
      case "state_subscribeStorage": {
        const key = z.tuple([z.tuple([z.string()])]).parse(params)[0][0];
        this.#storage.add({ socket, id: subscription, key });
        answer(subscription);
        return notify(socket, "state_storage", subscription, this.#changes(key));
      }
      default:
        socket.send(
          JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32_601, message: "Method not found" } }),
        );
    }
  }

  #changes(key: string): unknown {
    return { block: HASH, changes: [[key, accountInfo(this.#free)]] };
  }

  #forget(socket: WebSocket): void {
    for (const entry of this.#heads) if (entry.socket === socket) this.#heads.delete(entry);
    for (const entry of this.#storage) if (entry.socket === socket) this.#storage.delete(entry);
  }
}

function header(block: number): unknown {
  return {
    parentHash: HASH,
    number: `0x${block.toString(16)}`,
    stateRoot: HASH,
    extrinsicsRoot: HASH,
    digest: { logs: [] },
  };
}

/** `AccountInfo<u32, AccountData<u128>>` of the static metadata, little-endian. */
function accountInfo(free: bigint): string {
  const counters = Buffer.alloc(16);
  const balances = Buffer.alloc(64);
  balances.writeBigUInt64LE(free & 0xffff_ffff_ffff_ffffn, 0);
  return `0x${Buffer.concat([counters, balances]).toString("hex")}`;
}

function notify(socket: WebSocket, method: string, subscription: string, result: unknown): void {
  socket.send(JSON.stringify({ jsonrpc: "2.0", method, params: { subscription, result } }));
}
