import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { SystemZone } from "./system-zone.ts";

function zoneWith(answers: (string | null)[]) {
  const state = { mark: "a", look: (): void => {} };
  const ask = vi.fn<() => Promise<string | null>>(async () => answers.shift() ?? null);
  const changed = vi.fn<() => void>();
  const zone = new SystemZone({
    mark: () => state.mark,
    ask,
    every: (_, look) => ((state.look = look), () => {}),
    first: "Europe/Berlin",
  });
  zone.onChange(changed);
  return { state, ask, changed, zone };
}

describe("the computer's own time zone", () => {
  it("is asked of a fresh process when the system's setting has changed, and only then", async () => {
    const { state, ask, changed, zone } = zoneWith(["America/New_York"]);
    await zone.look();
    expect(ask).not.toHaveBeenCalled();
    state.mark = "b";
    await zone.look();
    expect([zone.name, changed.mock.calls.length]).toEqual(["America/New_York", 1]);
    await zone.look();
    expect(ask).toHaveBeenCalledOnce();
  });

  it("stays when it cannot be asked or answers nonsense, and is asked again", async () => {
    const { state, changed, zone } = zoneWith([null, "Mars/Olympus", "Asia/Tokyo"]);
    state.mark = "b";
    await zone.look();
    await zone.look();
    expect(zone.name).toBe("Europe/Berlin");
    await zone.look();
    expect([zone.name, changed.mock.calls.length]).toEqual(["Asia/Tokyo", 1]);
  });

  it("a new setting with the same zone is no change", async () => {
    const { state, changed, zone } = zoneWith(["Europe/Berlin"]);
    state.mark = "b";
    await zone.look();
    expect(changed).not.toHaveBeenCalled();
  });
});

/** In a mount namespace of its own, where /etc may be another one. */
const namespaces =
  process.platform === "linux" &&
  spawnSync("unshare", ["--mount", "true"]).status === 0 &&
  spawnSync("test", ["-e", "/usr/share/zoneinfo/America/New_York"]).status === 0;

describe.runIf(namespaces)("a real system that travels", () => {
  it("while Node runs, /etc/localtime becomes New York: Node's own answer stays, ours follows", () => {
    const script = `
      import { execFileSync } from "node:child_process";
      import { SystemZone } from ${JSON.stringify(join(import.meta.dirname, "system-zone.ts"))};
      const zone = new SystemZone();
      const before = zone.name;
      execFileSync("ln", ["-sfn", "/usr/share/zoneinfo/America/New_York", "/etc/localtime"]);
      await zone.look();
      console.log(JSON.stringify([before, new Intl.DateTimeFormat().resolvedOptions().timeZone, zone.name]));
      zone.close();
    `;
    const setUp =
      'T=$(mktemp -d) && mount -t tmpfs none "$T" && cp -a /etc/. "$T" && mount --bind "$T" /etc && ' +
      'ln -sfn /usr/share/zoneinfo/Europe/Berlin /etc/localtime && exec "$@"; ';
    const { TZ: _zone, ...env } = process.env;
    const out = execFileSync(
      "unshare",
      [
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        setUp,
        "sh",
        process.execPath,
        "--input-type=module",
        "-e",
        script,
      ],
      { encoding: "utf8", env },
    );
    expect(JSON.parse(out)).toEqual(["Europe/Berlin", "Europe/Berlin", "America/New_York"]);
  });
});
