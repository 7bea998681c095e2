import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { linuxWatts, nvidiaWatts, parseNvidiaWatts } from "./watts-linux.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tah watts "));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(root, name, ".."), { recursive: true });
    writeFileSync(join(root, name), `${text}\n`);
  }
}
const never = () => Promise.reject(new Error("nothing is to be waited for"));

it("a laptop's battery tells what all of it draws, while it is emptied", async () => {
  const battery = { "power_supply/BAT0/type": "Battery", "power_supply/BAT0/power_now": "18500000" };
  write({ ...battery, "power_supply/BAT0/status": "Discharging" });
  expect(await linuxWatts(root, never)).toMatchObject({ watts: 18.5, of: expect.stringContaining("whole") });
  write({ "power_supply/BAT0/status": "Charging" });
  expect(await linuxWatts(root, never)).toHaveProperty("why");
});

it("the processor's counter is read twice; its parts are not counted again", async () => {
  write({
    "powercap/intel-rapl:0/energy_uj": "1000000",
    "powercap/intel-rapl:1/energy_uj": "0",
    "powercap/intel-rapl:0:0/energy_uj": "0",
  });
  const later = async () => {
    write({ "powercap/intel-rapl:0/energy_uj": "21000000", "powercap/intel-rapl:1/energy_uj": "5000000" });
    return 500;
  };
  expect(await linuxWatts(root, later)).toEqual({ watts: 50, of: "the processor alone" });
});

it("a card's sensor counts, a network card's does not", async () => {
  write({ "hwmon/hwmon0/name": "amdgpu", "hwmon/hwmon0/power1_average": "120000000" });
  write({ "hwmon/hwmon1/name": "nic", "hwmon/hwmon1/power1_average": "9000000" });
  expect(await linuxWatts(root, never)).toEqual({ watts: 120, of: "the graphics card alone" });
});

it("NVIDIA's cards are asked by the driver's own tool, and added up", async () => {
  expect(parseNvidiaWatts("34.87\n120.5\n")).toBeCloseTo(155.37);
  expect(parseNvidiaWatts("[N/A]\n")).toBeNull();
  expect(await nvidiaWatts(async () => null)).toBeNull();
  const asked = nvidiaWatts(async (command) => (command === "nvidia-smi" ? "50.00\n" : null));
  expect(await linuxWatts(root, never, () => asked)).toEqual({ watts: 50, of: "the graphics card alone" });
});

it("what cannot be read is said to be so", async () => {
  expect(await linuxWatts(root, never)).toEqual({ why: expect.stringContaining("no sensor") });
  mkdirSync(join(root, "powercap", "intel-rapl:0"), { recursive: true });
  expect(await linuxWatts(root, never)).toEqual({ why: expect.stringContaining("administrator") });
});
