import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const PHRASE = "old leopard transfer rib spatial phone calm indicate online fire caution review";
const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";

const home = mkdtempSync(join(tmpdir(), "tah wallet cli "));
afterAll(() => rmSync(home, { recursive: true, force: true }));

function tah(...words: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "tah.ts"), "wallet", ...words], {
    env: { ...process.env, TAH_HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let error = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out, error })));
}

describe("tah wallet", () => {
  it("takes a phrase from a file, lists the key as the one in use, and shows the phrase only on a yes", async () => {
    const file = join(home, "phrase.txt");
    writeFileSync(file, `${PHRASE}\n`);
    const taken = await tah("import", "--phrase-file", file);
    expect(taken).toMatchObject({ code: 0, error: "" });
    expect(taken.out).toContain(ADDRESS);
    expect((await tah("list")).out).toMatch(new RegExp(`hotkey +default +${ADDRESS} +← in use`));
    const asked = await tah("export");
    expect([asked.code, asked.out]).toEqual([2, ""]);
    expect((await tah("export", "--yes")).out.trim()).toBe(PHRASE);
  });

  it("exports the hotkey that works here, whatever its name", async () => {
    expect(await tah("create", "second", "--yes", "--hotkey", "night")).toMatchObject({ code: 0 });
    expect(await tah("use", "second", "night")).toMatchObject({ code: 0 });
    const out = join(home, "copy.json");
    const { address } = JSON.parse((await tah("export", "--in-use", "--out", out, "--json")).out) as {
      address: string;
    };
    expect(address).not.toBe(ADDRESS);
    expect((await tah("list")).out).toMatch(new RegExp(`hotkey +night +${address} +← in use`));
    expect(readFileSync(out, "utf8")).toContain(address);
  });

  it("has neither phrase nor password on its command line, and says where they can be put", async () => {
    const refused = await tah("import", "other", "--json");
    expect(refused.code).toBe(2);
    expect(JSON.parse(refused.out)).toMatchObject({ error: { code: "secret-needed" } });
    expect((await tah("import", "--phrase", PHRASE)).code).toBe(2);
  });

  it("tells a good signature from a bad one by its exit code, with and without 0x", async () => {
    const { verifySr25519 } = await import("../src-protocol/sr25519.ts");
    const { hotkey: testHotkey } = await import("../src-orchestrator/test-support/keys.test-support.ts");
    const hotkey = testHotkey(5);
    const signature = hotkey.sign("a text");
    expect(verifySr25519(hotkey.address, "a text", signature)).toBe(true);
    const words = ["--message", "a text", "--address", hotkey.address, "--json"];
    const folded = `${signature.slice(2, 70)}\n${signature.slice(70)}`;
    const [bare, prefixed, other] = await Promise.all([
      tah("verify", ...words, "--signature", folded),
      tah("verify", ...words, "--signature", signature),
      tah("verify", ...words.with(1, "another"), "--signature", signature),
    ]);
    expect([bare.code, prefixed.code, other.code]).toEqual([0, 0, 3]);
    expect(JSON.parse(other.out)).toEqual({ valid: false, address: hotkey.address });
  });
});
