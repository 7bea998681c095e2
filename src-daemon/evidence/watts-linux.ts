import { setTimeout as wait } from "node:timers/promises";
import { join } from "node:path";
import type { RunCommand } from "../children/run-command.ts";
import { names, text } from "./system-files.ts";

export type Watts = { readonly watts: number; readonly of: string } | { readonly why: string };

const BETWEEN_MS = 500;

/**
 * What the computer draws, where it tells: its battery while that is emptied, the processor's own counter
 * (RAPL; since 2020 only root may read it, CVE-2020-8694), or sensors of cards. `root` is /sys/class.
 */
export async function linuxWatts(
  root: string,
  between: () => Promise<number> = halfASecond,
  nvidia: () => Promise<number | null> = async () => null,
): Promise<Watts> {
  const battery = await batteryWatts(join(root, "power_supply"));
  if (battery !== null) return { watts: battery, of: "the whole computer, from its battery" };
  const found = {
    ...(await rapl(join(root, "powercap"), between)),
    ...(await cards(join(root, "hwmon"), await nvidia())),
  };
  const parts = Object.entries(found);
  if (parts.length > 0)
    return {
      watts: parts.reduce((sum, [, watts]) => sum + watts, 0),
      of: `${parts.map(([name]) => name).join(" and ")} alone`,
    };
  return (await names(join(root, "powercap"))).some((name) => name.startsWith("intel-rapl"))
    ? { why: "the processor's counter may be read by the administrator alone" }
    : { why: "this computer has no sensor of power that can be read" };
}

async function halfASecond(): Promise<number> {
  const from = performance.now();
  await wait(BETWEEN_MS);
  return performance.now() - from;
}

async function batteryWatts(folder: string): Promise<number | null> {
  for (const name of await names(folder)) {
    const supply = join(folder, name);
    const isOurs = (await line(supply, "type")) === "Battery" && (await line(supply, "scope")) !== "Device";
    if (!isOurs || (await line(supply, "status")) !== "Discharging") continue;
    const micro = await number(supply, "power_now");
    if (micro > 0) return micro / 1e6;
    const byVolts = (await number(supply, "voltage_now")) * (await number(supply, "current_now"));
    if (byVolts > 0) return byVolts / 1e12;
  }
  return null;
}

/** Packages (`intel-rapl:0`), not their parts (`intel-rapl:0:1`). AMD's counters have the same name. */
async function rapl(folder: string, between: () => Promise<number>): Promise<Record<string, number>> {
  const packages = (await names(folder)).filter((name) => /^intel-rapl:\d+$/.test(name));
  const read = (): Promise<number[]> =>
    Promise.all(packages.map((name) => number(join(folder, name), "energy_uj")));
  const before = await read();
  if (before.length === 0 || before.some(Number.isNaN)) return {};
  const ms = await between();
  const after = await read();
  const microjoules = after.map((value, index) => value - (before[index] ?? 0));
  // The counter begins anew at its largest value.
  if (microjoules.some((used) => !(used >= 0))) return {};
  return { "the processor": microjoules.reduce((sum, used) => sum + used, 0) / 1e3 / ms };
}

/** Lines like `123.45`, one for each card; `[N/A]` of a card that does not tell. */
export function parseNvidiaWatts(output: string): number | null {
  const watts = output.split("\n").flatMap((line) => {
    const text = line.trim();
    return /^\d{1,5}(\.\d+)?$/.test(text) ? [Number(text)] : [];
  });
  return watts.length === 0 ? null : watts.reduce((sum, one) => sum + one, 0);
}

export async function nvidiaWatts(run: RunCommand): Promise<number | null> {
  const output = await run("nvidia-smi", ["--query-gpu=power.draw", "--format=csv,noheader,nounits"]);
  return output === null ? null : parseNvidiaWatts(output);
}

/** Those whose drivers tell it as a file, and NVIDIA's. */
async function cards(folder: string, nvidia: number | null): Promise<Record<string, number>> {
  let watts = nvidia ?? 0;
  for (const chip of await names(folder)) {
    if (!/^(amdgpu|i915|xe)$/.test(await line(join(folder, chip), "name"))) continue;
    const micro = await number(join(folder, chip), "power1_average");
    const now = Number.isNaN(micro) ? await number(join(folder, chip), "power1_input") : micro;
    if (now > 0) watts += now / 1e6;
  }
  return watts > 0 ? { "the graphics card": watts } : {};
}

async function line(folder: string, file: string): Promise<string> {
  return (await text(join(folder, file))).trim();
}

async function number(folder: string, file: string): Promise<number> {
  const digits = await line(folder, file);
  return /^-?\d{1,18}$/.test(digits) ? Math.abs(Number(digits)) : Number.NaN;
}
