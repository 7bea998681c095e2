import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { completionScript, SHELLS } from "./completions.ts";

function program(): Command {
  const tah = new Command("tah");
  tah.command("status").description("what it's doing: now").option("--json", "print JSON");
  const service = tah.command("service").description("start with the sign-in");
  service.command("install").description("install it").option("--home <folder>", "where");
  service.command("remove").description("remove it");
  return tah;
}
const has = (shell: string) => spawnSync(shell, ["--version"]).status === 0;

describe("completions", () => {
  it.each(SHELLS)("%s knows every command, its words and its options", (shell) => {
    const script = completionScript(program(), shell);
    for (const word of ["status", "service", "install", "remove", "json", "home"])
      expect(script).toContain(word);
  });

  it("another shell is refused with those that there are", () => {
    expect(() => completionScript(program(), "tcsh")).toThrow(/bash, zsh, fish/);
  });

  it.runIf(has("bash"))("bash completes commands, words and options", () => {
    const complete = (words: string[]): string[] => {
      const script = `${completionScript(program(), "bash")}
        COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${words.length - 1}
        _tah; printf '%s\n' "\${COMPREPLY[@]}"`;
      return spawnSync("bash", ["-c", script], { encoding: "utf8" }).stdout.trim().split("\n");
    };
    expect(complete(["tah", "s"])).toEqual(["status", "service"]);
    expect(complete(["tah", "service", "in"])).toEqual(["install"]);
    expect(complete(["tah", "status", "--j"])).toEqual(["--json"]);
  });

  it.runIf(has("zsh"))("zsh reads its script", () => {
    expect(spawnSync("zsh", ["-n"], { input: completionScript(program(), "zsh") }).status).toBe(0);
  });

  it.runIf(has("fish"))("fish reads its script", () => {
    const folder = mkdtempSync(join(tmpdir(), "completions "));
    const file = join(folder, "tah.fish");
    writeFileSync(file, completionScript(program(), "fish"));
    expect(spawnSync("fish", ["--no-execute", file]).status).toBe(0);
    rmSync(folder, { recursive: true });
  });
});
