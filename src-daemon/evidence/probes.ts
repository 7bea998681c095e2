import { linuxIdle } from "./idle-linux.ts";
import { macosIdle } from "./idle-macos.ts";
import { linuxPower, POWER_SUPPLY_FOLDER } from "./power-linux.ts";
import { macosPower } from "./power-macos.ts";
import { windowsPower } from "./power-windows.ts";
import { type IdleReading, POWER_UNKNOWN, type PowerReading, type Probe } from "./probe.ts";
import { commandRunner } from "./run-command.ts";

export interface Probes {
  power: Probe<PowerReading>;
  idle: Probe<IdleReading>;
}

/** What plain Node can find out on this platform. On Windows only the shell knows idle time. */
export function systemProbes(platform: NodeJS.Platform = process.platform): Probes {
  switch (platform) {
    case "linux": {
      const idle = linuxIdle({ run: commandRunner(), now: Date.now, root: "/", environment: process.env });
      return {
        power: { everyMs: 5000, read: () => linuxPower(POWER_SUPPLY_FOLDER) },
        idle: { everyMs: 5000, read: idle },
      };
    }
    case "darwin": {
      const run = commandRunner();
      return {
        power: { everyMs: 15_000, read: () => macosPower(run) },
        idle: { everyMs: 5000, read: () => macosIdle(run) },
      };
    }
    case "win32": {
      // PowerShell takes seconds to start and a good deal of CPU.
      const run = commandRunner(10_000);
      return { power: { everyMs: 60_000, read: () => windowsPower(run) }, idle: NO_IDLE };
    }
    default:
      return { power: { everyMs: 60_000, read: async () => POWER_UNKNOWN }, idle: NO_IDLE };
  }
}

const NO_IDLE: Probe<IdleReading> = { everyMs: 60_000, read: async () => null };
