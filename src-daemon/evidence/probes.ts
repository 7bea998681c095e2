import { linuxPrograms, macosPrograms, namesRunning, windowsPrograms } from "./apps.ts";
import { linuxDesktop } from "./desktop-linux.ts";
import { linuxHeat } from "./heat-linux.ts";
import { linuxIdle } from "./idle-linux.ts";
import { macosIdle } from "./idle-macos.ts";
import { linuxLoad } from "./load-linux.ts";
import { linuxNetwork } from "./network-linux.ts";
import { linuxPower, POWER_SUPPLY_FOLDER } from "./power-linux.ts";
import { macosPower } from "./power-macos.ts";
import { windowsPower } from "./power-windows.ts";
import {
  type DesktopReading,
  type IdleReading,
  type NetworkReading,
  POWER_UNKNOWN,
  type PowerReading,
  type Probe,
} from "./probe.ts";
import { commandRunner } from "../children/run-command.ts";

/** Where a platform has no way to find something out, there is no probe. */
export interface Probes {
  power: Probe<PowerReading>;
  idle: Probe<IdleReading>;
  /** Why idle time cannot be told, and what to do about it. */
  idleNote?: () => string | null;
  desktop?: Probe<DesktopReading>;
  /** Degrees Celsius. */
  heat?: Probe<number | null>;
  /** Percent of the processor that others use. */
  load?: Probe<number | null>;
  /** Of the named programs, those that run. */
  apps?: { everyMs: number; read(names: readonly string[]): Promise<string[] | null> };
  network?: Probe<NetworkReading>;
}

/** What plain Node can find out on this platform. On Windows only the shell knows idle time. */
export function systemProbes(platform: NodeJS.Platform = process.platform): Probes {
  switch (platform) {
    case "linux": {
      const run = commandRunner();
      const idle = linuxIdle({
        run,
        now: Date.now,
        root: "/",
        environment: process.env,
        account: process.getuid?.(),
      });
      return {
        power: { everyMs: 5000, read: () => linuxPower(POWER_SUPPLY_FOLDER) },
        idle: { everyMs: 5000, read: () => idle.read() },
        idleNote: () => idle.note(),
        desktop: { everyMs: 10_000, read: () => linuxDesktop(run) },
        heat: { everyMs: 10_000, read: () => linuxHeat("/sys/class") },
        load: { everyMs: 5000, read: linuxLoad("/proc", process.pid) },
        apps: named(() => linuxPrograms("/proc"), 5000),
        network: { everyMs: 15_000, read: () => linuxNetwork(run) },
      };
    }
    case "darwin": {
      const run = commandRunner();
      return {
        power: { everyMs: 15_000, read: () => macosPower(run) },
        idle: { everyMs: 5000, read: () => macosIdle(run) },
        apps: named(() => macosPrograms(run), 5000),
      };
    }
    case "win32": {
      // PowerShell takes seconds to start and a good deal of CPU.
      const run = commandRunner(10_000);
      return {
        power: { everyMs: 60_000, read: () => windowsPower(run) },
        idle: NO_IDLE,
        apps: named(() => windowsPrograms(run), 15_000),
      };
    }
    default:
      return { power: { everyMs: 60_000, read: async () => POWER_UNKNOWN }, idle: NO_IDLE };
  }
}

function named(programs: () => Promise<string[] | null>, everyMs: number): NonNullable<Probes["apps"]> {
  return {
    everyMs,
    async read(names) {
      const running = await programs();
      return running === null ? null : namesRunning(names, running);
    },
  };
}

const NO_IDLE: Probe<IdleReading> = { everyMs: 60_000, read: async () => null };
