import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  bytes: number;
}

/** A worker's link port as others see it: what they send passes here, and may be cut off or spoiled. */
export class LinkProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #target: number | null = null;
  #spoils: Pair | null = null;

  private constructor() {
    this.#server = createServer((near) => this.#accept(near));
  }

  static async open(): Promise<LinkProxy> {
    const proxy = new LinkProxy();
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Whose port it is; once. */
  lead(target: number): void {
    this.#target = target;
  }

  /** Ends the link that has carried most. */
  cut(): void {
    const pair = this.#busiest();
    pair?.near.destroy();
    pair?.far.destroy();
  }

  /** Turns over one bit of what comes next on the link that has carried most. */
  corrupt(): void {
    this.#spoils = this.#busiest();
  }

  close(): void {
    this.#server.close();
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  #busiest(): Pair | null {
    return [...this.#pairs].toSorted((a, b) => b.bytes - a.bytes)[0] ?? null;
  }

  #accept(near: Socket): void {
    if (this.#target === null) return void near.destroy();
    const far = connect(this.#target, "127.0.0.1");
    const pair: Pair = { near, far, bytes: 0 };
    this.#pairs.add(pair);
    near.setNoDelay(true);
    far.setNoDelay(true);
    this.#pass(pair, near, far);
    this.#pass(pair, far, near);
  }

  #pass(pair: Pair, from: Socket, to: Socket): void {
    from.on("data", (bytes) => {
      pair.bytes += bytes.length;
      if (this.#spoils === pair && from === pair.near) {
        this.#spoils = null;
        const at = bytes.length - 1;
        bytes[at] = (bytes[at] ?? 0) ^ 1;
      }
      if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#pairs.delete(pair);
      to.destroy();
    });
    from.on("end", () => to.end());
  }
}
