import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { installService, removeService, type Run, type ServicePorts } from "./service.ts";
import { launchdPlist, systemdUnit, systemdWord, windowsTask } from "./service-files.ts";

let home: string;
let calls: string[];
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "service home "));
  calls = [];
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const script = '/opt/Train at Home/100% "it"/main $ts';
const plan = (folder = home) => ({
  command: [process.execPath, script, "--neighbours", "0"] as const,
  dataFolder: join(folder, "data & more"),
  home: folder,
  configHome: null,
});
function ports(
  platform: NodeJS.Platform,
  answer: Awaited<ReturnType<Run>> = { code: 0, out: "" },
): ServicePorts {
  return {
    platform,
    plan: plan(),
    uid: 501,
    run: async (command, args) => {
      calls.push([command, ...args].join(" "));
      return answer;
    },
  };
}

describe("installing and removing", () => {
  it.each([
    [
      "linux",
      "systemctl --user enable --now train-at-home.service",
      "systemctl --user disable --now train-at-home.service",
    ],
    ["darwin", "launchctl bootstrap gui/501 ", "launchctl bootout gui/501/app.train-at-home.daemon"],
    ["win32", "schtasks.exe /Create /F /TN train-at-home /XML ", "schtasks.exe /Delete /F /TN train-at-home"],
  ] as const)("on %s", async (platform, install, remove) => {
    const { file } = await installService(ports(platform));
    expect(existsSync(file)).toBe(true);
    expect(calls.some((call) => call.startsWith(install))).toBe(true);
    await removeService(ports(platform));
    expect(existsSync(file)).toBe(false);
    expect(calls).toContain(remove);
  });

  it("what is refused leaves nothing behind, or what was there", async () => {
    const refused = ports("linux", { code: 1, out: "Failed to connect to bus: No medium found\n" });
    await expect(installService(refused)).rejects.toMatchObject({
      code: "service-not-installed",
      message: expect.stringMatching(/cannot be reached from here.*enable-linger.*Nothing was installed\.$/),
    });
    await expect(
      installService(ports("linux", { code: 1, out: "Unit has a bad setting\n" })),
    ).rejects.toThrow(/refused \(systemctl --user daemon-reload\): Unit has a bad setting\. Nothing/);
    const { path } = systemdUnit(plan());
    expect(existsSync(path)).toBe(false);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "mine");
    await expect(installService(refused)).rejects.toThrow(/Nothing was installed/);
    expect(readFileSync(path, "utf8")).toBe("mine");
  });

  it("where there is no service manager it says so; removing what is not there too", async () => {
    await expect(installService(ports("linux", null))).rejects.toThrow(
      /systemctl is not there.*run without systemd/,
    );
    await expect(installService(ports("openbsd"))).rejects.toThrow(/no service manager known/);
    expect((await removeService(ports("linux"))).text).toContain("It was not installed");
  });
});

const hasAnalyze = process.platform === "linux" && spawnSync("systemd-analyze", ["--version"]).status === 0;

describe("the files", () => {
  it("words with spaces, quotes, percent and dollar signs stay what they are", () => {
    expect(systemdWord('a "b" 50% $HOME \\')).toBe('"a \\"b\\" 50%% $$HOME \\\\"');
    expect(launchdPlist(plan()).text).toContain(
      "<string>/opt/Train at Home/100% &quot;it&quot;/main $ts</string>",
    );
    expect(windowsTask(plan()).text).toContain("data &amp; more");
  });

  it.runIf(hasAnalyze)("systemd reads the unit without a complaint", () => {
    // systemd looks whether what is started is there.
    const own = {
      ...plan(),
      command: [process.execPath, import.meta.filename, "--neighbours", "0"] as const,
    };
    const { text } = systemdUnit(own);
    const unit = join(home, "train-at-home.service");
    writeFileSync(unit, text);
    const { status, stderr } = spawnSync("systemd-analyze", ["--user", "verify", unit], {
      encoding: "utf8",
      env: { ...process.env, XDG_RUNTIME_DIR: home },
    });
    expect([status, stderr.split("\n").filter((line) => line.includes("train-at-home"))]).toEqual([0, []]);
  });

  it.runIf(process.platform === "darwin")("launchd reads the list", () => {
    const file = join(home, "list.plist");
    writeFileSync(file, launchdPlist(plan()).text);
    expect(execFileSync("plutil", ["-lint", file], { encoding: "utf8" })).toContain("OK");
  });
});
