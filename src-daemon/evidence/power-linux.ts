import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { POWER_UNKNOWN, type PowerReading } from "./probe.ts";

export const POWER_SUPPLY_FOLDER = "/sys/class/power_supply";

/**
 * What the kernel's drivers call the batteries of mice, headsets, pens and game pads. Most also set
 * `scope`, some do not.
 */
const OF_A_DEVICE =
  /^(hid|wacom|sony_controller|ps-controller|nintendo_|steam[-_]|wiimote|xpad|gip|apple_mfi|corsair|razer|logitech)/i;

interface Supply {
  type: string;
  online: boolean;
  status: string;
  percent: number | null;
}

/**
 * Mains or battery from `folder`, normally /sys/class/power_supply. A computer without a battery
 * is on mains. Kernel: Documentation/ABI/testing/sysfs-class-power.
 */
export async function linuxPower(folder: string): Promise<PowerReading> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch {
    return POWER_UNKNOWN;
  }
  const own = names.filter((name) => !OF_A_DEVICE.test(name));
  const supplies = await Promise.all(own.map((name) => readSupply(join(folder, name))));
  return judge(supplies.filter((supply) => supply !== null));
}

async function readSupply(folder: string): Promise<Supply | null> {
  const file = async (name: string): Promise<string> => {
    try {
      return (await readFile(join(folder, name), "utf8")).trim();
    } catch {
      return "";
    }
  };
  const [type, online, status, capacity, scope, present] = await Promise.all(
    ["type", "online", "status", "capacity", "scope", "present"].map(file),
  );
  // The battery of a mouse or headset says nothing about the computer; an empty bay is no battery.
  if (type === undefined || type === "" || scope === "Device" || present === "0") return null;
  const percent = Number(capacity);
  return {
    type,
    online: online !== undefined && online !== "" && online !== "0",
    status: status ?? "",
    percent: capacity !== "" && percent >= 0 && percent <= 100 ? percent : null,
  };
}

function judge(supplies: readonly Supply[]): PowerReading {
  const batteries = supplies.filter(({ type }) => type === "Battery" || type === "UPS");
  if (batteries.length === 0) return { power: "mains", batteryPercent: null };
  const percents = batteries.map(({ percent }) => percent).filter((percent) => percent !== null);
  return {
    power: source(supplies, batteries),
    batteryPercent: percents.length === 0 ? null : Math.min(...percents),
  };
}

function source(supplies: readonly Supply[], batteries: readonly Supply[]): PowerReading["power"] {
  const adapters = supplies.filter(({ type }) => type === "Mains");
  const others = supplies.filter(({ type }) => type === "USB" || type === "Wireless");
  if (adapters.some(({ online }) => online)) return "mains";
  if (batteries.some(({ status }) => status === "Discharging")) return "battery";
  // A laptop charged over USB-C may have no adapter entry, or one that stays at 0.
  if (others.some(({ online }) => online)) return "mains";
  if (batteries.some(({ status }) => status === "Charging")) return "mains";
  // Some firmware goes on saying "Full" for a while after the plug is pulled; the adapter knows.
  if (adapters.length > 0) return "battery";
  const resting = batteries.every(({ status }) => status === "Full" || status === "Not charging");
  return resting ? "mains" : "unknown";
}
