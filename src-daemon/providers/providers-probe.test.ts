import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ProviderOutcome } from "../../src-protocol/providers.ts";
import { chooseProvider } from "../../src-protocol/provider-choice.ts";
import { PROBE_SCRIPT, probeProvider } from "./providers-probe.ts";

/** Real processes: the probe's own, and stand-ins for drivers with every fault. */
let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "tah probe "))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const right = { kind: "right", error: 1e-7, gflops: 500 } as const;

/** A module in the probe's place. Each writes down its process, so that a test sees whether it is gone. */
function standIn(name: string, onProbe: string): { script: string; pid: () => number | null } {
  const [script, pidFile] = [join(folder, `${name}.mjs`), join(folder, `${name}.pid`)];
  writeFileSync(
    script,
    `import { writeFileSync } from "node:fs";
    const answer = (outcome, bundled = ["cpu", "webgpu"]) => process.send({ type: "probed", outcome, bundled });
    process.once("message", () => {
      writeFileSync(${JSON.stringify(pidFile)}, process.pid + "\\n");
      ${onProbe}
    });`,
  );
  return { script, pid: () => pidIn(pidFile) };
}

/** Null until all of it is written. */
function pidIn(path: string): number | null {
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  return text.endsWith("\n") ? Number(text) : null;
}

function probe(script: string, options: { timeoutMs?: number; signal?: AbortSignal } = {}) {
  return probeProvider(
    { script, provider: "webgpu", threads: 1, timeoutMs: options.timeoutMs ?? 20_000, onLine: () => {} },
    options.signal ?? new AbortController().signal,
  );
}

function isGone(pid: number | null): boolean {
  try {
    process.kill(pid ?? 0, 0);
    return false;
  } catch {
    return true;
  }
}

const FAULTS: Record<string, { onProbe: string; timeoutMs?: number; outcome: ProviderOutcome }> = {
  "crashes by a signal": {
    onProbe: `process.kill(process.pid, "SIGSEGV"); setInterval(() => {}, 1000);`,
    outcome: { kind: "crash", ending: "signal-SIGSEGV", during: "test" },
  },
  "ends without a word": {
    onProbe: `process.exit(3);`,
    outcome: { kind: "crash", ending: "exit-3", during: "test" },
  },
  hangs: {
    onProbe: `for (;;) {}`,
    timeoutMs: 700,
    outcome: { kind: "hang", seconds: 0.7 },
  },
  "says what nobody understands": {
    onProbe: `process.send({ type: "probed", outcome: { kind: "splendid" }, bundled: [] });`,
    outcome: { kind: "refused", detail: "its test answered in a way that cannot be understood" },
  },
  "claims an impossible speed": {
    onProbe: `answer({ kind: "right", error: 0, gflops: -1 });`,
    outcome: { kind: "refused", detail: "its test answered in a way that cannot be understood" },
  },
};

describe("a graphics driver in a process of its own", () => {
  it.each(Object.entries(FAULTS))(
    "harms nothing when it %s",
    async (name, { onProbe, timeoutMs, outcome }) => {
      const { script, pid } = standIn(name, onProbe);
      const probed = await probe(script, timeoutMs === undefined ? {} : { timeoutMs });
      expect(probed.outcome).toEqual(outcome);
      expect(isGone(pid())).toBe(true);
      const choice = chooseProvider([
        { provider: "cpu", outcome: right },
        { provider: "webgpu", outcome: probed.outcome },
      ]);
      expect(choice.provider).toBe("cpu");
    },
  );

  it("is not believed when it says that it is right and is not", async () => {
    const { script } = standIn("lies", `answer({ kind: "right", error: 0.3, gflops: 1e9 });`);
    const { outcome } = await probe(script);
    const choice = chooseProvider([
      { provider: "cpu", outcome: right },
      { provider: "webgpu", outcome },
    ]);
    expect(choice).toMatchObject({ provider: "cpu", text: expect.stringContaining("(error 0.3)") });
  });

  it("counts for what it has found out, however it takes its leave", async () => {
    const script = standIn(
      "leaves badly",
      `answer(${JSON.stringify(right)}); process.exitCode = 134;`,
    ).script;
    expect(await probe(script)).toEqual({ outcome: right, bundled: ["cpu", "webgpu"] });
  });

  it("is gone when the test is cut short", async () => {
    const { script, pid } = standIn("is cut short", `for (;;) {}`);
    const abort = new AbortController();
    const probing = probe(script, { signal: abort.signal });
    while (pid() === null) await wait(10);
    abort.abort(new Error("paused"));
    await expect(probing).rejects.toThrow("paused");
    expect(isGone(pid())).toBe(true);
  });
});

describe("the probe itself", () => {
  it("finds the processor right and says what else there is", async () => {
    const probed = await probeProvider(
      { script: PROBE_SCRIPT, provider: "cpu", threads: 1, timeoutMs: 60_000, onLine: () => {} },
      new AbortController().signal,
    );
    expect(probed.outcome).toEqual({ kind: "right", error: 0, gflops: expect.any(Number) });
    expect(probed.bundled).toContain("cpu");
  });

  it("finds WebGPU right where there is an adapter, and else says in plain words that there is none", async ({
    skip,
  }) => {
    const probed = await probeProvider(
      { script: PROBE_SCRIPT, provider: "webgpu", threads: 1, timeoutMs: 60_000, onLine: () => {} },
      new AbortController().signal,
    );
    const { outcome } = probed;
    const none = { kind: "refused", detail: "no graphics card that it can use was found" };
    expect([none, { kind: "right", error: expect.any(Number), gflops: expect.any(Number) }]).toContainEqual(
      outcome,
    );
    skip(outcome.kind === "refused", "skipped: no WebGPU adapter");
  });

  it("ends with the process that started it", async () => {
    const parent = join(folder, "parent.mjs");
    writeFileSync(
      parent,
      `import { fork } from "node:child_process";
      const child = fork(${JSON.stringify(PROBE_SCRIPT)}, { stdio: "ignore" });
      child.send({ type: "probe", provider: "cpu", threads: 1 });
      process.send(child.pid);`,
    );
    const { fork } = await import("node:child_process");
    const started = fork(parent);
    const pid = await new Promise<number>((resolve) =>
      started.once("message", (each) => resolve(Number(each))),
    );
    started.kill("SIGKILL");
    await expect.poll(() => isGone(pid), { timeout: 20_000 }).toBe(true);
  });
});
