import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Agents } from "../src-daemon/agents/agents.ts";
import { startApiServer, type ApiServer } from "../src-daemon/api/api-server.ts";
import { ApiTokens } from "../src-daemon/api/api-tokens.ts";
import { AuditLog } from "../src-daemon/api/audit-log.ts";
import { makeHandlers, type HandlerPorts } from "../src-daemon/api/handlers.ts";
import { SignIn } from "../src-daemon/api/sign-in.ts";
import { PolicyKeeper } from "../src-daemon/policy/policy-keeper.ts";
import { systemTimers } from "../src-daemon/policy/timers.ts";
import { StateStore } from "../src-daemon/state/state-store.ts";
import type { ApiScope } from "../src-protocol/api-scopes.ts";
import { ONLY_WHEN_ASLEEP, type Rules } from "../src-protocol/policy.ts";
import { workingState } from "../src-protocol/working-state.test-support.ts";

/**
 * The SDK's own client, the real `tah mcp` as a process, the real API, tokens, budgets and policy: only
 * what trains is not there. An agent that is gone is missed after a tenth of a second in place of 30.
 */
const NEVER: Rules = { ...ONLY_WHEN_ASLEEP, windows: [], onlyOnPower: false, keepAwake: false };
let home: string;
let power: "mains" | "battery";
let policy: PolicyKeeper;
let tokens: ApiTokens;
let audit: AuditLog;
let server: ApiServer;
const clients: Client[] = [];

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "mcp "));
  power = "mains";
  policy = new PolicyKeeper({
    folder: home,
    defaultRules: NEVER,
    timers: { ...systemTimers, at: (_, wake) => systemTimers.at(Date.now() + 100, wake) },
    probes: {
      power: { everyMs: 5000, read: async () => ({ power, batteryPercent: power === "battery" ? 5 : null }) },
      idle: { everyMs: 5000, read: async () => null },
    },
  });
  tokens = new ApiTokens(join(home, "tokens.json"), Date.now);
  audit = new AuditLog(join(home, "audit.jsonl"), Date.now);
  const state = () => {
    const { decision, rules, override } = policy;
    const working = workingState();
    const phase = decision.action === "run" ? "training" : "paused";
    return { ...working, decision, rules, override, node: { ...working.node, phase } } as const;
  };
  const agents = new Agents({
    folder: home,
    now: Date.now,
    zone: () => policy.zone,
    override: () => policy.override,
    budget: (id) => tokens.budget(id),
  });
  policy.onRunEnded((ended) => agents.giveBack(ended));
  const ports = {
    policy,
    agents,
    tokens,
    state,
    membership: { retry: () => {}, session: { accounts: { claims: async () => [] } } },
    history: { hours: () => [], computer: () => [] },
    presence: { hours: () => [], forget: () => {} },
    endToken: (id: string) => server.endToken(id),
  } as unknown as HandlerPorts;
  const signIn = new SignIn({ browsers: [], keep: () => {}, now: Date.now });
  server = await startApiServer({
    signIn,
    tokens,
    socketPath: null,
    onCall: (who, method, code) => audit.note(who, method, code),
    onAgent: (id, here) => policy.agentHere(id, here),
    store: new StateStore(state(), Date.now),
    handlers: makeHandlers(ports),
    bundle: home,
    port: { kind: "likely", number: 0 },
    onPoint: () => () => {},
  });
  const file = { url: server.url, token: signIn.bearer, pid: process.pid, socket: null };
  writeFileSync(join(home, "api.json"), JSON.stringify(file));
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await server.close();
  policy.close();
  rmSync(home, { recursive: true, force: true });
});

async function agent(
  scopes: ApiScope[],
  budget = { callsPerHour: 30, minutesPerDay: 720 },
): Promise<{
  client: Client;
  id: string;
  ask(name: string, input?: object): Promise<{ text: string; refused: boolean }>;
}> {
  const { id, token } = tokens.create("Helper", scopes, 1, budget);
  const client = new Client({ name: "test", version: "1" });
  clients.push(client);
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [join(import.meta.dirname, "tah.ts"), "mcp"],
      env: { ...(process.env as Record<string, string>), TAH_HOME: home, TAH_TOKEN: token },
      stderr: "ignore",
    }),
  );
  return {
    client,
    id,
    async ask(name, input = {}) {
      const answer = await client.callTool({ name, arguments: { ...input } });
      const [content] = answer.content as { text: string }[];
      return { text: content?.text ?? "", refused: answer.isError === true };
    },
  };
}

describe("an agent over the Model Context Protocol", () => {
  it("is offered what its owner granted, and told what is going on and what is not known", async () => {
    const { client, ask } = await agent(["read"]);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(["state", "why", "forecast", "rules"]);
    expect((await ask("why")).text).toMatch(
      /^Waiting: it is outside your schedule\.\n {2}- It is outside your schedule/,
    );
    expect((await ask("state")).text).toContain("30 changes this hour, 720 minutes of work today");
    const { text } = await ask("forecast", { for: "5h", ifStarted: true });
    expect(text).toMatch(
      /^If it is started now, it may work 5 hours until .*\. What that earns is not known: nothing was paid yet/,
    );
  });

  it("owner is out until later: it starts with an end, and that ends with the agent", async () => {
    const { client, ask, id } = await agent(["read", "control"]);
    expect((await ask("start")).text).toContain("An end is needed");
    const started = await ask("start", { for: "3h" });
    expect(started.text).toMatch(
      /^Working: your agent started it\. Until .*\n[\s\S]*Started by the agent Helper until .*, 3 h left\./,
    );
    expect(policy.override).toMatchObject({ by: "agent", action: "run", lease: { id, name: "Helper" } });
    await client.close();
    await vi.waitFor(() => expect(policy.decision.action).toBe("pause"), { timeout: 5000 });
    expect(policy.override).toBeNull();
    expect(audit.newest(20).map(({ who, method, code }) => [who, method, code])).toContainEqual([
      "token Helper",
      "policy.start",
      null,
    ]);
  });

  it("never beats a safety rule, the owner's own decision, or its budget; and reaches no wallet", async () => {
    const { client, ask } = await agent(["read", "control", "rules", "wallet"], {
      callsPerHour: 4,
      minutesPerDay: 90,
    });
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name).filter((name) => /claim|wallet|sign|key/.test(name))).toEqual([]);
    power = "battery";
    policy.reportEvidence({ idleSeconds: null, power: "battery", batteryPercent: 5 });
    expect((await ask("start", { for: "1h" })).text).toMatch(/^Waiting: the battery is low\./);
    const loosened = await ask("change_rules", { words: "set battery=no" });
    expect(loosened).toMatchObject({ refused: true, text: expect.stringContaining("(owner-only-rule)") });
    await ask("resume");
    const tooLong = await ask("start", { for: "2h" });
    expect(tooLong).toMatchObject({
      refused: true,
      text: expect.stringMatching(/(90|89) are left today.*\(budget-spent\)/),
    });
    policy.pause({ minutes: 60, by: "dashboard" });
    const beaten = await ask("resume");
    expect(beaten).toMatchObject({
      refused: true,
      text: expect.stringMatching(/The owner has paused it until .*\(owner-decided\)/),
    });
    policy.resume();
    await ask("pause", { for: "10m" });
    const often = await ask("pause", { for: "10m" });
    expect(often).toMatchObject({
      refused: true,
      text: expect.stringMatching(/4 changes an hour.*\(budget-spent\)/),
    });
  });

  it("without a token it is told how to get one; a token that is revoked ends it", async () => {
    const client = new Client({ name: "test", version: "1" });
    const { TAH_TOKEN: _token, ...env } = process.env as Record<string, string>;
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [join(import.meta.dirname, "tah.ts"), "mcp"],
      env: { ...env, TAH_HOME: home },
      stderr: "pipe",
    });
    let said = "";
    transport.stderr?.on("data", (data: Buffer) => (said += data.toString()));
    await expect(client.connect(transport)).rejects.toThrow(/closed/i);
    expect(said).toMatch(
      /An agent needs a token of its own: make one with `tah token NAME --scopes read,control`/,
    );

    const helper = await agent(["read"]);
    tokens.revoke(helper.id);
    server.endToken(helper.id);
    await vi.waitFor(async () => expect((await helper.ask("why")).refused).toBe(true), { timeout: 5000 });
  });
});
