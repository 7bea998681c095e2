import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Failure } from "../src-protocol/failure.ts";
import { CODEC_WORDS, readCodecs } from "../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../src-protocol/link-codecs.ts";
import { invitationText } from "../src-protocol/networks.ts";
import { parseChainUrl } from "./chain/chain-probe.ts";
import { defaultHome } from "./data-folder/home.ts";
import type { NamedHotkey } from "./wallet/selected-wallet.ts";
import { MODEL_SIZES } from "../src-protocol/run-size.ts";
import type { ModelSize } from "../src-protocol/run-size.ts";

export interface DaemonOptions {
  readonly home: string;
  /** Folder with the user's own text; null: the text that comes with the product. */
  readonly data: string | null;
  /** Of the dashboard; null: the one it had last time, if it is free. */
  readonly port: number | null;
  readonly neighbours: number;
  /** Of the network on this computer: how many nodes may hold one stage. */
  readonly replicas: number | null;
  /** Training ends after this many steps; null: it goes on. */
  readonly steps: number | null;
  /** A Bittensor node's WebSocket address; null: the embedded network's own clock. */
  readonly chain: string | null;
  /** An invitation to join; null: none. Without `yes` its owner is asked first. */
  readonly join: { readonly text: string; readonly yes: boolean } | null;
  /** Whether the owner's yes comes with the start; else it is asked for in a data folder that is new. */
  readonly yes: boolean;
  readonly model: ModelSize;
  /** Whether a new run's numbers are to be the same bits on every computer. */
  readonly exact: boolean;
  /** Of the links of a new run; null: values travel as they are. */
  readonly codecs: LinkCodecs | null;
  /** A file that describes the run (run-file.ts), in place of `data`, `model` and `steps`; null: none. */
  readonly runFile: string | null;
  /** The hotkey to work with from now on, as `tah wallet use`; null: the one that is chosen. */
  readonly named: NamedHotkey | null;
  /** Holds the password of a locked hotkey; null: it is asked for. */
  readonly walletPasswordFile: string | null;
  /** The desktop app says on standard input what the system's keychain keeps. */
  readonly keychainOnStdin: boolean;
  /** Folder of the built dashboard. */
  readonly bundle: string;
  /** Whether to find out what this computer trains fastest with; else it is the processor. */
  readonly probe: boolean;
  /** Ends when the process that started it is gone. For programs that start a daemon. */
  readonly exitWithParent: boolean;
}

export const HELP = `Train at Home: trains a language model with your computer's spare time.

  --data PATH        train on the text in a folder or file (also JSON lines, CSV, parquet, .gz, .zst)
  --steps N          stop training after N steps
  --exact            train in the class exact: the same bits on every computer, a little slower
  --codec CODEC      how values travel between stages: ${CODEC_WORDS}; default f32
  --neighbours N     neighbour processes on this computer (0 to 16, default 2)
  --replicas N       N neighbours for each stage, so that none of them is missed (1 to 5); 1: who has no stage waits
  --no-neighbours    the same as --neighbours 0
  --no-open          open no browser and no window (npm start)
  --port N           port of the dashboard (default: the one it had last time)
  --home FOLDER      data folder (default: $TAH_HOME, else the usual place of this system)
  --chain URL        read the block clock and a balance from a Bittensor node (ws:// or wss://)
  --join INVITATION  join the network of an invitation (a line that begins with tah1)
  --yes              begin at once, without being asked: also to what the network of --join asks
  --wallet NAME      work with a hotkey of this wallet from now on (default: the one that is chosen)
  --hotkey NAME      work with this hotkey of it from now on
  --wallet-password-file FILE  the password of your hotkey, if it is under one (else it is asked for)
  --version          the product's version
  --help             this text
`;

const DEFAULT_NEIGHBOURS = 2;
const MOST_NEIGHBOURS = 16;
const MOST_OWN_REPLICAS = 5;

/** Reads command-line words; null means that help was asked for. Throws a `Failure`. */
export function parseOptions(words: readonly string[]): DaemonOptions | null {
  const values = read(words);
  if (values.help === true) return null;
  if (values["no-neighbours"] === true && values.neighbours !== undefined)
    throw bad("--neighbours and --no-neighbours contradict each other. Give one of them.");
  const said = (["data", "model", "steps", "exact", "codec"] as const).find(
    (option) => values[option] !== undefined,
  );
  if (values.run !== undefined && said !== undefined)
    throw bad(`--run and --${said} contradict each other. Give one of them.`);
  const replicas =
    values.replicas === undefined ? null : whole("--replicas", values.replicas, 1, MOST_OWN_REPLICAS);
  return {
    home: values.home === undefined ? defaultHome() : path("--home", "folder", values.home),
    data: values.data === undefined ? null : path("--data", "folder", values.data),
    port: values.port === undefined ? null : whole("--port", values.port, 0, 65_535),
    neighbours:
      values["no-neighbours"] === true
        ? 0
        : values.neighbours === undefined
          ? (DEFAULT_NEIGHBOURS + 1) * (replicas ?? 1) - 1
          : whole("--neighbours", values.neighbours, 0, MOST_NEIGHBOURS),
    replicas,
    steps: values.steps === undefined ? null : whole("--steps", values.steps, 1, 1_000_000_000),
    chain: values.chain === undefined ? null : parseChainUrl(values.chain),
    join: values.join === undefined ? null : { text: invitation(values.join), yes: values.yes === true },
    yes: values.yes === true,
    model: modelSize(values.model ?? "default"),
    exact: values.exact === true,
    // The network is on this computer alone.
    codecs: values.codec === undefined ? null : readCodecs(values.codec, true),
    runFile: values.run === undefined ? null : path("--run", "file", values.run),
    named:
      values.wallet === undefined && values.hotkey === undefined
        ? null
        : {
            wallet: values.wallet ?? null,
            hotkey: values.hotkey ?? null,
          },
    walletPasswordFile:
      values["wallet-password-file"] === undefined
        ? null
        : path("--wallet-password-file", "file", values["wallet-password-file"]),
    keychainOnStdin: values["keychain-on-stdin"] === true,
    bundle: join(import.meta.dirname, "..", "dist", "renderer"),
    probe: values["no-probe"] !== true,
    exitWithParent: values["exit-with-parent"] === true,
  };
}

function read(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: false,
      options: {
        data: { type: "string" },
        port: { type: "string" },
        neighbours: { type: "string" },
        "no-neighbours": { type: "boolean" },
        // Of the launcher: whoever gives it to `tah up` wants what that does anyway.
        "no-open": { type: "boolean" },
        replicas: { type: "string" },
        steps: { type: "string" },
        chain: { type: "string" },
        exact: { type: "boolean" },
        codec: { type: "string" },
        home: { type: "string" },
        join: { type: "string" },
        yes: { type: "boolean" },
        wallet: { type: "string" },
        hotkey: { type: "string" },
        "wallet-password-file": { type: "string" },
        help: { type: "boolean", short: "h" },
        // For tests and programs; not a part of the help text.
        model: { type: "string" },
        run: { type: "string" },
        "no-probe": { type: "boolean" },
        "exit-with-parent": { type: "boolean" },
        "keychain-on-stdin": { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw readFailure(error);
  }
}

function readFailure(error: unknown): Failure {
  const { code, message } = error as Error & { code?: string };
  const named = /'([^']*)'/.exec(message)?.[1] ?? "";
  const option = named.split(/[ ,]/).find((word) => word.startsWith("--")) ?? named;
  switch (code) {
    case "ERR_PARSE_ARGS_UNKNOWN_OPTION":
      return bad(`There is no option ${named}. --help lists all options.`);
    case "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL":
      return bad(`"${named}" is not an option. --help lists all options.`);
    case "ERR_PARSE_ARGS_INVALID_OPTION_VALUE":
      return bad(
        message.includes("does not take an argument")
          ? `The option ${option} takes no value. --help lists all options.`
          : `The option ${option} needs a value. --help lists all options.`,
      );
    default:
      return bad(`The options could not be understood: ${message}`);
  }
}

function bad(message: string): Failure {
  return new Failure("bad-option", message);
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw bad(`${option} needs a whole number from ${least} to ${most}, not "${text.slice(0, 40)}".`);
}

function path(option: string, kind: "file" | "folder", text: string): string {
  if (text.trim() !== "" && !text.includes("\0")) return resolve(text);
  throw bad(`${option} needs the name of a ${kind}.`);
}

/** Whether it is a good one is said by whoever reads it. */
function invitation(text: string): string {
  const checked = invitationText.safeParse(text);
  if (checked.success) return checked.data;
  throw bad("--join needs an invitation: one line that begins with tah1, as its network's operator gave it.");
}

function modelSize(text: string): ModelSize {
  if (Object.hasOwn(MODEL_SIZES, text)) return text as ModelSize;
  throw bad(`--model is one of ${Object.keys(MODEL_SIZES).join(", ")}, not "${text.slice(0, 40)}".`);
}
