import { z } from "zod";
import type { ApiScope } from "../src-protocol/api-scopes.ts";
import { limitText } from "../src-protocol/line-limits.ts";
import type { MethodResult } from "../src-protocol/methods.ts";
import { rulesText } from "../src-protocol/rules-text.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import { why, whyText } from "../src-protocol/why.ts";
import type { ApiClient } from "./api-client.ts";
import { earningsText } from "./answers.ts";
import { askedMinutes } from "./asked-time.ts";
import { changedRules, RULES_HELP } from "./rules-words.ts";

/** What an agent is told: words for a person, and the same for a program. */
export interface ToolAnswer {
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** Of the token; without it the tool is not offered, and the daemon would refuse. */
  readonly scope: ApiScope;
  /** It changes nothing. */
  readonly readOnly: boolean;
  readonly input: z.ZodRawShape;
  call(
    client: Pick<ApiClient, "call">,
    input: Readonly<Record<string, unknown>>,
    now: Date,
  ): Promise<ToolAnswer>;
}

const time = {
  until: z
    .string()
    .max(40)
    .optional()
    .describe("until when, by the computer's clock: 17:00, or tomorrow (07:00 in the morning)"),
  for: z.string().max(40).optional().describe("for how long: 45m, 3h, 1d (7 days at most)"),
};
const timeInput = z.strictObject(time);
const forecastInput = z.strictObject({ ...time, ifStarted: z.boolean().optional() });
const rulesInput = z.strictObject({ words: z.string() });

/** One entry a tool; none of them can reach a wallet or sign, for no method behind them can. */
export const TOOLS: readonly Tool[] = [
  {
    name: "state",
    title: "What it is doing",
    about:
      "What Train at Home does on this computer now and why, what was earned, what it is limited to, and what is left of this agent's budget.",
    scope: "read",
    readOnly: true,
    input: {},
    async call(client, _, now) {
      const [state, caller] = await Promise.all([
        client.call("state.get", {}),
        client.call("session.whoAmI", {}),
      ]);
      return stateAnswer(state, caller, now.getTime());
    },
  },
  {
    name: "why",
    title: "Why it is running or waiting",
    about: "Every reason that applies, the one that decides first, and what time alone changes next.",
    scope: "read",
    readOnly: true,
    input: {},
    async call(client, _, now) {
      const said = why(await client.call("state.get", {}), now.getTime());
      return { text: whyText(said), data: { ...said } };
    },
  },
  {
    name: "forecast",
    title: "When it will run, and what that was paid so far",
    about:
      "When the rules let it run until a moment, how many hours that is, and what such hours were paid, as a range from settled pay only. It says so when nothing is known. With ifStarted: as if it were started now.",
    scope: "read",
    readOnly: true,
    input: { ...time, ifStarted: z.boolean().optional().describe("as if it were started now") },
    async call(client, input, now) {
      const { ifStarted = false, ...asked } = forecastInput.parse(input);
      const minutes = minutesOf(asked, now, "1d");
      const said = await client.call("policy.forecast", {
        to: Math.round(now.getTime() + minutes * 60_000),
        ifStarted,
      });
      return { text: said.text, data: { ...said } };
    },
  },
  {
    name: "rules",
    title: "The owner's rules",
    about: "When it may run, under which conditions and with which limits.",
    scope: "read",
    readOnly: true,
    input: {},
    async call(client) {
      const { rules } = await client.call("state.get", {});
      return { text: rulesText(rules), data: { rules } };
    },
  },
  {
    name: "start",
    title: "Start work, with an end",
    about:
      "Lets it work outside its hours until an end that must be given. It stops earlier when this agent disconnects, when the owner uses the computer (if the owner's rules say so), and always for power, battery, heat and data. It cannot undo what the owner has decided by hand.",
    scope: "control",
    readOnly: false,
    input: time,
    async call(client, input, now) {
      const minutes = minutesOf(timeInput.parse(input), now, null);
      await client.call("policy.start", { minutes, by: "agent" });
      return decided(client, now);
    },
  },
  {
    name: "pause",
    title: "Pause work, with an end",
    about: "Pauses it until an end that must be given. The owner can resume at any time.",
    scope: "control",
    readOnly: false,
    input: time,
    async call(client, input, now) {
      const minutes = minutesOf(timeInput.parse(input), now, null);
      await client.call("policy.pause", { minutes, by: "agent" });
      return decided(client, now);
    },
  },
  {
    name: "resume",
    title: "End what this agent began",
    about: "Ends a start or pause of this agent; the owner's rules apply again.",
    scope: "control",
    readOnly: false,
    input: {},
    async call(client, _, now) {
      await client.call("policy.resume", {});
      return decided(client, now);
    },
  },
  {
    name: "change_rules",
    title: "Change the owner's rules",
    about: `Changes when it may run. Rules for power, battery, heat and data are the owner's alone.${RULES_HELP}`,
    scope: "rules",
    readOnly: false,
    input: {
      words: z
        .string()
        .min(1)
        .max(2000)
        .describe('as for `tah rules`: asleep, or hours "mon-fri 22:00-07:00"'),
    },
    async call(client, input) {
      const { words } = rulesInput.parse(input);
      const { rules } = await client.call("state.get", {});
      await client.call("policy.setRules", { rules: changedRules(rules, words.trim().split(/\s+/)) });
      const after = await client.call("state.get", {});
      return { text: rulesText(after.rules), data: { rules: after.rules } };
    },
  },
];

export function stateAnswer(
  state: DaemonState,
  caller: MethodResult<"session.whoAmI">,
  now: number,
): ToolAnswer {
  const said = why(state, now);
  const { limits } = state.policy;
  const budget =
    caller.left === null
      ? []
      : [
          `Left of this agent's budget: ${caller.left.calls} changes this hour, ${caller.left.minutes} minutes of work today.`,
        ];
  const cores = limits.cores === null ? "" : `, at most ${limits.cores} cores`;
  return {
    text: [
      whyText(said),
      earningsText(state),
      `Limits now: ${limitText(limits.uploadMbit)} up, ${limitText(limits.downloadMbit)} down${cores}${limits.quiet ? ", quiet" : ""}.`,
      ...budget,
    ].join("\n"),
    data: {
      ...said,
      decision: state.decision,
      override: state.override,
      run: state.run === null ? null : { name: state.run.name, step: state.run.step, loss: state.run.loss },
      network: { name: state.network.name, kind: state.network.kind },
      earnings: state.earnings,
      limits,
      budget: caller.left,
    },
  };
}

async function decided(client: Pick<ApiClient, "call">, now: Date): Promise<ToolAnswer> {
  const said = why(await client.call("state.get", {}), now.getTime());
  return { text: whyText(said), data: { ...said } };
}

function minutesOf(
  { until, for: span }: { until?: string | undefined; for?: string | undefined },
  now: Date,
  usual: string | null,
): number {
  const words = until === undefined && span === undefined && usual !== null ? [usual] : [];
  const minutes =
    until === undefined && span === undefined && usual === null
      ? null
      : askedMinutes({ words, for: span, until }, now);
  if (minutes !== null) return minutes;
  throw new TypeError("An end is needed: say until (17:00) or for (3h).");
}
