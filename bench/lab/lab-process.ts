import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { z } from "zod";
import { linkAddress } from "../../src-protocol/control.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sessionKey } from "../../src-protocol/keys.ts";
import { linkPath } from "../../src-protocol/link-report.ts";
import type { LabCall } from "./lab-call.ts";

const who = z.object({
  key: sessionKey,
  address: linkAddress,
  others: z.array(linkAddress),
  rawPort: z.int(),
});
export type LabPeer = z.infer<typeof who>;

/** Runs a script of ours in a network namespace, with a channel to it; null: in our own. */
export function spawnIn(space: string | null, script: string, words: readonly string[] = []): ChildProcess {
  const command = [process.execPath, join(import.meta.dirname, script), ...words];
  const [program = "", ...rest] = space === null ? command : ["ip", "netns", "exec", space, ...command];
  return spawn(program, rest, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
}

/** A process with a node's links in it (lab-node.ts). */
export class LabProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #calls = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", (message: { id?: number; value?: unknown; error?: string }) => {
      const asked = this.#waiting.get(message.id ?? -1);
      this.#waiting.delete(message.id ?? -1);
      if (message.error === undefined) asked?.resolve(message.value);
      else asked?.reject(new Failure("lab-node", message.error));
    });
    child.once("exit", (code, signal) => {
      for (const { reject } of this.#waiting.values())
        reject(new Failure("lab-node", `A node of the lab ended (${signal ?? code}).`));
    });
  }

  /** @param host to bind to */
  static async start(space: string | null, host: string): Promise<LabProcess> {
    const child = spawnIn(space, "lab-node.ts", [host]);
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", (code) => reject(new Failure("lab-node", `A node of the lab ended with ${code}.`)));
    });
    return new LabProcess(child);
  }

  call(call: LabCall): Promise<unknown> {
    const id = (this.#calls += 1);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ ...call, id });
    });
  }

  async who(): Promise<LabPeer> {
    return who.parse(await this.call({ do: "who" }));
  }

  async router(): Promise<string> {
    return z.object({ router: z.string() }).parse(await this.call({ do: "router" })).router;
  }

  async dial({ key, address, others }: LabPeer, withinMs: number): Promise<z.infer<typeof dialled>> {
    return dialled.parse(
      await this.call({ do: "dial", peer: { sessionKey: key, address, others }, withinMs }),
    );
  }

  /** Why its link ended; null: it lives. */
  async ended(): Promise<string | null> {
    return z.object({ ended: z.string().nullable() }).parse(await this.call({ do: "ended" })).ended;
  }

  async received(): Promise<z.infer<typeof counted>> {
    return counted.parse(await this.call({ do: "received" }));
  }

  /** Of the link: bytes of frames that have come, and the last heartbeat's round trip. */
  async frames(): Promise<z.infer<typeof framed>> {
    return framed.parse(await this.call({ do: "frames" }));
  }

  async path(): Promise<z.infer<typeof linkPath>> {
    return linkPath.parse(await this.call({ do: "path" }));
  }

  /** Gives the milliseconds of processor that the sender used. */
  async send(bytes: number, raw = false): Promise<number> {
    return spent.parse(await this.call({ do: raw ? "raw send" : "send", bytes })).cpuMs;
  }

  async ping(count: number, raw = false): Promise<number[]> {
    return pings.parse(await this.call({ do: raw ? "raw ping" : "ping", count })).ms;
  }

  async rawDial(host: string, port: number): Promise<number> {
    return took.parse(await this.call({ do: "raw dial", host, port })).ms;
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}

const dialled = z.object({ ms: z.number(), ...linkPath.shape });
const counted = z.object({ bytes: z.number(), at: z.number(), cpuMs: z.number() });
const framed = z.object({ bytes: z.number(), roundTripMs: z.number().nullable() });
const spent = z.object({ cpuMs: z.number() });
const pings = z.object({ ms: z.array(z.number()) });
const took = z.object({ ms: z.number() });
