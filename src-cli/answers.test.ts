import { describe, expect, it } from "vitest";
import { EMBEDDED_CHAIN, embeddedNetwork, initialState } from "../src-daemon/state/initial-state.ts";
import { sessionKey, ss58Address } from "../src-protocol/keys.ts";
import { loadingText } from "../src-protocol/loading.ts";
import { ALWAYS } from "../src-protocol/policy.ts";
import type { Decision } from "../src-protocol/policy.ts";
import type { StateChange } from "../src-protocol/history.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import { historyText, limitsText, statusText } from "./answers.ts";

const now = Date.parse("2026-11-23T12:00:00Z");
const DAY_MS = 86_400_000;
const running: Decision = { action: "run", reasons: ["always-allowed"], nextChange: null };
const paused: Decision = {
  action: "pause",
  reasons: ["manual-pause"],
  nextChange: { at: now + DAY_MS, action: "run" },
};

function state(decision: Decision): DaemonState {
  const first = initialState({
    version: "1",
    startedAt: 0,
    dataFolder: "/home",
    hotkey: ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
    policy: { decision, rules: ALWAYS, override: null },
    network: embeddedNetwork(2, []),
    chain: EMBEDDED_CHAIN,
  });
  return { ...first, node: { ...first.node, detail: "Looking for a stage." } };
}

describe("tah status", () => {
  it("says what the worker does while it works, and only why it waits while it is paused", () => {
    expect(statusText(state(running), now)).toContain("Looking for a stage.");
    const text = statusText(state(paused), now);
    expect(text).toMatch(/^Waiting: you paused it\. Starts tomorrow about /);
    expect(text).not.toContain("Looking for a stage.");
  });
});

describe("tah status of who serves a network", () => {
  it("says that it waits for a decision, and how to give it", () => {
    const asked = { id: "ab".repeat(8), network: "Maple Street", resumeStep: 512, lostSteps: 1900 };
    const text = statusText({ ...state(running), asked }, now);
    expect(text).toContain(
      "\nDecide:    Maple Street waits for you.\n           Wait for the computers that have",
    );
    expect(text).toContain("`tah network go-back --yes`");
    expect(statusText(state(running), now)).not.toContain("Decide:");
  });
});

describe("tah status while files come", () => {
  it("says which file, how much of it, how fast and how long still", () => {
    const loading = {
      what: "text",
      bytes: 1e6,
      ofBytes: 4e6,
      bytesPerSecond: 62_500,
      secondsLeft: 48,
    } as const;
    const { node, ...rest } = state(running);
    const text = statusText(
      { ...rest, node: { ...node, phase: "loading", detail: loadingText(loading), loading } },
      now,
    );
    expect(text).toMatch(/^Getting ready: Loading the text: 1\.0 of 4\.0 MB, 0\.1 MB\/s, 48 s left\./);
    expect(text.match(/Loading the text/g), "once").toHaveLength(1);
  });
});

describe("tah status of links", () => {
  it("names each neighbour by kind, round trip and speed, and why no better kind was had", () => {
    const { network, ...rest } = state(running);
    const links: DaemonState["network"]["links"] = {
      links: [
        {
          peer: sessionKey.parse("ab".repeat(32)),
          side: "previous",
          kind: "relayed",
          transport: "tls",
          roundTripMs: 84.2,
          sentAs: "int8b64",
          receivedAs: "f16",
          mbitUp: 3.44,
          mbitDown: 12.6,
          dialMs: 900,
          why: "Both routers change ports for every destination.",
        },
        {
          peer: sessionKey.parse("cd".repeat(32)),
          side: "own",
          kind: "direct",
          transport: "tls",
          roundTripMs: 24,
          sentAs: "int8b64",
          receivedAs: "int8b64",
          mbitUp: 2,
          mbitDown: 2,
          dialMs: null,
          why: null,
        },
      ],
      reach: { state: "relayed", detail: "" },
      hyperdhtOff: null,
    };
    expect(statusText({ ...rest, network: { ...network, links } }, now)).toContain(
      [
        "Links:     Slice before mine: through the network's relay, encrypted end to end, 84 ms, 3.4 Mbit/s up, 13 Mbit/s down, 8 bits (int8b64) sent, 16 bits (f16) received",
        "             Both routers change ports for every destination.",
        "           Same slice as mine: direct, 24 ms, 2 Mbit/s up, 2 Mbit/s down, 8 bits (int8b64) both ways",
      ].join("\n"),
    );
  });
});

describe("tah status of the line", () => {
  it("says what is allowed beside what is used, and nothing where nothing is limited", () => {
    expect(statusText(state(running), now)).not.toContain("Line:");
    const traffic = { limits: { uploadMbit: 5, downloadMbit: null }, uploadMbit: 4.96, downloadMbit: 0.347 };
    const limited = { ...state(running), traffic };
    expect(statusText(limited, now)).toContain("Line:      sends 5 of 5 Mbit/s, receives 0.35 Mbit/s");
    const used = "5 Mbit/s in the last ten seconds";
    const upload = {
      what: "upload",
      asked: "5 Mbit/s",
      enforced: "5 Mbit/s",
      by: "a throttle",
      used,
    } as const;
    const disk = {
      what: "disk",
      asked: "no quota",
      enforced: null,
      by: "nothing is asked",
      used: null,
    } as const;
    expect(limitsText({ limits: [upload, disk] })).toBe(
      `Upload: 5 Mbit/s\n  holds: 5 Mbit/s (a throttle)\n  now:   ${used}\nDisk: no quota\n  not enforced: nothing is asked`,
    );
  });
});

describe("tah history", () => {
  it("has a line for each change: when, what, why and by whom", () => {
    const at = Date.UTC(2026, 10, 28, 22, 30);
    const change: StateChange = {
      at,
      from: "off",
      to: "run",
      phase: "loading",
      reasons: ["manual-run"],
      who: "cli",
    };
    const end: StateChange = { ...change, at: at + 60_000, from: "run", to: "off", reasons: [], who: null };
    expect(historyText([end, change], "UTC")).toBe(
      "2026-11-28 22:31  Ended.\n2026-11-28 22:30  Started. May work: you started it. The worker: loading. (by cli)",
    );
  });
});

describe("tah status of a pause", () => {
  it("names the day on which it ends, and how long that is still", () => {
    const override = { action: "pause", since: now, until: now + DAY_MS, by: "cli" } as const;
    const text = statusText({ ...state(paused), override }, now);
    expect(text).toMatch(/^Paused: until tomorrow \d\d:\d\d\. Then it goes on\.\n/);
    expect(text).toMatch(/Paused by hand \(cli\) until tomorrow \d\d:\d\d, 24 h left\./);
  });
});
