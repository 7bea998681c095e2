import { execFileSync } from "node:child_process";
import { describe, expect, it, vi } from "vitest";
import { awakeText, type Hold, type Inhibitor, inhibitors, KeepAwake, refusalInWords } from "./keep-awake.ts";

const one: Inhibitor = { name: "systemd-inhibit", command: "systemd-inhibit", args: [] };
const two: Inhibitor = { name: "kde-inhibit", command: "kde-inhibit", args: [] };

function keeping(list: Inhibitor[]) {
  const running = new Map<string, (why: string) => void>();
  const hold: Hold = ({ name }, ended) => {
    running.set(name, ended);
    return { end: () => void running.delete(name) };
  };
  const changed = vi.fn<() => void>();
  return { running, changed, awake: new KeepAwake({ inhibitors: list, hold, changed }) };
}

describe("keeping the computer awake", () => {
  it("holds while it is wanted, and not a moment longer", () => {
    const { running, awake } = keeping([two, one]);
    awake.want(true);
    awake.want(true);
    expect([...running.keys(), awake.held]).toEqual([
      "kde-inhibit",
      "systemd-inhibit",
      "kde-inhibit and systemd-inhibit",
    ]);
    awake.want(false);
    expect([running.size, awake.held]).toEqual([0, null]);
  });

  it("one that is refused is said, the other holds on", () => {
    const { running, changed, awake } = keeping([two, one]);
    awake.want(true);
    running.get("kde-inhibit")?.("kde-inhibit is not installed");
    expect([awake.held, awake.refusal, changed.mock.calls.length]).toEqual([
      "systemd-inhibit",
      "kde-inhibit is not installed",
      1,
    ]);
    awake.close();
  });

  it("tries again later what was refused", () => {
    vi.useFakeTimers();
    const { running, awake } = keeping([one]);
    awake.want(true);
    running.get("systemd-inhibit")?.("no bus");
    running.clear();
    vi.advanceTimersByTime(5 * 60_000);
    expect([running.size, awake.refusal]).toEqual([1, null]);
    awake.close();
    vi.useRealTimers();
  });

  it("a real program ends with the daemon's wish, and one that is missing is named", async () => {
    const changed = vi.fn<() => void>();
    const cat: Inhibitor = { name: "cat", command: "sh", args: ["-c", "exec cat # keep-awake-test"] };
    const missing: Inhibitor = { name: "missing", command: "no-such-inhibitor", args: [] };
    const awake = new KeepAwake({ inhibitors: [cat, missing], changed });
    awake.want(true);
    await vi.waitFor(() => expect(awake.refusal).toBe("no-such-inhibitor is not installed"));
    expect(awake.held).toBe("cat");
    awake.want(false);
    const left = (): string => execFileSync("ps", ["-A", "-o", "args="], { encoding: "utf8" });
    await vi.waitFor(() => expect(left()).not.toContain("exec cat # keep-awake-test"));
  });

  it.each([
    ["linux", { XDG_CURRENT_DESKTOP: "ubuntu:GNOME" }, ["gnome-session-inhibit", "systemd-inhibit"]],
    ["linux", { XDG_CURRENT_DESKTOP: "KDE" }, ["kde-inhibit", "systemd-inhibit"]],
    ["linux", {}, ["systemd-inhibit"]],
    ["darwin", {}, ["caffeinate"]],
    ["win32", {}, []],
  ] as const)("%s %j: %j", (platform, environment, names) => {
    expect(inhibitors(platform, environment).map(({ name }) => name)).toEqual(names);
    // The screen may go dark, and a person's own "Sleep" still counts.
    for (const { args } of inhibitors(platform, environment))
      expect(args.join(" ")).not.toMatch(/--what=\S*sleep|-d\b/);
  });

  it.each([
    [
      "Failed to inhibit: Failed to connect to bus: No such file or directory",
      "no service manager that it could ask runs here, as in a container",
    ],
    [
      "Failed to connect to bus: Host is down\n",
      "no service manager that it could ask runs here, as in a container",
    ],
    ["Failed to inhibit: Access denied", "this account may not keep the computer awake, as over SSH"],
    [
      "Failed to inhibit: Interactive authentication required.",
      "this account may not keep the computer awake, as over SSH",
    ],
    [
      "Failed to inhibit: The name org.freedesktop.login1 was not provided by any .service files",
      "nothing here answers systemd-inhibit",
    ],
    ["", "systemd-inhibit has ended"],
    ["Out of cheese", "systemd-inhibit was refused: Out of cheese"],
  ])("a refusal is told in words: %j", (said, words) => {
    expect(refusalInWords("systemd-inhibit", said)).toBe(words);
  });

  it("is said where it is known, with what to do where it cannot be done", () => {
    expect(awakeText(false, null, null, "linux")).toBe("");
    expect(awakeText(true, "caffeinate", null, "darwin")).toContain("(caffeinate)");
    expect(awakeText(true, null, "systemd-inhibit is not installed", "linux")).toMatch(
      /not installed.*sleep later/,
    );
    expect(awakeText(true, null, null, "win32")).toMatch(/desktop app/);
  });
});
