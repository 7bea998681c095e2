#!/usr/bin/env node
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Command, CommanderError } from "commander";
import { z } from "zod";
import { API_SCOPES, apiScope } from "../src-protocol/api-scopes.ts";
import { API_FILE_NAME, dataFolder } from "../src-protocol/data-folder.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { THIS_COMPUTER } from "../src-protocol/networks.ts";
import type { Decision } from "../src-protocol/policy.ts";
import { DEFAULT_AGENT_BUDGET } from "../src-protocol/agent-budget.ts";
import { auditText, tokensText, tokenText } from "./access-text.ts";
import { rulesText } from "../src-protocol/rules-text.ts";
import { overrideText, situationText, why, whyText } from "../src-protocol/why.ts";
import { netOf, paidWorth } from "../src-protocol/price.ts";
import {
  claimsText,
  claimText,
  earningsText,
  forecastText,
  historyText,
  limitsText,
  settledText,
  statusText,
} from "./answers.ts";
import { hoursText } from "./hours-text.ts";
import { askedMinutes, DEFAULT_DURATION } from "./asked-time.ts";
import { changedRules, RULES_HELP } from "./rules-words.ts";
import { ApiClient } from "./api-client.ts";
import { commandTree } from "./command-tree.ts";
import { completionScript, SHELLS } from "./completions.ts";
import { diagnostics, reportText, saveReport } from "./diagnostics.ts";
import { doctor, doctorText } from "./doctor.ts";
import { DAEMON_ENVIRONMENT, DAEMON_FLAGS, isAlive } from "./daemon-process.ts";
import { daemonScript } from "./daemon-script.ts";
import { askedLimits } from "./asked-limits.ts";
import { addReceiptsCommands } from "./receipts-command.ts";
import { addPayoutCommand } from "./payout-command.ts";
import { askedPrice, pricesText } from "./price-command.ts";
import { addChainCommands } from "./chain-command.ts";
import { addDashboardCommand } from "./dashboard-command.ts";
import { addGlossaryCommand } from "./glossary-command.ts";
import { addLedgerCommands } from "./ledger-command.ts";
import { addLogCommand } from "./log-command.ts";
import { addModelCommands } from "./model-command.ts";
import { addNetworkCommands } from "./network-command.ts";
import { join as joinNetwork, leave, networksText, switchTo, terminalQuestion } from "./networks.ts";
import { providersText, testedAgain } from "./providers.ts";
import { addRunCommands } from "./run-command.ts";
import { addServiceCommands } from "./service/service-command.ts";
import { setUp } from "./set-up.ts";
import { addManualCommand } from "./manual-command.ts";
import { shownText } from "./model-samples.ts";
import { addWalletCommands } from "./wallet-command.ts";

const DURATION_HELP = "45, 30m, 2h, 1d or until 07:00";
const UNTIL_HELP = "14:00, tomorrow (07:00 in the morning)";
const EXIT_INTERRUPTED = 130;
const EXIT_BAD_USE = 2;
/** Failures that mean that the command was written wrongly. */
const BAD_USE: ReadonlySet<string> = new Set([
  "bad-option",
  "bad-address",
  "bad-amount",
  "bad-duration",
  "bad-limit",
  "bad-rules",
  "bad-size",
  "consent-needed",
  "invitation-malformed",
  "invitation-checksum",
  "no-such-stage",
  "no-such-word",
  "no-such-steps",
  "data-needed",
  "model-needed",
  "no-data-folder",
  "secret-needed",
  "token-needed",
  "wallet-bad-name",
]);

interface Common {
  readonly scopes?: string;
  readonly days?: string;
  readonly hours?: true;
  readonly json?: true;
  readonly home?: string;
  readonly again?: true;
  readonly yes?: true;
  readonly asleep?: true;
  readonly up?: string;
  readonly down?: string;
  readonly for?: string;
  readonly until?: string;
  readonly afterStep?: true;
  readonly gap?: true;
  readonly save?: string;
  readonly calls?: string;
  readonly minutes?: string;
  readonly ifStarted?: true;
  readonly use?: true;
  readonly forget?: true;
  readonly alpha?: true;
  readonly source?: string;
}

/** What a command found out, for a program and for a person. */
interface Answer {
  readonly data: unknown;
  readonly text: string;
}

const program = new Command("tah")
  .description("Train at Home from the terminal: the same as the dashboard, over the same local API.")
  .version(productVersion(), "-V, --version", "print the version")
  .helpCommand("help [command]", "what a command does, and its options")
  .showHelpAfterError("(tah --help lists all commands)")
  // A program gets the refusal once: as the JSON that `run` prints.
  .configureOutput({ writeErr: (text) => void (wantsJson() || process.stderr.write(text)) })
  .exitOverride();

command("status", "what it is doing now", async (client) => {
  const state = await client.call("state.get", {});
  return { data: state, text: statusText(state, Date.now()) };
});

command("why", "why it is running or waiting, and what changes next", async (client) => {
  const state = await client.call("state.get", {});
  const said = why(state, Date.now());
  const { decision, override, policy } = state;
  return { data: { ...said, decision, override, policy }, text: whyText(said) };
});

command(
  "write",
  "what the model of this computer's own network writes by now",
  async (client, [prompt = "The "]) => {
    const written = await client.call("model.write", { prompt, seed: Math.floor(Math.random() * 1e9) });
    return { data: written, text: `${shownText(prompt + written.text)}\n(after ${written.step} steps)` };
  },
).argument("[beginning]", 'what the text begins with, in quotes (else: "The ")');

command(
  "setup",
  "say yes for the first time: before that nothing is downloaded or computed",
  async (client, _, asked) => {
    const begun = await setUp(client, {
      yes: asked.yes === true,
      asleep: asked.asleep === true,
      ask: asked.json === true ? null : terminalQuestion("Begin?"),
      show: (text) => process.stderr.write(`${text}\n`),
    });
    return { data: begun.decision, text: begun.text };
  },
)
  .option(
    "--asleep",
    "only from 23:00 to 07:00, on power (else: at any time; `tah rules` and the dashboard change it)",
  )
  .option("--yes", "without being asked");

command(
  "pause",
  `pause for a while (${DURATION_HELP}; else ${DEFAULT_DURATION})`,
  async (client, words, { for: span, until, afterStep }) => {
    const minutes = askedMinutes({ words, for: span, until }, new Date());
    const method = afterStep === true ? "policy.finish" : "policy.pause";
    return decided(client, await client.call(method, { minutes, by: "cli" }));
  },
)
  .argument("[time...]", DURATION_HELP)
  .option("--for <time>", "30m, 2h, 1d")
  .option("--until <time>", `${UNTIL_HELP}, or resumed: without an end`)
  .option("--after-step", "finish the step in hand first");

command(
  "start",
  `run for a while, whatever the schedule says (${DURATION_HELP}; else ${DEFAULT_DURATION})`,
  async (client, words, { for: span, until, gap }) => {
    const minutes = askedMinutes({ words, for: span, until }, new Date());
    if (minutes === null)
      throw new Failure("bad-duration", "A start needs an end: say --until 14:00 or --for 3h.");
    const thenQuit = gap === true;
    return decided(client, await client.call("policy.start", { minutes, by: "cli", thenQuit }));
  },
)
  .argument("[time...]", DURATION_HELP)
  .option("--for <time>", "3h, 1d")
  .option("--until <time>", UNTIL_HELP)
  .option("--gap", "when that time is over, end everything, so that nothing is held any more");

command("resume", "end a manual pause or start: the rules apply again", async (client) =>
  decided(client, await client.call("policy.resume", {})),
);

command("rules", "when it may run; with words, from now on", async (client, words) => {
  const { rules } = await client.call("state.get", {});
  if (words.length === 0) return { data: rules, text: rulesText(rules) };
  const changed = changedRules(rules, words);
  await client.call("policy.setRules", { rules: changed });
  const state = await client.call("state.get", {});
  return {
    data: state.rules,
    text: `${rulesText(state.rules)}\n\n${situationText(state, Date.now())}`,
  };
})
  .argument("[words...]", "any, asleep, hours, except, set or json; see below")
  .addHelpText("after", RULES_HELP);

command("limits", "each limit, what is asked of it and what holds here", async (client, _, asked) => {
  const limits = askedLimits(asked);
  if (limits !== null) {
    const { rules } = await client.call("state.get", {});
    await client.call("policy.setRules", { rules: { ...rules, limits: { ...rules.limits, ...limits } } });
  }
  const report = await client.call("policy.limits", {});
  return { data: report, text: limitsText(report) };
})
  .option("--up <mbit>", "from now on all its workers together send at most so many Mbit/s (or: none)")
  .option("--down <mbit>", "and receive at most so many (or: none); `tah rules set` changes the others");

command(
  "history",
  "when it worked and waited, why, and by whom; newest first",
  async (client, _, { days, hours }) => {
    const back = days === undefined ? null : numberIn("--days", days, 1, 3650) * 86_400_000;
    if (hours === true) return workedHours(client, back ?? 7 * 86_400_000);
    const { changes } = await client.call("history.changes", {
      from: back === null ? 0 : Math.max(0, Math.floor(Date.now() - back)),
      limit: 1000,
    });
    return { data: { changes }, text: historyText(changes) };
  },
)
  .option("--days <days>", "not further back (else: the last 1000 changes, the hours of 7 days)")
  .option("--hours", "what each hour was worked, sent, received, drawn and paid instead");

command("earnings", "what was earned", async (client) => {
  const state = await client.call("state.get", {});
  const { prices } = await client.call("price.get", {});
  const worth = paidWorth(state, prices, Date.now());
  // A network that does not answer now says nothing of it; what is known is told all the same.
  const settled = await client.call("earnings.settled", {}).catch(() => null);
  return {
    data: {
      ...state.earnings,
      settled,
      worth: worth === null ? null : { paid: worth.worth, ...worth.price },
    },
    text: [
      earningsText(state),
      ...(settled === null ? [] : settledText(settled)),
      ...(worth === null ? [] : [worth.text]),
    ].join("\n"),
  };
});

command(
  "price",
  "say what 1 TAO (or 1 alpha) is worth, for `tah earnings`; without words: what was said",
  async (client, words, asked) => {
    const prices = await askedPrice(client, words, asked);
    return { data: prices, text: pricesText(prices, Date.now()) };
  },
)
  .argument("[price...]", "and its currency, for example: 312.5 EUR")
  .option("--source <where>", "where you have read it, for example kraken.com")
  .option("--alpha", "of the alpha that the active network pays (default: of TAO)")
  .option("--forget", "show no worth any more");

command("claim", "claim all that has accrued", async (client) => {
  const row = await client.call("earnings.claim", {});
  return { data: row, text: claimText(row) };
});

command("claims", "what was claimed, what became of it, and where it went; newest first", async (client) => {
  const { claims } = await client.call("earnings.claims", {});
  return { data: { claims }, text: claimsText(claims, Date.now()) };
});

command("providers", "what this computer trains with, and why", async (client, _, { again }) => {
  const report = again === true ? await testedAgain(client) : await client.call("providers.get", {});
  return { data: report, text: providersText(report) };
}).option("--again", "test everything again first (training goes on with the processor)");

command(
  "join",
  "join a network by its operator's invitation, after a yes",
  async (client, words, { yes, json }) => {
    const { networks, text } = await joinNetwork(client, words.join(""), {
      yes: yes === true,
      ask: json === true ? null : terminalQuestion("Join this network and work for it?"),
      show: (card) => process.stderr.write(`${card}\n`),
    });
    return { data: { networks }, text };
  },
)
  .argument("<invitation...>", "the line that begins with tah1")
  .option("--yes", "say yes to what the network asks, without being asked");

command("networks", "the networks that this computer has joined, and which one is active", async (client) => {
  const { networks } = await client.call("network.list", {});
  return { data: { networks }, text: networksText(networks) };
});

command(
  "switch",
  `make another joined network the active one, or ${THIS_COMPUTER}`,
  async (client, words) => {
    const { networks, text } = await switchTo(client, words.join(" "));
    return { data: { networks }, text };
  },
).argument("<network...>", `its name or id, or ${THIS_COMPUTER}`);

command(
  "leave",
  "leave a network, after a yes; what others hold is kept",
  async (client, words, { yes, json }) => {
    const { networks, text } = await leave(client, words.length === 0 ? null : words.join(" "), {
      yes: yes === true,
      ask: json === true ? null : terminalQuestion("Leave it?"),
      show: (said) => process.stderr.write(`${said}\n`),
    });
    return { data: { networks }, text };
  },
)
  .argument("[network...]", "its name or id; else the active one")
  .option("--yes", "without being asked");

command("open", "print an address that opens the dashboard, once", async (client) => {
  const { url } = await client.call("session.newLogin", {});
  return { data: { url }, text: url };
});

command(
  "sign-out",
  "end the sign-in of every browser; open the dashboard again with `tah open`",
  async (client) => {
    await client.call("session.signOut", {});
    return { data: { signedOut: true }, text: "Every browser is signed out. `tah open` signs one in again." };
  },
);

command(
  "token",
  "make a token for a program (an agent): set TAH_TOKEN to it, and tah may do what its scopes say",
  async (client, words, { scopes = "read", days = "30", calls, minutes }) => {
    const wanted = z.array(apiScope).min(1).safeParse(scopes.split(","));
    if (!wanted.success)
      throw new Failure("bad-option", `--scopes takes a list of: ${API_SCOPES.join(", ")}.`);
    const name = words.join(" ");
    const budget = {
      callsPerHour: numberIn("--calls", calls ?? DEFAULT_AGENT_BUDGET.callsPerHour, 1, 3600),
      minutesPerDay: numberIn("--minutes", minutes ?? DEFAULT_AGENT_BUDGET.minutesPerDay, 0, 1440),
    };
    const made = await client.call("session.newToken", {
      name,
      scopes: wanted.data,
      days: numberIn("--days", days, 1, 3650),
      budget,
    });
    return { data: made, text: tokenText(name, made.token, wanted.data, days, budget, import.meta.filename) };
  },
)
  .argument("<name...>", "who gets it, for the audit")
  .option("--scopes <list>", `of ${API_SCOPES.join(", ")}`, "read")
  .option("--days <days>", "until it ends by itself", "30")
  .option("--calls <number>", `changes an hour (default: ${DEFAULT_AGENT_BUDGET.callsPerHour})`)
  .option(
    "--minutes <number>",
    `of work a day that it may start (default: ${DEFAULT_AGENT_BUDGET.minutesPerDay})`,
  );

program
  .command("mcp")
  .description("for an agent: the Model Context Protocol over standard input and output; needs TAH_TOKEN")
  .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
  .action(async ({ home }: { home?: string }) => {
    const { serveMcp } = await import("./mcp.ts");
    const { TAH_TOKEN: token } = process.env;
    await serveMcp({ apiFile: apiFileOf(home), version: productVersion(), token });
    process.exit(0);
  });

command(
  "forecast",
  "when it will run, and what such hours were paid so far",
  async (client, words, asked) => {
    const usual = words.length === 0 && asked.for === undefined && asked.until === undefined ? ["7d"] : words;
    const minutes = askedMinutes({ words: usual, for: asked.for, until: asked.until }, new Date());
    if (minutes === null) throw new Failure("bad-duration", "A forecast needs an end: say --until 17:00.");
    const said = await client.call("policy.forecast", {
      to: Math.round(Date.now() + minutes * 60_000),
      ifStarted: asked.ifStarted === true,
    });
    const { prices } = await client.call("price.get", {});
    const net = netOf(said, prices, Date.now());
    const text = [forecastText(said, Date.now()), ...(net === null ? [] : [net.text])].join("\n");
    return { data: { ...said, net }, text };
  },
)
  .argument("[time...]", "1d, until 17:00; else 7 days")
  .option("--for <time>", "3h, 7d")
  .option("--until <time>", UNTIL_HELP)
  .option("--if-started", "as if it were started now");

command(
  "sleep",
  "when nobody is here, as this computer has learned; kept here alone",
  async (client, _, asked) => {
    if (asked.forget === true) {
      await client.call("policy.forgetHours", {});
      return {
        data: { forgotten: true },
        text: "Forgotten. `tah rules set learn=no` ends the learning too.",
      };
    }
    const said = await client.call("policy.sleep", {});
    if (asked.use !== true || said.windows === null) return { data: said, text: said.text };
    const { rules } = await client.call("state.get", {});
    const changed = { ...rules, schedule: "windows" as const, windows: said.windows };
    await client.call("policy.setRules", { rules: changed });
    return { data: { ...said, rules: changed }, text: rulesText(changed) };
  },
)
  .option("--use", "make these hours the rules")
  .option("--forget", "delete what was learned");

command("tokens", "the tokens that hold, and what they allow", async (client) => {
  const { tokens } = await client.call("session.tokens", {});
  return { data: { tokens }, text: tokensText(tokens) };
});

command("token-revoke", "take a token back; connections that use it end", async (client, words) => {
  const { tokens } = await client.call("session.revokeToken", { id: words.join("") });
  return { data: { tokens }, text: `Revoked.\n${tokensText(tokens)}` };
}).argument("<id...>", "as `tah tokens` lists it");

command("audit", "who did what over the local API, newest first", async (client) => {
  const { entries } = await client.call("session.audit", {});
  return { data: { entries }, text: auditText(entries) };
});

command("stop", "end Train at Home and everything it has started", async (client) => {
  await client.call("daemon.quit", {});
  await client.closed;
  await hasEnded(client.pid);
  return { data: { stopped: true }, text: "Stopped. `tah up` or `npm start` continues where it was." };
});

program
  .command("up")
  .description("start Train at Home in this terminal; takes the options of `npm start`")
  .helpOption(false)
  .allowUnknownOption()
  .allowExcessArguments()
  .argument("[options...]")
  .action(async (words: string[]) => {
    process.exitCode = await up(words);
  });

addGlossaryCommand(program, say);
addLogCommand(program, say);
addServiceCommands(program, say);
addDashboardCommand(program, say);
addModelCommands(program, say);
addRunCommands(program, say);
addNetworkCommands(program, say);
addWalletCommands(program, say);
addLedgerCommands(program, say);
addChainCommands(program, say);
addReceiptsCommands(program, say);
addPayoutCommand(program, say);

program
  .command("doctor")
  .description("what keeps it from working, or might; also when it does not run")
  .option("--json", "print JSON, for programs")
  .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
  .action(async ({ json, home }: Common) => {
    const findings = await doctor(homeOf(home));
    say(json === true ? JSON.stringify({ findings }) : doctorText(findings));
    if (findings.some(({ is }) => is === "problem")) process.exitCode = 1;
  });

program
  .command("diagnostics")
  .description(
    "what could be sent to somebody who helps: shown first, without secrets and addresses; sent by nobody",
  )
  .option("--save <file>", "save what is shown, after a yes")
  .option("--yes", "without being asked")
  .option("--json", "print JSON, for programs: a list of parts, each with its name and its text")
  .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
  .action(async ({ save, yes, json, home }: Common) => {
    const nobody = "Nobody can be asked here. Look at what is shown, then add --yes.";
    const ask = json === true ? null : terminalQuestion(`Save this as ${save}?`);
    const mayNot = save !== undefined && yes !== true && ask === null;
    // A program gets one thing: the report or the refusal.
    if (mayNot && json === true) throw new Failure("consent-needed", nobody);
    const parts = await diagnostics(homeOf(home), productVersion());
    const report = json === true ? JSON.stringify({ parts }) : reportText(parts);
    say(report);
    if (save === undefined) return;
    if (mayNot) throw new Failure("consent-needed", nobody);
    if (yes !== true && ask !== null && !(await ask())) return;
    saveReport(resolve(save), `${report}\n`);
    process.stderr.write(`Saved as ${save}. Read it once more before you give it to anybody.\n`);
  });

program
  .command("completions")
  .description("a script that completes commands in your shell")
  .argument("<shell>", SHELLS.join(", "))
  .action((shell: string) => say(completionScript(program, shell).trimEnd()));
addManualCommand(program, say);

// Whoever has mistyped an option of a command is sent to that command's own help.
for (const { words } of commandTree(program)) {
  const found = words.reduce<Command | undefined>(
    (from, word) => from?.commands.find((one) => one.name() === word),
    program,
  );
  if (words.length > 0) found?.showHelpAfterError(`(tah ${words.join(" ")} --help says more)`);
}

// Whoever reads has had enough, as in `tah log | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});
await run(process.argv);

function command(
  name: string,
  about: string,
  act: (client: ApiClient, words: string[], options: Common) => Promise<Answer>,
): Command {
  return program
    .command(name)
    .description(about)
    .option("--json", "print JSON, for programs")
    .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
    .action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      const options = self.opts<Common>();
      const { json, home } = options;
      const words = given.length > 2 ? (given[0] as string[]) : [];
      const client = await ApiClient.connect(apiFileOf(home));
      try {
        const answer = await act(client, words, options);
        say(json === true ? JSON.stringify(answer.data) : answer.text);
      } finally {
        client.close();
      }
    });
}

/** By the hour, so far back (ms). */
async function workedHours(client: ApiClient, back: number): Promise<Answer> {
  const range = { from: Math.max(0, Math.floor(Date.now() - back)), to: Date.now() + 1 };
  const { hours } = await client.call("history.hours", range);
  const { hours: computer } = await client.call("history.computer", range);
  return { data: { hours, computer }, text: hoursText(hours, computer) };
}

function numberIn(option: string, value: string | number, least: number, most: number): number {
  const number = /^\d{1,5}$/.test(String(value)) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new Failure("bad-option", `${option} is a whole number from ${least} to ${most}.`);
}

function productVersion(): string {
  const file: unknown = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8"));
  return z.object({ version: z.string() }).parse(file).version;
}

function homeOf(home: string | undefined): string {
  return resolve(home ?? dataFolder(process.env, process.platform, homedir()));
}

function apiFileOf(home: string | undefined): string {
  if (home !== undefined && !existsSync(home))
    throw new Failure(
      "no-data-folder",
      `There is no data folder ${resolve(home)}: look at what --home names.`,
    );
  return join(homeOf(home), API_FILE_NAME);
}

/** What it means now: the state has taken the decision in. */
async function decided(client: ApiClient, decision: Decision): Promise<Answer> {
  const state = await client.call("state.get", {});
  const { override } = state;
  const now = Date.now();
  const lines = [situationText(state, now), ...(override === null ? [] : [overrideText(override, now)])];
  return { data: { ...decision, override }, text: lines.join("\n") };
}

/** The daemon as a process of its own, in this terminal: it gets Ctrl-C itself. */
function up(words: readonly string[]): Promise<number> {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => daemon.kill(signal));
  // Whoever kills this command has ended what it shows.
  const daemon = spawn(process.execPath, [...DAEMON_FLAGS, daemonScript(), "--exit-with-parent", ...words], {
    env: { ...process.env, ...DAEMON_ENVIRONMENT },
    stdio: "inherit",
  });
  return new Promise((done) => daemon.once("exit", (code) => done(code ?? 1)));
}

async function run(words: readonly string[]): Promise<void> {
  try {
    await program.parseAsync(words);
  } catch (error) {
    // Commander has said it already, help included.
    if (!(error instanceof CommanderError)) return fail(error, wantsJson());
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_BAD_USE;
    if (error.exitCode !== 0 && wantsJson())
      say(JSON.stringify({ error: { code: "bad-use", message: error.message.replace(/^error: /, "") } }));
  }
}

function wantsJson(): boolean {
  return process.argv.includes("--json");
}

/** The connection closes a moment before the process is gone and its data folder free. */
async function hasEnded(pid: number): Promise<void> {
  for (let look = 0; look < 100 && isAlive(pid); look += 1) await wait(50);
}

function fail(error: unknown, json: boolean): void {
  const body = failureBody(error);
  if (json) say(JSON.stringify({ error: body }));
  else process.stderr.write(`${body.message}\n`);
  process.exitCode = 1;
  if (error instanceof Failure && BAD_USE.has(error.code)) process.exitCode = EXIT_BAD_USE;
  if (body.code === "interrupted") process.exitCode = EXIT_INTERRUPTED;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
