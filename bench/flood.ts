import { fork } from "node:child_process";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { FakeNet, until } from "../src-orchestrator/test-support/fake-node.test-support.ts";
import type { Progress } from "./bench.ts";
import { floodOfDatagrams } from "./flood-datagrams.ts";
import type { DatagramFlood } from "./flood-datagrams.ts";
import { startFlooded } from "./flood-orchestrator.ts";

const SILENT = 5_000;
const HELLOS_PER_SECOND = 10_000;
const SECONDS = 10;
const QUIET_MS = 3_000;

export interface FloodResult {
  readonly silentSockets: number;
  readonly hellosSent: number;
  readonly hellosPerSecond: number;
  readonly seconds: number;
  /** Honest nodes that were lost: must be 0. */
  readonly lostHeartbeats: number;
  readonly stepsPerSecondBefore: number;
  readonly stepsPerSecondDuring: number;
  readonly orchestratorRssMB: number | null;
  /** Over a connection that was there before. */
  readonly worstPingMs: number;
  /** Of the network's UDP ports, by themselves. */
  readonly datagrams: DatagramFlood;
}

/** Processes that send greetings: one alone reaches about a thousand a second. */
const SENDERS = 4;

interface Sent {
  readonly sent: number;
  readonly seconds: number;
}

function sender(port: string, number: number): { readonly result: Promise<Sent>; end(): void } {
  const words = [port, String(number), String(HELLOS_PER_SECOND / SENDERS), String(SECONDS)];
  const child = fork(join(import.meta.dirname, "flood-sender.ts"), words, { execArgv: [] });
  const result = new Promise<Sent>((resolve, reject) => {
    child.on("message", (message) => resolve(message as Sent));
    child.on("exit", (code) => reject(new Error(`a sender ended with ${code} before it was done`)));
  });
  return { result, end: () => void child.kill("SIGKILL") };
}

/** 5,000 sockets that never speak, and as many greetings a second as this computer can send, up to 10,000: against three honest nodes. */
export async function benchFlood(progress: Progress): Promise<FloodResult> {
  const connections = await floodOfConnections(progress);
  return { ...connections, datagrams: await floodOfDatagrams(progress) };
}

async function floodOfConnections(progress: Progress): Promise<Omit<FloodResult, "datagrams">> {
  const orchestrator = await startFlooded();
  const sockets = new Set<Socket>();
  const senders: ReturnType<typeof sender>[] = [];
  try {
    const net = new FakeNet();
    for (const number of [0, 1, 2]) {
      const node = net.node(orchestrator.url, number);
      // Attackers and nodes share this thread: training at full speed would leave the attack nothing.
      node.onGrant = (grant) => void setTimeout(() => net.run(grant), 20);
    }
    await until("training", () => orchestrator.view().step >= 5, 60_000);
    const before = orchestrator.view();
    await delay(QUIET_MS);
    const quiet = ((orchestrator.view().step - before.step) * 1000) / QUIET_MS;
    progress(`${quiet.toFixed(1)} steps/s before`);
    const { hostname, port } = new URL(orchestrator.url);
    for (let i = 0; i < SILENT; i++) {
      const socket = connect(Number(port), hostname);
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
      socket.resume();
      if (i % 100 === 99) await delay(1);
    }
    progress("5,000 silent sockets are dialled");
    senders.push(...Array.from({ length: SENDERS }, (_, number) => sender(port, number)));
    let worstPingMs = 0;
    const start = performance.now();
    const first = orchestrator.view();
    let isOver = false;
    const sent = Promise.all(senders.map(({ result }) => result)).finally(() => (isOver = true));
    const pings = async (): Promise<void> => {
      for (;;) {
        if (isOver) return;
        worstPingMs = Math.max(worstPingMs, await orchestrator.pingMs());
        await delay(20);
      }
    };
    const [results] = await Promise.all([sent, pings()]);
    const hellos = results.reduce((sum, one) => sum + one.sent, 0);
    const seconds = (performance.now() - start) / 1000;
    const last = orchestrator.view();
    return {
      silentSockets: SILENT,
      hellosSent: hellos,
      hellosPerSecond: results.reduce((sum, one) => sum + one.sent / one.seconds, 0),
      seconds,
      lostHeartbeats: net.nodes.filter(({ closeCode }) => closeCode !== null).length,
      stepsPerSecondBefore: quiet,
      stepsPerSecondDuring: (last.step - first.step) / seconds,
      orchestratorRssMB: orchestrator.rssMB(),
      worstPingMs,
    };
  } finally {
    for (const socket of sockets) socket.destroy();
    for (const each of senders) each.end();
    await orchestrator.stop();
  }
}
