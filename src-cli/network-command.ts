import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { dataFolder, SERVED_FOLDER_NAME } from "../src-protocol/data-folder.ts";
import { CODEC_WORDS } from "../src-protocol/link-codecs.ts";
import { MOST_BATCH, MOST_MICRO_BATCHES } from "../src-protocol/model.ts";
import { payOptions, servedPay } from "./served-pay.ts";
import type { PayWords } from "./served-pay.ts";
import type { ServeOptions } from "./network-serve.ts";

const DEFAULT_PORT = 7440;

/** `tah network …`: a network of one's own, for others. */
export function addNetworkCommands(program: Command, say: (text: string) => void): void {
  const network = program
    .command("network")
    .description("serve a network for others: invite, look, revoke")
    .helpCommand(false);

  payOptions(
    common(
      network
        .command("serve")
        .description("serve a network in this terminal until Ctrl-C; the same folder goes on where it was"),
    ),
  )
    .option("--name <name>", "what invited people see (at most 40 letters)", "A Train at Home network")
    .option("--operator <who>", "who you are, for invited people", "")
    .option("--open", "let anybody in who has the address, without an invitation")
    .option(
      "--page",
      "show everybody the run at the network's address: loss curve, slices, tokens; read-only",
    )
    .option("--host <address>", "local address to listen on", "0.0.0.0")
    .option(
      "--port <number>",
      "TCP port; the relays use this one + 1 (TCP) and + 1 to + 5 (UDP); 0: any",
      whole(0, 65_000),
      DEFAULT_PORT,
    )
    .option(
      // Several only where a letter is before the dots.
      "--address <host...>",
      "how others reach this computer: its public name or address, with :port if the router changes it",
    )
    .option("--cert <file>", "a TLS certificate of your own (PEM), with --key; else one is made")
    .option("--key <file>", "its private key (PEM)")
    .option(
      "--data <folder>",
      "text or token files to train on (default: books and speeches that are included)",
    )
    .option(
      "--model <size or path>",
      "default, tiny, or a model of your own with --data: an ONNX file, or a folder of Hugging Face",
      "default",
    )
    .option("--stages <count>", "computers that one copy of the model is divided among", whole(1, 1000))
    .option("--steps <count>", "end the training after so many steps", whole(1, 1_000_000_000))
    .option("--fast", "train in the class fast: not the same bits on every computer (see docs/exact.md)")
    .option(
      "--codec <codec>",
      `how values travel between slices: ${CODEC_WORDS}; auto is int8b64, or f32 where only this computer reaches the network (see docs/codecs.md)`,
      "auto",
    )
    .option(
      "--micro-batches <count>",
      "micro-batches of a step (default: as many as suit the lines between homes; a run keeps what it was begun with)",
      whole(1, MOST_MICRO_BATCHES),
    )
    .option(
      "--batch <count>",
      "with --micro-batches: sequences of each (default: what divides the usual step, or 4 in a larger one)",
      whole(1, MOST_BATCH),
    )
    .option(
      "--computers <count>",
      "computers that you expect at once: a run that begins gets steps so large that all of them have work (default: planned for one or two for each slice)",
      whole(1, 1_000_000),
    )
    .action(async ({ json, home, ...words }: ServeWords & Common) => {
      const { serveNetwork } = await import("./network-serve.ts");
      process.exitCode = await serveNetwork(
        {
          home: folderOf(home),
          ...(home === undefined ? {} : { at: ` --home "${folderOf(home)}"` }),
          name: words.name,
          operator: words.operator,
          open: words.open === true,
          page: words.page === true,
          host: words.host,
          port: words.port,
          addresses: words.address ?? [],
          cert: words.cert ?? null,
          key: words.key ?? null,
          data: words.data ?? null,
          model: words.model,
          stages: words.stages ?? null,
          steps: words.steps ?? null,
          fast: words.fast === true,
          codec: words.codec,
          microBatches: words.microBatches ?? null,
          batch: words.batch ?? null,
          computers: words.computers ?? null,
          pay: servedPay(words),
        },
        { say, json: json === true },
      );
    });

  common(network.command("invite").description("make an invitation: one line, and as a QR code"))
    .option(
      "--uses <count>",
      "how many people it lets in, each with all their computers",
      whole(1, 1_000_000),
      1,
    )
    .option("--expires <time>", "30m, 12h, 7d or never", expiry, 7 * 86_400)
    .action(async ({ json, home, uses, expires }: Common & { uses: number; expires: number }) => {
      const { client, inviteText } = await tools(home);
      const made = await client.invite({ uses, expiresInSeconds: expires === NEVER ? null : expires });
      say(json === true ? JSON.stringify(made) : inviteText(made));
    });

  common(network.command("invites").description("all invitations, and who came in by them")).action(
    async ({ json, home }: Common) => {
      const { client, invitesText } = await tools(home);
      const { invitations } = await client.invitations();
      say(json === true ? JSON.stringify({ invitations }) : invitesText(invitations, Date.now()));
    },
  );

  common(
    network
      .command("revoke")
      .description("an invitation lets nobody in any more; who came in by it stays, unless --evict")
      .argument("<id>", "as `tah network invites` shows it"),
  )
    .option("--evict", "throw out those too who came in by it")
    .action(async (id: string, { json, home, evict }: Common & { evict?: true }) => {
      const { client, revokeText } = await tools(home);
      const revoked = await client.revoke(id, evict === true);
      say(json === true ? JSON.stringify(revoked) : revokeText(revoked, evict === true));
    });

  common(
    network.command("payouts").description("claims that are not paid yet, and why each one waits"),
  ).action(async ({ json, home }: Common) => {
    const { client, payoutsText } = await tools(home);
    const answer = await client.payouts();
    say(json === true ? JSON.stringify(answer) : payoutsText(answer));
  });

  common(network.command("status").description("nodes, links by kind, the run and its loss")).action(
    async ({ json, home }: Common) => {
      const { client, networkStatusText } = await tools(home);
      const status = await client.status();
      say(json === true ? JSON.stringify(status) : networkStatusText(status));
    },
  );

  common(
    network
      .command("go-back")
      .description(
        "when nobody has the newest work any more: give it up, and go on from the newest that is there",
      ),
  )
    .option("--yes", "do it; without it, what would be lost is said")
    .action(async ({ json, home, yes }: Common & { yes?: true }) => {
      const { client, goBackText } = await tools(home);
      const { question = null } = await client.status();
      const isDone = yes === true && question !== null;
      if (isDone) await client.goBack(question);
      say(json === true ? JSON.stringify({ question, isDone }) : goBackText(question, isDone));
    });
}

interface Common {
  json?: true;
  home?: string;
}

type ServeWords = Pick<ServeOptions, "name" | "operator" | "host" | "port" | "model"> &
  PayWords & {
    open?: true;
    page?: true;
    address?: string[];
    cert?: string;
    key?: string;
    data?: string;
    stages?: number;
    steps?: number;
    fast?: true;
    codec: string;
    microBatches?: number;
    batch?: number;
    computers?: number;
  };

async function tools(home: string | undefined) {
  const [{ OperatorClient }, texts] = await Promise.all([
    import("./operator-client.ts"),
    import("./network-text.ts"),
  ]);
  return { client: OperatorClient.of(folderOf(home)), ...texts };
}

function common(command: Command): Command {
  return command
    .option("--json", "print JSON, for programs")
    .option("--home <folder>", "data folder of the network (default: `served` in the usual one)");
}

function folderOf(home: string | undefined): string {
  return resolve(home ?? join(dataFolder(process.env, process.platform, homedir()), SERVED_FOLDER_NAME));
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
  };
}

const NEVER = 0;
const UNIT_SECONDS: Readonly<Record<string, number>> = { m: 60, h: 3_600, d: 86_400 };

/** Seconds; `NEVER` for never: commander takes null for a value that is missing. */
function expiry(text: string): number {
  if (text === "never") return NEVER;
  const [, count, unit] = /^(\d{1,4})([mhd])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNIT_SECONDS[unit ?? ""] ?? Number.NaN);
  if (seconds > 0 && seconds <= 3650 * 86_400) return seconds;
  throw new InvalidArgumentError("Say for example 30m, 12h, 7d or never; ten years at most.");
}
