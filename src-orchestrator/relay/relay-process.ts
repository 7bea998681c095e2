import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Failure } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { LinkServices } from "../../src-protocol/link-services.ts";
import { DHT_NODES, fromRelay } from "./relay-ipc.ts";
import type { RelaySettings, RelayStatus, ToRelay } from "./relay-ipc.ts";

const START_MS = 15_000;
const STOP_MS = 1_500;
const FIRST_RESTART_MS = 500;
const LAST_RESTART_MS = 30_000;

export interface RelayOptions {
  readonly host: string;
  readonly publicHost: string;
  /** First of five UDP ports in a row, so that a firewall can let them through; left out: any. */
  readonly udpPort?: number;
  readonly tcpPort?: number;
  readonly nodeMbitPerSecond?: number;
  readonly totalMbitPerSecond?: number;
  readonly connections?: number;
  /** It has ended by itself and is started again; one sentence. */
  readonly onCrash?: (sentence: string) => void;
}

export interface RelayProcess {
  /** For the control welcome; the same for as long as it lives, crashes included. */
  readonly services: LinkServices;
  readonly pid: number | null;
  readonly status: RelayStatus | null;
  readonly crashes: number;
  /** Who may be joined from now on; all others end. */
  allow(pairs: readonly (readonly [SessionKey, SessionKey])[]): void;
  close(): Promise<void>;
}

/**
 * Starts the network's DHT nodes, blind relay (UDP) and byte relay (TCP) in a process of their own.
 * When it crashes it is back on the same ports under the same key, so what nodes were told stays true.
 *
 * @throws Failure relay-listen, relay-start
 */
export async function startRelay(options: RelayOptions): Promise<RelayProcess> {
  let settings: RelaySettings = {
    host: options.host,
    publicHost: options.publicHost,
    udpPorts: portsFrom(options.udpPort),
    tcpPort: options.tcpPort ?? 0,
    seed: randomBytes(32).toString("hex"),
    nodeMbitPerSecond: options.nodeMbitPerSecond ?? 20,
    totalMbitPerSecond: options.totalMbitPerSecond ?? 200,
    connections: options.connections ?? 512,
  };
  let pairs: readonly (readonly [SessionKey, SessionKey])[] = [];
  let status: RelayStatus | null = null;
  let crashes = 0;
  let closing = false;
  let restartMs = FIRST_RESTART_MS;
  let timer: NodeJS.Timeout | undefined;

  const run = async (): Promise<{ child: ChildProcess; services: LinkServices }> => {
    const child = fork(new URL("./main.ts", import.meta.url), {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const services = await started(child, settings);
    tell(child, { type: "pairs", pairs: pairs.map(([a, b]) => [a, b]) });
    child.on("message", (value) => {
      const said = fromRelay.safeParse(value).data;
      if (said?.type === "status") status = said.status;
    });
    child.once("exit", (code, signal) => {
      status = null;
      if (closing) return;
      crashes += 1;
      options.onCrash?.(`The relay process has ended (${signal ?? code}). It is started again.`);
      again();
    });
    return { child, services };
  };
  const again = (): void => {
    timer = setTimeout(() => {
      run().then(
        (next) => {
          child = next.child;
          restartMs = FIRST_RESTART_MS;
          if (closing) child.kill("SIGKILL");
        },
        () => {
          restartMs = Math.min(restartMs * 2, LAST_RESTART_MS);
          if (!closing) again();
        },
      );
    }, restartMs);
  };
  const first = await run();
  let { child } = first;
  const { services } = first;
  // A restart has to come back to the addresses that nodes were told.
  settings = {
    ...settings,
    udpPorts: [...services.bootstrap, services.datagramRelay?.address].flatMap((at) => at?.port ?? []),
    tcpPort: services.byteRelay?.address.port ?? settings.tcpPort,
  };
  return {
    services,
    get pid() {
      return child.pid ?? null;
    },
    get status() {
      return status;
    },
    get crashes() {
      return crashes;
    },
    allow(next) {
      pairs = next;
      tell(child, { type: "pairs", pairs: pairs.map(([a, b]) => [a, b]) });
    },
    async close() {
      closing = true;
      clearTimeout(timer);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      tell(child, { type: "stop" });
      const kill = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(kill);
    },
  };
}

function portsFrom(first: number | undefined): number[] {
  return first === undefined ? [] : Array.from({ length: DHT_NODES + 1 }, (_, index) => first + index);
}

function started(child: ChildProcess, settings: RelaySettings): Promise<LinkServices> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Failure("relay-start", "The relay process did not start in time."));
    }, START_MS);
    const over = (): void => {
      clearTimeout(timer);
      child.off("message", heard);
      child.off("exit", ended);
    };
    const ended = (): void => {
      over();
      reject(new Failure("relay-start", "The relay process ended while it started."));
    };
    const heard = (value: unknown): void => {
      const said = fromRelay.safeParse(value).data;
      if (said === undefined || said.type === "status") return;
      over();
      if (said.type === "listening") resolve(said.services);
      else {
        child.kill("SIGKILL");
        reject(new Failure(said.code, said.message));
      }
    };
    child.on("message", heard);
    child.on("exit", ended);
    tell(child, { type: "start", settings });
  });
}

function tell(child: ChildProcess, message: ToRelay): void {
  if (child.connected) child.send(message, () => {});
}
