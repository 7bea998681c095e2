import type { PowerMonitor } from "electron";
import type { EvidenceReport, Rules } from "../src-protocol/policy.ts";

export interface EvidencePorts {
  readonly powerMonitor: Pick<PowerMonitor, "getSystemIdleTime" | "isOnBatteryPower" | "on">;
  readonly platform: NodeJS.Platform;
  readonly now: () => number;
  readonly every: (ms: number, action: () => void) => () => void;
  readonly report: (evidence: EvidenceReport) => void;
}

type Needs = Pick<Rules, "onlyOnPower" | "onlyWhenIdle">;

/** A hand on the mouse must stop the work within a second, so that is how often it is looked for. */
const LOOK_MS = 1000;
const REPORT_MS = 15_000;
const THERMAL = ["nominal", "fair", "serious", "critical"] as const;

/**
 * Tells the daemon about input and power where Electron knows them: macOS and Windows. On Linux
 * Electron's idle time is 0 on many Wayland desktops (electron/electron#34826), and the daemon has
 * probes of its own.
 */
export class EvidenceReporter {
  readonly #ports: EvidencePorts;
  #needs: Needs = { onlyOnPower: false, onlyWhenIdle: false };
  #stop: (() => void) | null = null;
  #locked: boolean | null = null;
  #thermal: EvidenceReport["thermal"] = null;
  #last: { at: number; evidence: EvidenceReport } | null = null;

  constructor(ports: EvidencePorts) {
    this.#ports = ports;
    const { powerMonitor } = ports;
    const soon = () => {
      if (this.#stop !== null) this.#report();
    };
    powerMonitor.on("on-ac", soon);
    powerMonitor.on("on-battery", soon);
    powerMonitor.on("resume", soon);
    powerMonitor.on("lock-screen", () => {
      this.#locked = true;
      soon();
    });
    powerMonitor.on("unlock-screen", () => {
      this.#locked = false;
      soon();
    });
    powerMonitor.on("thermal-state-change", ({ state }) => {
      this.#thermal = THERMAL.find((known) => known === state) ?? null;
      this.#watch();
      soon();
    });
  }

  /** Begins at once when a rule comes to need it, and stops with the last such rule. */
  need(rules: Needs | null): void {
    this.#needs = rules ?? { onlyOnPower: false, onlyWhenIdle: false };
    this.#watch();
  }

  #watch(): void {
    const { onlyOnPower, onlyWhenIdle } = this.#needs;
    // A hot computer is told of whatever the rules are; the daemon's guard decides.
    const isHot = this.#thermal === "serious" || this.#thermal === "critical";
    const wanted = this.#ports.platform !== "linux" && (onlyOnPower || onlyWhenIdle || isHot);
    if (wanted && this.#stop === null) {
      this.#stop = this.#ports.every(LOOK_MS, () => this.#look());
      this.#report();
    } else if (!wanted && this.#stop !== null) {
      this.#stop();
      this.#stop = null;
      this.#last = null;
    }
  }

  #look(): void {
    const due = this.#last === null || this.#ports.now() - this.#last.at >= REPORT_MS;
    if (due || this.#inputSince()) this.#report();
  }

  /** True when idle time is shorter than it would be had nobody touched anything since the last report. */
  #inputSince(): boolean {
    if (!this.#needs.onlyWhenIdle || this.#last === null) return false;
    const before = this.#last.evidence.idleSeconds ?? 0;
    return this.#ports.powerMonitor.getSystemIdleTime() < before;
  }

  #report(): void {
    const { powerMonitor, now, report } = this.#ports;
    const evidence: EvidenceReport = {
      idleSeconds: Math.max(0, powerMonitor.getSystemIdleTime()),
      power: powerMonitor.isOnBatteryPower() ? "battery" : "mains",
      // Electron's main process does not know the level; the daemon's own probe does.
      batteryPercent: null,
      // Neither is told before it has changed once.
      ...(this.#locked === null ? {} : { screenLocked: this.#locked }),
      ...(this.#thermal === null ? {} : { thermal: this.#thermal }),
    };
    this.#last = { at: now(), evidence };
    report(evidence);
  }
}
