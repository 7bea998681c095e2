import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ALWAYS, UNKNOWN_EVIDENCE } from "../../src-protocol/policy.ts";
import { linuxPrograms, macosPrograms, namesRunning, sameProgram, windowsPrograms } from "./apps.ts";
import {
  linuxDesktop,
  parseDesktops,
  parseInhibited,
  parseKdeInhibitions,
  parseLogindInhibitors,
} from "./desktop-linux.ts";
import { linuxHeat } from "./heat-linux.ts";
import { linuxLoad, parseProcess, parseStat } from "./load-linux.ts";
import { missingEvidence } from "./missing-evidence.ts";
import { linuxNetwork, parseConnections, parseMetered } from "./network-linux.ts";
import { linuxPower } from "./power-linux.ts";
import type { RunCommand } from "../children/run-command.ts";

const isLinux = process.platform === "linux";
/** No process has this number. */
const NOBODY = 2 ** 30;
const nothing: RunCommand = async () => null;
const programs =
  (answers: Record<string, string>): RunCommand =>
  async (command, args) =>
    Object.entries(answers).find(([word]) => [command, ...args].join(" ").includes(word))?.[1] ?? null;
const session = (fields: Record<string, string>): string =>
  Object.entries({
    Class: "user",
    Type: "wayland",
    State: "active",
    Remote: "no",
    LockedHint: "no",
    ...fields,
  })
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "evidence "));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));
function put(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

describe("locked screens and desktops from afar", () => {
  it.each([
    ["open", [session({})], false, false],
    ["locked", [session({ LockedHint: "yes" })], true, false],
    ["one of two is open", [session({ LockedHint: "yes" }), session({ Type: "x11" })], false, false],
    ["from afar", [session({ Remote: "yes" })], null, true],
    ["from afar, and left", [session({ Remote: "yes", State: "online" })], false, false],
    ["ssh alone", [session({ Type: "tty", Remote: "yes" })], null, false],
    ["the greeter alone", [session({ Class: "greeter" })], null, false],
  ])("%s", (_, blocks, screenLocked, remoteSession) => {
    expect(parseDesktops(blocks.join("\n"))).toEqual({ screenLocked, remoteSession });
  });
});

describe("a film, a call or a game", () => {
  it("GNOME says whether something keeps the session from being idle", () => {
    expect([parseInhibited("(true,)\n"), parseInhibited("(false,)\n"), parseInhibited("(1,)")]).toEqual([
      true,
      false,
      null,
    ]);
  });

  it("KDE names who does; our own hold is nobody at the screen", () => {
    expect(parseKdeInhibitions("([('Firefox', 'Playing video')],)\n")).toBe(true);
    expect(parseKdeInhibitions("([('kde-inhibit', 'by request')],)\n")).toBe(false);
    expect(parseKdeInhibitions("(@a(ss) [],)\n")).toBe(false);
    expect(parseKdeInhibitions("Error: no such interface")).toBeNull();
  });

  it("logind lists them; ours, and locks that only delay, are left out", () => {
    const line = (who: string, what: string, mode: string) =>
      `${who} 1000 anna 4242 vlc ${what} because ${mode}\n`;
    expect(parseLogindInhibitors(line("VLC", "idle", "block"))).toBe(true);
    expect(parseLogindInhibitors(line("VLC", "sleep:idle", "block"))).toBe(true);
    expect(parseLogindInhibitors(line("Train at Home", "idle", "block"))).toBe(false);
    expect(parseLogindInhibitors(line("NetworkManager", "sleep", "delay"))).toBe(false);
    expect(parseLogindInhibitors("")).toBe(false);
  });

  it("is unknown on a desktop that does not answer, and no question on a server", async () => {
    const sessions = { "list-sessions": "2 1000 anna\n", "show-session": session({}) };
    expect(await linuxDesktop(programs(sessions))).toEqual({
      screenLocked: false,
      remoteSession: false,
      screenInUse: null,
    });
    expect((await linuxDesktop(programs({ ...sessions, IsInhibited: "(true,)\n" }))).screenInUse).toBe(true);
    const server = { "list-sessions": "3 0 root\n", "show-session": session({ Type: "tty" }) };
    expect((await linuxDesktop(programs(server))).screenInUse).toBe(false);
    expect(await linuxDesktop(nothing)).toEqual({
      screenLocked: null,
      remoteSession: null,
      screenInUse: null,
    });
  });
});

describe("heat", () => {
  it("is the hottest sensor of a processor or card; others and nonsense are left out", async () => {
    put("hwmon/hwmon0/name", "coretemp\n");
    put("hwmon/hwmon0/temp1_input", "61000\n");
    put("hwmon/hwmon0/temp2_input", "72500\n");
    put("hwmon/hwmon1/name", "nvme\n");
    put("hwmon/hwmon1/temp1_input", "99000\n");
    put("thermal/thermal_zone0/type", "x86_pkg_temp\n");
    put("thermal/thermal_zone0/temp", "70000\n");
    put("thermal/thermal_zone1/type", "cpu\n");
    put("thermal/thermal_zone1/temp", "-274000\n");
    expect(await linuxHeat(root)).toBe(72.5);
  });

  it("is unknown where no sensor is", async () => {
    expect(await linuxHeat(root)).toBeNull();
  });
});

describe("what others use of the processor", () => {
  const stat = (user: number, idle: number) =>
    put("stat", `cpu  ${user} 0 0 ${idle} 0 0 0 0 0 0\ncpu0 1 2 3\n`);
  const process = (pid: number, parent: number, ticks: number, name = "node") =>
    put(`${pid}/stat`, `${pid} (${name}) S ${parent} 0 0 0 0 0 0 0 0 0 ${ticks} 0 0 0 20 0 1 0`);

  it("the daemon's own work and that of all it has started never counts", async () => {
    const load = linuxLoad(root, 10);
    stat(0, 0);
    process(10, 1, 0);
    process(11, 10, 0);
    process(12, 11, 0, "odd) name (");
    process(99, 1, 0);
    expect(await load()).toBeNull();
    stat(80, 20);
    process(10, 1, 5);
    process(12, 11, 55, "odd) name (");
    process(99, 1, 20);
    expect(await load()).toBe(20);
  });

  it.runIf(isLinux)("is told by the first look at a real system, since work waits for it", async () => {
    const others = await linuxLoad("/proc", NOBODY)();
    expect(others).toBeGreaterThanOrEqual(0);
    expect(others).toBeLessThanOrEqual(100);
  });

  it("nonsense is unknown", async () => {
    expect([parseStat("cpu x y"), parseStat(""), parseProcess("")]).toEqual([null, null, null]);
    expect(await linuxLoad(join(root, "nowhere"), 1)()).toBeNull();
  });
});

describe("programs", () => {
  it("are the same by their last name, in any case, with .exe or without", () => {
    expect(sameProgram("Steam", "/usr/bin/steam")).toBe(true);
    expect(sameProgram("witcher3", "C:\\Games\\witcher3.exe")).toBe(true);
    expect(sameProgram("steam", "steamwebhelper")).toBe(false);
    expect(namesRunning(["steam", "vlc"], ["STEAM.EXE", "bash"])).toEqual(["steam"]);
  });

  it("are found by name, by file and by what a launcher starts", async () => {
    put("1/comm", "systemd\n");
    put("42/comm", "wine-preloader\n");
    put("42/cmdline", "Z:\\games\\game.exe\0-full");
    put("43/comm", "MainThread\n");
    symlinkSync("/opt/blender/blender", join(root, "43/exe"));
    expect(namesRunning(["game", "blender", "steam"], (await linuxPrograms(root)) ?? [])).toEqual([
      "game",
      "blender",
    ]);
    expect(await linuxPrograms(join(root, "nowhere"))).toBeNull();
    expect(await macosPrograms(programs({ ps: "/Applications/Steam.app/steam\n" }))).toContain(
      "/Applications/Steam.app/steam",
    );
    expect(await windowsPrograms(programs({ tasklist: '"steam.exe","1","Console"\r\n' }))).toEqual([
      "steam.exe",
    ]);
    expect(await windowsPrograms(nothing)).toBeNull();
  });
});

describe("networks", () => {
  it("metered by NetworkManager's word, names of the active ones", async () => {
    expect(["u 1\n", "u 2\n", "u 3\n", "u 4\n", "u 0\n", "x"].map(parseMetered)).toEqual([
      true,
      false,
      true,
      false,
      null,
      null,
    ]);
    expect(parseConnections("Cafe\\: upstairs:802-11-wireless:wlan0\nlo:loopback:lo\n")).toEqual([
      "Cafe: upstairs",
    ]);
    expect(await linuxNetwork(programs({ Metered: "u 1\n", nmcli: "Home:802-3-ethernet:eth0\n" }))).toEqual({
      metered: true,
      networks: ["Home"],
    });
    expect(await linuxNetwork(nothing)).toEqual({ metered: null, networks: null });
  });
});

describe("batteries that are not the computer's", () => {
  it("a headset without a scope on a desktop is no battery of the computer; nor is its level", async () => {
    put("hidpp_battery_0/type", "Battery\n");
    put("hidpp_battery_0/status", "Discharging\n");
    put("hidpp_battery_0/capacity", "10\n");
    put("hidpp_battery_0/model_name", "Headset\n");
    expect(await linuxPower(root)).toEqual({ power: "mains", batteryPercent: null });
    put("BAT0/type", "Battery\n");
    put("BAT0/status", "Full\n");
    put("BAT0/capacity", "98\n");
    expect(await linuxPower(root)).toEqual({ power: "mains", batteryPercent: 98 });
  });
});

describe("what is missing is said, with what to do", () => {
  it("for each rule that needs it, and for no other", () => {
    expect(missingEvidence(ALWAYS, UNKNOWN_EVIDENCE, null)).toEqual([]);
    const rules = {
      ...ALWAYS,
      onlyOnPower: true,
      onlyWhenIdle: true,
      load: { stopFrom: 50, startBelow: 20 },
      apps: ["steam"],
      notOnMetered: true,
      notOnNetworks: ["cafe"],
    };
    expect(missingEvidence(rules, UNKNOWN_EVIDENCE, "Use the schedule.").map(({ what }) => what)).toEqual([
      "power",
      "idleSeconds",
      "screenInUse",
      "appsRunning",
      "othersLoad",
      "metered",
      "networks",
    ]);
    expect(missingEvidence(rules, { ...UNKNOWN_EVIDENCE, screenLocked: true }, null)[1]?.what).toBe(
      "screenInUse",
    );
  });
});
