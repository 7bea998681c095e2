import { join } from "node:path";
import { names, text } from "./system-files.ts";

/** Sensors of what computes: of processors and graphics cards. */
const CHIPS =
  /^(coretemp|k10temp|zenpower|cpu_thermal|cpu-thermal|amdgpu|nouveau|x86_pkg_temp|soc|soc_thermal|cpu.*)/i;

/**
 * Degrees Celsius of the hottest sensor of a processor or card under `root` (/sys/class/hwmon and
 * /sys/class/thermal); null: none can be read, as in most virtual machines.
 */
export async function linuxHeat(root: string): Promise<number | null> {
  const found = [...(await hwmon(join(root, "hwmon"))), ...(await zones(join(root, "thermal")))];
  // A sensor that is not there reads as 0, or as nonsense.
  const plausible = found.filter((celsius) => celsius > 1 && celsius < 150);
  return plausible.length === 0 ? null : Math.max(...plausible);
}

async function hwmon(folder: string): Promise<number[]> {
  const read: number[] = [];
  for (const chip of await names(folder)) {
    if (!CHIPS.test((await text(join(folder, chip, "name"))).trim())) continue;
    for (const file of await names(join(folder, chip)))
      if (/^temp\d+_input$/.test(file)) read.push(await degrees(join(folder, chip, file)));
  }
  return read;
}

async function zones(folder: string): Promise<number[]> {
  const read: number[] = [];
  for (const zone of await names(folder)) {
    if (!zone.startsWith("thermal_zone") || !CHIPS.test((await text(join(folder, zone, "type"))).trim()))
      continue;
    read.push(await degrees(join(folder, zone, "temp")));
  }
  return read;
}

async function degrees(path: string): Promise<number> {
  const thousandths = (await text(path)).trim();
  return /^-?\d{1,7}$/.test(thousandths) ? Number(thousandths) / 1000 : Number.NaN;
}
