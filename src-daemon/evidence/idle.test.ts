import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { linuxIdle } from "./idle-linux.ts";
import { logindIdle, parseSessionIds, parseSessions } from "./idle-logind.ts";
import { macosIdle, parseHidIdleTime } from "./idle-macos.ts";
import { mutterIdle, parseMutterIdle } from "./idle-mutter.ts";
import { screenSaverIdle } from "./idle-screen-saver.ts";
import { x11Idle } from "./idle-x11.ts";
import { commandRunner, type RunCommand } from "../children/run-command.ts";

const NOW = Date.parse("2026-11-23T12:00Z");
const nothing: RunCommand = async () => null;
/** Answers by the first word that a call contains. */
function programs(answers: Record<string, string | null>, calls: string[] = []): RunCommand {
  return async (command, args) => {
    const call = [command, ...args].join(" ");
    calls.push(call);
    return Object.entries(answers).find(([word]) => call.includes(word))?.[1] ?? null;
  };
}
function session(fields: Record<string, string>): string {
  const all = {
    Class: "user",
    Type: "wayland",
    State: "active",
    IdleHint: "no",
    IdleSinceHint: "0",
    ...fields,
  };
  return Object.entries(all)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}
const idleFor = (seconds: number) => ({
  IdleHint: "yes",
  IdleSinceHint: String((NOW - seconds * 1000) * 1000),
});

describe("GNOME's idle monitor", () => {
  it.each([
    ["(uint64 12345,)\n", 12.345],
    ["(uint64 0,)\n", 0],
    ["('12345',)\n", null],
    ["Error: GDBus.Error:org.freedesktop.DBus.Error.ServiceUnknown", null],
    ["", null],
  ])("%j", (output, seconds) => {
    expect(parseMutterIdle(output)).toBe(seconds);
  });

  it("is unknown where gdbus is missing", async () => {
    expect(await mutterIdle(nothing)).toBeNull();
  });
});

describe("the screen saver of other desktops", () => {
  it.each([
    ["milliseconds", (seconds: number) => seconds * 1000, 240],
    ["seconds", (seconds: number) => seconds, 240],
  ])("in %s, found out by how it grows", async (_, unit, expected) => {
    let now = NOW;
    let idle = 100;
    const read = screenSaverIdle(
      async () => `(uint32 ${unit(idle)},)\n`,
      () => now,
    );
    await read();
    idle = 240;
    now += 140_000;
    expect(await read()).toBe(expected);
  });

  it("until then it is taken for the smaller one", async () => {
    expect(
      await screenSaverIdle(
        async () => "(uint32 700,)\n",
        () => NOW,
      )(),
    ).toBe(0.7);
    expect(await screenSaverIdle(nothing, () => NOW)()).toBeNull();
  });
});

describe("X", () => {
  it("is asked where there is an X server and no Wayland", async () => {
    const run = programs({ xprintidle: "61250\n" });
    expect(await x11Idle(run, { DISPLAY: ":0" })).toBe(61.25);
    expect(await x11Idle(run, { DISPLAY: ":0", WAYLAND_DISPLAY: "wayland-0" })).toBeNull();
    expect(await x11Idle(run, {})).toBeNull();
    expect(await x11Idle(programs({ xprintidle: "couldn't open display" }), { DISPLAY: ":0" })).toBeNull();
  });
});

describe("macOS", () => {
  it("takes the smallest HIDIdleTime, in nanoseconds", () => {
    expect(parseHidIdleTime('    | "HIDIdleTime" = 61250000000\n    "HIDIdleTime" = 90000000000\n')).toBe(
      61.25,
    );
    expect(parseHidIdleTime('"HIDIdleTime" = <aabb>\n')).toBeNull();
  });

  it("is unknown where ioreg fails", async () => {
    expect(await macosIdle(nothing)).toBeNull();
  });
});

describe("logind", () => {
  it("reads session ids with and without the header's columns", () => {
    expect(parseSessionIds("      2 1000 anna seat0 tty2\n     c1  42 gdm  seat0 tty1\n\n")).toEqual([
      "2",
      "c1",
    ]);
    expect(parseSessionIds("")).toEqual([]);
  });

  it.each([
    ["idle for ten minutes", [session(idleFor(600))], { desktop: true, idleSeconds: 600 }],
    ["in use", [session({ IdleSinceHint: "1" })], { desktop: true, idleSeconds: 0 }],
    ["one that never says", [session({})], { desktop: true, idleSeconds: null }],
    [
      "one in use beside one that never says",
      [session({}), session({ IdleSinceHint: "1" })],
      { desktop: true, idleSeconds: 0 },
    ],
    [
      "one idle beside one that never says",
      [session({}), session(idleFor(600))],
      { desktop: true, idleSeconds: null },
    ],
    [
      "root's, since systemd 256",
      [session({ Class: "user-early", ...idleFor(60) })],
      { desktop: true, idleSeconds: 60 },
    ],
    [
      "two people: the busier counts",
      [session(idleFor(600)), session({ Type: "x11", ...idleFor(20) })],
      { desktop: true, idleSeconds: 20 },
    ],
    ["only the greeter", [session({ Class: "greeter" })], { desktop: false, idleSeconds: null }],
    ["only ssh", [session({ Type: "tty" })], { desktop: false, idleSeconds: null }],
    ["one that is closing", [session({ State: "closing" })], { desktop: false, idleSeconds: null }],
    ["idle since it does not know when", [session({ IdleHint: "yes" })], { desktop: true, idleSeconds: 0 }],
    ["nonsense", ["hello\nworld\n"], { desktop: false, idleSeconds: null }],
  ])("%s", (_, blocks, reading) => {
    expect(parseSessions(blocks.join("\n"), NOW)).toEqual(reading);
  });

  it("asks for the sessions there are, and is unknown without logind", async () => {
    const calls: string[] = [];
    const run = programs(
      { "list-sessions": "2 1000 anna seat0 tty2\n", "show-session": session(idleFor(61)) },
      calls,
    );
    expect(await logindIdle(run, NOW)).toEqual({ desktop: true, idleSeconds: 61 });
    expect(calls[1]).toMatch(/^loginctl show-session .* 2$/);
    expect(await logindIdle(nothing, NOW)).toBeNull();
  });
});

describe("the Linux chain", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "idle root "));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function put(path: string, idleSeconds = 0, content = ""): void {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    const read = (NOW - idleSeconds * 1000) / 1000;
    // Output came just now: that must not matter.
    utimesSync(file, read, NOW / 1000);
  }
  const idle = (run: RunCommand, environment: Record<string, string> = {}, now = () => NOW) =>
    linuxIdle({ run, now, root, environment, account: 1000 }).read;

  it("Mutter first; typing in a terminal, perhaps from afar, counts too", async () => {
    const run = programs({ gdbus: "(uint64 900000,)\n" });
    expect(await idle(run)()).toBe(900);
    put("dev/pts/0", 30);
    expect(await idle(run)()).toBe(30);
  });

  it("logind where there is no Mutter", async () => {
    const run = programs({ "list-sessions": "2 1000 anna\n", "show-session": session(idleFor(700)) });
    expect(await idle(run)()).toBe(700);
  });

  it("a headless computer: the terminal last typed in", async () => {
    put("dev/tty", 0);
    put("dev/ttyS0", 0);
    put("dev/pts/ptmx", 0);
    put("dev/tty1", 5000);
    put("dev/pts/3", 120);
    expect(await idle(nothing)()).toBe(120);
  });

  it("no desktop, no session and no terminal, as in a container: nobody is there", async () => {
    expect(await idle(nothing)()).toBe(86_400);
  });

  it("a desktop that never sets its hint: unknown, not in use for ever, and the owner is told what to do", async () => {
    const kde = linuxIdle({
      run: programs({ "list-sessions": "2 1000 anna\n", "show-session": session({}) }),
      now: () => NOW,
      root,
      environment: { WAYLAND_DISPLAY: "wayland-0" },
      account: 1000,
    });
    expect(await kde.read()).toBeNull();
    expect(kde.note()).toMatch(
      /^This desktop does not tell whether you are there\. Use the schedule instead/,
    );
  });

  it("a desktop's idle time that never changes is found out, and believed again when it does", async () => {
    let now = NOW;
    let answer = "(uint32 0,)\n";
    const kde = linuxIdle({
      run: async (command, args) =>
        command === "gdbus" && args.includes("--dest=org.freedesktop.ScreenSaver") ? answer : null,
      now: () => now,
      root,
      environment: { WAYLAND_DISPLAY: "wayland-0" },
      account: 1000,
    });
    const look = () => ((now += 5000), kde.read());
    expect(await kde.read()).toBe(0);
    for (let minute = 0; minute < 14 * 12; minute += 1) expect(await look()).toBe(0);
    for (let minute = 0; minute < 2 * 12; minute += 1) await look();
    expect(await look()).toBeNull();
    expect(kde.note()).toContain("does not tell");
    answer = "(uint32 61000,)\n";
    expect(await look()).toBe(61);
    expect(kde.note()).toBeNull();
  });

  it.each([
    ["DISPLAY is set", "", { DISPLAY: ":0" }],
    ["WAYLAND_DISPLAY is set", "", { WAYLAND_DISPLAY: "wayland-0" }],
    ["an X socket", "tmp/.X11-unix/X0", {}],
    ["a Wayland socket", "run/user/1000/wayland-0", {}],
  ])("a desktop that nobody answers for is not judged by its terminals: %s", async (_, path, environment) => {
    put("dev/pts/3", 5000);
    if (path !== "") put(path);
    expect(await idle(nothing, environment)()).toBeNull();
  });

  it("under WSL it cannot tell, for the keyboard is Windows'", async () => {
    put("dev/pts/3", 5000);
    put("proc/version", 0, "Linux version 6.6.87.2-microsoft-standard-WSL2");
    expect(await idle(nothing)()).toBeNull();
  });

  it("a source without an answer is left alone for a minute", async () => {
    let now = NOW;
    const calls: string[] = [];
    const read = idle(programs({ "list-sessions": "" }, calls), {}, () => now);
    await read();
    expect(calls.map((call) => call.split(" ")[0])).toEqual(["gdbus", "gdbus", "loginctl"]);
    now += 5000;
    await read();
    expect(calls.map((call) => call.split(" ")[0])).toEqual(["gdbus", "gdbus", "loginctl", "loginctl"]);
    now += 60_000;
    await read();
    expect(calls.filter((call) => call.startsWith("gdbus"))).toHaveLength(4);
  });
});

describe("running a program", () => {
  const run = commandRunner(1000);
  const node = (script: string) => run(process.execPath, ["-e", script]);

  it("gives its output", async () => {
    expect(await node("process.stdout.write('ok ' + process.env.LC_ALL)")).toBe("ok C");
  });

  it("anything odd is no answer: missing, failing, endless", async () => {
    expect(await run("/no/such/program", [])).toBeNull();
    expect(await node("process.stdout.write('half'); process.exit(3)")).toBeNull();
    expect(await node("process.stdout.write('x'.repeat(1e6))")).toBeNull();
    expect(await commandRunner(100)(process.execPath, ["-e", "setInterval(() => {}, 1000)"])).toBeNull();
  });
});
