import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { diagnostics, reportText, saveReport, tail } from "./diagnostics.ts";
import { doctor, doctorText, hotkeyAtRest } from "./doctor.ts";
import { redacted } from "./redact.ts";

const who = { home: "/home/anna", user: "anna.b", host: "annas-laptop" };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "diagnostics "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("what leaves the computer", () => {
  it.each([
    ["a token", `Bearer ${"ab12".repeat(16)}`, "Bearer [64 hex digits]"],
    ["an invitation", `--join tah1${"q3k9".repeat(12)}`, "--join [invitation]"],
    [
      "a recovery phrase",
      "phrase: bottom drive obey lake curtain smoke basket hold race lonely fit walk.",
      "phrase: [words].",
    ],
    ["an address of a key", "to 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY.", "to [address]."],
    ["who it is and where", "/home/anna/x of anna.b on annas-laptop", "~/x of [user] on [computer]"],
    [
      "addresses of networks",
      "at 203.0.113.7 and 2001:db8::8a2e:370:7334",
      "at [IPv4 address] and [IPv6 address]",
    ],
    ["the card of the network", "mac 00:1b:44:11:3a:b7", "mac [network card]"],
    ["mail", "from anna@example.org", "from [mail address]"],
  ])("%s does not", (_, text, clean) => {
    expect(redacted(text, who)).toBe(clean);
  });

  it.each(["127.0.0.1:37321 at 12:30:45 step 120 loss 3.25", "Node 24.21.0 on linux x64"])(
    "what helps stays: %s",
    (text) => {
      expect(redacted(text, who)).toBe(text);
    },
  );

  it("the whole report has none of it, wherever it stood", async () => {
    const secret = "deadbeef".repeat(8);
    writeFileSync(join(folder, "daemon.log"), `{"msg":"token ${secret} of anna.b at 203.0.113.7"}\n`);
    const parts = await diagnostics(folder, "0.1.0", who);
    expect(parts.map(({ name }) => name)).toEqual(["Train at Home", "Computer", "Doctor", "State", "Log"]);
    const report = reportText(parts);
    expect(report).toMatch(/^## Train at Home\n0\.1\.0/);
    expect(report).toContain("Train at Home is not running.");
    expect(report).toContain('{"msg":"token [64 hex digits] of [user] at [IPv4 address]"}');
    for (const personal of [secret, "anna.b", "203.0.113.7"]) expect(report).not.toContain(personal);
  });

  it("the end of a long log, from a whole line on", () => {
    const path = join(folder, "log");
    writeFileSync(path, `${"first line\n".repeat(1000)}last line\n`);
    expect(tail(path, 25)).toBe("first line\nlast line\n");
    expect(tail(join(folder, "none"))).toBe("There is none.");
  });

  it("is saved for its owner alone, and over nothing", () => {
    const path = join(folder, "report.txt");
    saveReport(path, "report");
    expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["report", 0o600]);
    expect(() => saveReport(path, "other")).toThrow(/is there already/);
    expect(readFileSync(path, "utf8")).toBe("report");
  });
});

describe("tah doctor", () => {
  it("says what is wrong and what to do, also when nothing runs", async () => {
    const findings = await doctor(folder);
    expect(findings).toContainEqual({
      about: "Train at Home",
      is: "problem",
      text: expect.stringContaining("is not running"),
    });
    expect(findings).toContainEqual({
      about: "Disk",
      is: "good",
      text: expect.stringMatching(/GB are free/),
    });
    expect(doctorText(findings)).toMatch(/1 thing is wrong\. `tah diagnostics`/);
  });

  it("tells the owner of a hotkey that nothing but its file's mode protects", () => {
    const text = "It lies open in /x.";
    expect(hotkeyAtRest({ atRest: { how: "open", text, missing: null } })).toEqual([
      { about: "Hotkey", is: "warning", text },
    ]);
    for (const how of ["password", "keychain"] as const)
      expect(hotkeyAtRest({ atRest: { how, text, missing: null } })).toMatchObject([{ is: "good" }]);
  });

  it("a folder that is not there yet is no problem", async () => {
    const findings = await doctor(join(folder, "nope"));
    expect(findings.find(({ about }) => about === "Data folder")).toMatchObject({ is: "warning" });
  });
});
