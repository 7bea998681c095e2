import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Handlers } from "../src-daemon/api/api-calls.ts";
import { ApiTokens } from "../src-daemon/api/api-tokens.ts";
import { AuditLog } from "../src-daemon/api/audit-log.ts";
import { FakeBrowser, loginOf } from "../src-daemon/api/browser.test-support.ts";
import { localSocketPath } from "../src-daemon/api/local-socket.ts";
import { startApiServer } from "../src-daemon/api/api-server.ts";
import type { ApiServer } from "../src-daemon/api/api-server.ts";
import { EMBEDDED_CHAIN, embeddedNetwork, initialState } from "../src-daemon/state/initial-state.ts";
import { SignIn } from "../src-daemon/api/sign-in.ts";
import { StateStore } from "../src-daemon/state/state-store.ts";
import { Failure } from "../src-protocol/failure.ts";
import { ss58Address } from "../src-protocol/keys.ts";
import { ALWAYS } from "../src-protocol/policy.ts";
import type { Decision, Override, Rules } from "../src-protocol/policy.ts";

/** The real program against the real API server, with a daemon behind it that only remembers. */
const hotkey = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
const running: Decision = { action: "run", reasons: ["always-allowed"], nextChange: null };
const paused: Decision = { action: "pause", reasons: ["manual-pause"], nextChange: null };

let home: string;
let server: ApiServer;
const calls: unknown[] = [];
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "tah cli "));
  const signIn = new SignIn({ browsers: [], keep: () => {}, now: Date.now });
  const first = {
    ...initialState({
      version: "1",
      startedAt: 0,
      dataFolder: home,
      hotkey,
      policy: { decision: running, rules: ALWAYS, override: null },
      network: embeddedNetwork(2, []),
      chain: EMBEDDED_CHAIN,
    }),
  };
  const node = { ...first.node, phase: "training" } as const;
  const store = new StateStore({ ...first, node }, Date.now);
  const decide = (decision: Decision, override: Override | null): Decision => {
    store.update((state) => ({ ...state, decision, override }));
    return decision;
  };
  const handlers = {
    "state.get": () => store.get(),
    "policy.pause": (params: { minutes: number | null }) => {
      calls.push(["pause", params]);
      const until = params.minutes === null ? null : Date.now() + params.minutes * 60_000;
      return decide(paused, { action: "pause", since: Date.now(), until, by: "cli" });
    },
    "policy.finish": (params: unknown) => (calls.push(["finish", params]), running),
    "policy.start": (params: unknown) => (calls.push(["start", params]), decide(running, null)),
    "policy.resume": () => decide(running, null),
    "policy.setRules": ({ rules }: { rules: Rules }) => {
      store.update((state) => ({ ...state, rules }));
      return running;
    },
    "session.newLogin": () => ({ url: server.loginUrl() }),
    "earnings.claim": () => {
      throw new Failure("nothing-to-claim", "There is nothing to claim yet.");
    },
  } as unknown as Handlers;
  const tokens = new ApiTokens(join(home, "tokens.json"), Date.now);
  const audit = new AuditLog(join(home, "audit.jsonl"), Date.now);
  Object.assign(handlers, {
    "session.newToken": ({ name, scopes, days }) => tokens.create(name, scopes, days),
    "session.tokens": () => ({ tokens: tokens.list() }),
    "session.revokeToken": ({ id }) => (tokens.revoke(id), { tokens: tokens.list() }),
    "session.audit": ({ limit }) => ({ entries: audit.newest(limit) }),
  } satisfies Partial<Handlers>);
  server = await startApiServer({
    signIn,
    tokens,
    socketPath: localSocketPath(home),
    onCall: (who, method, code) => audit.note(who, method, code),
    store,
    handlers,
    bundle: home,
    port: { kind: "likely", number: 0 },
    onPoint: () => () => {},
  });
  writeFileSync(
    join(home, "api.json"),
    JSON.stringify({ url: server.url, token: signIn.bearer, pid: process.pid, socket: server.socketPath }),
  );
});
afterAll(async () => {
  await server.close();
  rmSync(home, { recursive: true, force: true });
});

function tah(
  words: string,
  folder = home,
  environment: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "tah.ts"), ...words.split(" ")], {
    env: { ...process.env, TAH_HOME: folder, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let error = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out, error })));
}

describe("tah", () => {
  it("says in words and in JSON what is going on", async () => {
    const [status, json, why] = await Promise.all([tah("status"), tah("status --json"), tah("why")]);
    expect(status.out).toMatch(/^Working: your schedule allows any time\./);
    expect(JSON.parse(json.out)).toMatchObject({ dataFolder: home, decision: running });
    expect(why.out).toBe(
      "Working: your schedule allows any time.\n  + Your schedule allows any time\n" +
        "Next: Goes on until you pause it or a rule holds it back.\n",
    );
  });

  it("pauses and starts for as long as it is told", async () => {
    const pause = await tah("pause 2h");
    const open = await tah("pause --until resumed");
    const step = await tah("pause --for 30m --after-step");
    const start = await tah("start --gap --json");
    expect(pause.out).toMatch(/^Paused: until .*\d\d:\d\d\.\nPaused by hand \(cli\) until .*, 2 h left\.\n$/);
    expect(open.out).toBe("Paused: until you resume it.\nPaused by hand (cli) until you resume it.\n");
    expect(step.code).toBe(0);
    expect(JSON.parse(start.out)).toEqual({ ...running, override: null });
    expect(calls).toEqual([
      ["pause", { minutes: 120, by: "cli" }],
      ["pause", { minutes: null, by: "cli" }],
      ["finish", { minutes: 30, by: "cli" }],
      ["start", { minutes: 60, by: "cli", thenQuit: true }],
    ]);
    expect(await tah("start --until resumed")).toMatchObject({ code: 2 });
  });

  it("shows the rules and writes them", async () => {
    const written = await tah("rules set idle=15 cores=1");
    expect(written.out).toContain("Only after 15 minutes without input");
    expect(written.out).toContain("It uses at most 1 core.\n\nWorking: ");
    expect(JSON.parse((await tah("rules --json")).out)).toMatchObject({
      onlyWhenIdle: true,
      idleMinutes: 15,
      work: { cores: 1 },
    });
    const refused = await tah("rules hours mon 9:00-9:00");
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.error).toMatch(/is that all day .* or never/);
  });

  it("prints an address that opens a browser once", async () => {
    const { out } = await tah("open");
    const visit = { url: server.url, login: loginOf(out.trim()) };
    const first = await new FakeBrowser().visit(visit);
    expect(typeof first).toBe("object");
    if (typeof first === "object") first.terminate();
    expect(await new FakeBrowser().visit(visit)).toBe("not-signed-in");
  });

  it("does with a token what its scopes say, and no more; the owner sees who did what", async () => {
    const made = await tah("token Night agent --scopes read,control --days 1 --json");
    const { id, token } = JSON.parse(made.out) as { id: string; token: string };
    const agent = { TAH_TOKEN: token };
    expect(await tah("pause 30m", home, agent)).toMatchObject({ code: 0 });
    const claim = await tah("claim --json", home, agent);
    expect(JSON.parse(claim.out)).toMatchObject({ error: { code: "scope-needed" } });
    expect((await tah("open", home, agent)).error).toMatch(/for the owner alone/);
    const audit = await tah("audit");
    expect(audit.out).toMatch(/token Night agent +session\.newLogin {2}\(refused: scope-needed\)/);
    expect(audit.out).toMatch(/token Night agent +policy\.pause\n/);
    expect((await tah("tokens")).out).toMatch(new RegExp(`^${id} {2}Night agent`));
    expect((await tah(`token-revoke ${id}`)).out).toMatch(/^Revoked\./);
    expect(await tah("status --json", home, agent)).toMatchObject({ code: 1 });
    calls.splice(0);
  });

  it("passes on the daemon's own sentence", async () => {
    const [text, json] = await Promise.all([tah("claim"), tah("claim --json")]);
    expect(text).toMatchObject({ code: 1, error: "There is nothing to claim yet.\n" });
    expect([json.code, JSON.parse(json.out)]).toEqual([
      1,
      { error: { code: "nothing-to-claim", message: "There is nothing to claim yet." } },
    ]);
  });

  it("says so when no daemon runs, also when a killed one has left its address behind", async () => {
    const empty = join(home, "empty");
    const [missing, json] = await Promise.all([tah("status", empty), tah("status --json", empty)]);
    expect(missing).toMatchObject({ code: 1, out: "" });
    const nowhere = await tah("status --home /nowhere");
    expect(nowhere.error).toMatch(/^There is no data folder .*nowhere: look at what --home names/);
    expect(missing.error).toMatch(/^Train at Home is not running\. Start it with `npm start`/);
    expect(JSON.parse(json.out)).toMatchObject({ error: { code: "daemon-not-running" } });

    const left = mkdtempSync(join(home, "left-"));
    const stale = { url: "http://127.0.0.1:9", token: "0".repeat(64), pid: 999_999 };
    writeFileSync(join(left, "api.json"), JSON.stringify(stale));
    expect((await tah("why", left)).error).toMatch(/^Train at Home is not running/);
  });

  it("refuses what it does not know with exit code 2", async () => {
    const answers = await Promise.all([
      tah("pause soon"),
      tah("pause --frobnicate"),
      tah("dance --json"),
      tah("limits --up 0"),
    ]);
    expect(answers.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    expect(answers[3]?.error).toContain("it takes 0.5 to 100000 Mbit/s, or none");
    expect(answers[0]?.error).toMatch(/Say for example 45, 30m/);
    expect(answers[1]?.error).toContain("unknown option '--frobnicate'");
    expect(JSON.parse(answers[2]?.out ?? "")).toMatchObject({ error: { code: "bad-use" } });
  });

  it("refuses a program once, in JSON alone", async () => {
    const answers = await Promise.all([
      tah("network invite --expires 5s --json"),
      tah("network --json"),
      tah("diagnostics --json --save report.json"),
    ]);
    expect(answers.map(({ code, error }) => [code, error])).toEqual([
      [2, ""],
      [2, ""],
      [2, ""],
    ]);
    expect(answers.map(({ out }) => JSON.parse(out) as unknown)).toEqual([
      { error: { code: "bad-use", message: expect.stringMatching(/^option '--expires <time>' .*30m, 12h/) } },
      { error: { code: "bad-use", message: "unknown option '--json'" } },
      { error: { code: "consent-needed", message: expect.stringContaining("--yes") } },
    ]);
    const report = await tah("diagnostics --json");
    expect(JSON.parse(report.out)).toMatchObject({ parts: [{ name: "Train at Home" }, {}, {}, {}, {}] });
  });

  it("explains every command", async () => {
    const { out, code } = await tah("--help");
    expect(code).toBe(0);
    for (const name of [
      "status",
      "why",
      "pause",
      "start",
      "resume",
      "earnings",
      "claim",
      "open",
      "up",
      "stop",
      "rules",
      "limits",
      "providers",
      "write",
      "log",
    ])
      expect(out).toMatch(new RegExp(`^  ${name} `, "m"));
  });
});
