import { fork } from "node:child_process";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { FakeNet, until } from "../src-orchestrator/test-support/fake-node.test-support.ts";
import type { Progress } from "./bench.ts";
import { floodOfConnections } from "./flood-connections.ts";
import { floodOfDatagrams } from "./flood-datagrams.ts";
import type { DatagramFlood } from "./flood-datagrams.ts";
import { newcomers } from "./flood-newcomers.ts";
import type { Newcomers } from "./flood-newcomers.ts";
import { startFlooded, tokenOf } from "./flood-orchestrator.ts";
import type { Greetings } from "./flood-sender.ts";

const SILENT = 5_000;
const HELLOS_PER_SECOND = 10_000;
const SECONDS = 10;
const QUIET_MS = 3_000;
/** Longer than the flood. */
const JOINS_WITHIN_MS = 30_000;

export interface FloodResult {
  readonly silentSockets: number;
  /** Connections that begin a greeting, in each second. */
  readonly offeredPerSecond: number;
  /** Of those, looked at by the orchestrator; all others wait, or the system drops them. */
  readonly takenPerSecond: number;
  /** Of those that were looked at, closed at the door, and taken as far as a handshake. */
  readonly refusedPerSecond: number;
  readonly answeredPerSecond: number;
  /** Whole greetings among them, in each second: with a proof that is nobody's. */
  readonly greetingsPerSecond: number;
  readonly seconds: number;
  /** Honest nodes that were lost: must be 0. */
  readonly heartbeatsLost: number;
  /** Who comes by an invitation while it is flooded. */
  readonly newcomers: Newcomers;
  readonly stepsPerSecondBefore: number;
  readonly stepsPerSecondDuring: number;
  readonly orchestratorRssMB: number | null;
  /** Over a connection that was there before. */
  readonly worstPingMs: number;
  /** Of the orchestrator's own processor time while it was flooded, of one core. */
  readonly orchestratorCores: number | null;
  /** Of the network's UDP ports, by themselves. */
  readonly datagrams: DatagramFlood;
}

/** Whole greetings: what they cost their sender, other processes here would not have. */
const GREETINGS_PER_SECOND = 100;
/** Of the silent sockets. */
const ADDRESSES = 32;

function greeter(port: string, token: string): { readonly result: Promise<Greetings>; end(): void } {
  const words = [port, "1", String(GREETINGS_PER_SECOND), String(SECONDS), token];
  const child = fork(join(import.meta.dirname, "flood-sender.ts"), words, { execArgv: [] });
  const result = new Promise<Greetings>((resolve, reject) => {
    child.on("message", (message) => resolve(message as Greetings));
    child.on("exit", (code) => reject(new Error(`the sender ended with ${code} before it was done`)));
  });
  return { result, end: () => void child.kill("SIGKILL") };
}

/** 5,000 sockets that never speak, and 10,000 greetings a second: against three honest nodes. */
export async function benchFlood(progress: Progress): Promise<FloodResult> {
  return { ...(await floodOfGreetings(progress)), datagrams: await floodOfDatagrams(progress) };
}

async function floodOfGreetings(progress: Progress): Promise<Omit<FloodResult, "datagrams">> {
  const orchestrator = await startFlooded();
  const sockets = new Set<Socket>();
  let whole: ReturnType<typeof greeter> | null = null;
  try {
    const net = new FakeNet();
    const token = tokenOf(orchestrator.invitation);
    for (const number of [0, 1, 2]) {
      const node = net.node(orchestrator.url, number, { token });
      // Attackers and nodes share this computer: training at full speed would leave the attack nothing.
      node.onGrant = (grant) => void setTimeout(() => net.run(grant), 20);
    }
    await until("training", () => orchestrator.view().step >= 5, 60_000);
    const before = orchestrator.view();
    await delay(QUIET_MS);
    const quiet = ((orchestrator.view().step - before.step) * 1000) / QUIET_MS;
    progress(`${quiet.toFixed(1)} steps/s before`);
    const { hostname, port } = new URL(orchestrator.url);
    for (let i = 0; i < SILENT; i++) {
      const localAddress = process.platform === "linux" ? `127.0.1.${1 + (i % ADDRESSES)}` : "127.0.0.1";
      const socket = connect({ port: Number(port), host: hostname, localAddress });
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
      socket.resume();
      if (i % 100 === 99) await delay(1);
    }
    progress("5,000 silent sockets are dialled");
    whole = greeter(port, token);
    let worstPingMs = 0;
    const start = performance.now();
    const first = orchestrator.view();
    const cpuBefore = orchestrator.cpuSeconds();
    let isOver = false;
    const sent = Promise.all([
      floodOfConnections(Number(port), HELLOS_PER_SECOND, SECONDS),
      whole.result,
    ]).finally(() => (isOver = true));
    const pings = async (): Promise<void> => {
      for (;;) {
        if (isOver) return;
        worstPingMs = Math.max(worstPingMs, await orchestrator.pingMs());
        await delay(20);
      }
    };
    const { url, invitation } = orchestrator;
    const came = newcomers(url, invitation, JOINS_WITHIN_MS, () => isOver);
    const [[flood, greetings]] = await Promise.all([sent, pings()]);
    const seconds = (performance.now() - start) / 1000;
    const last = orchestrator.view();
    const cpu = orchestrator.cpuSeconds();
    return {
      silentSockets: SILENT,
      offeredPerSecond: Math.round(flood.offered / flood.seconds),
      takenPerSecond: Math.round((flood.refused + flood.answered) / flood.seconds),
      refusedPerSecond: Math.round(flood.refused / flood.seconds),
      answeredPerSecond: Math.round(flood.answered / flood.seconds),
      greetingsPerSecond: Math.round(greetings.said / greetings.seconds),
      seconds,
      heartbeatsLost: net.nodes.filter(({ closeCode }) => closeCode !== null).length,
      stepsPerSecondBefore: quiet,
      stepsPerSecondDuring: (last.step - first.step) / seconds,
      orchestratorRssMB: orchestrator.rssMB(),
      orchestratorCores: cpuBefore === null ? null : ((cpu ?? 0) - cpuBefore) / seconds,
      worstPingMs,
      newcomers: await came,
    };
  } finally {
    for (const socket of sockets) socket.destroy();
    whole?.end();
    await orchestrator.stop();
  }
}
