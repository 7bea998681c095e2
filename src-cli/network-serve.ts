import { fork } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join, resolve } from "node:path";
import { plural } from "../src-protocol/amounts.ts";
import { servedNetwork } from "../src-protocol/daemon-ipc.ts";
import type { ServedNetwork } from "../src-protocol/daemon-ipc.ts";
import { DEFAULT_ARITHMETIC } from "../src-protocol/arithmetic.ts";
import { AUTO, readCodecs } from "../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../src-protocol/link-codecs.ts";
import { loadingText } from "../src-protocol/loading.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { runFile } from "../src-protocol/run-file.ts";
import type { RunFile } from "../src-protocol/run-file.ts";
import { MODEL_SIZES, dealtInto } from "../src-protocol/run-size.ts";
import type { Dealt, ModelSize } from "../src-protocol/run-size.ts";
import { serveToCli } from "../src-protocol/serve-ipc.ts";
import { codecText } from "./codec-text.ts";
import { sayProgress } from "./data-text.ts";
import type { DealtRun, SizedRun } from "./micro-batches.ts";
import { reachOf } from "./network-reach.ts";
import type { Reach } from "./network-reach.ts";
import { invitationText, inviteText, reachText } from "./network-text.ts";
import { setPayLimit } from "./served-pay.ts";
import type { ServedPay } from "./served-pay.ts";
import { OperatorClient } from "./operator-client.ts";

const SERVE_SCRIPT = join(import.meta.dirname, "..", "src-daemon", "network-serve.ts");
/** Of a run that is built in, as long as nobody says how many. */
const USUAL_STAGES = 3;
/** Of a step of a model of one's own, where its file or nobody says otherwise. */
const USUAL_MICRO_BATCHES = 8;
const FIRST_INVITATION = { uses: 10, expiresInSeconds: 7 * 86_400 };
const MOST_ADDRESSES = 4;
const SECOND_SIGNAL_AFTER_MS = 300;
/** A model of one's own may have operators that no class but `fast` has. */
const WANTED = { exact: "exact-if-possible", fast: "fast" } as const;

export interface ServeOptions {
  readonly home: string;
  /** By which other commands find it, with a blank before; left out: the usual place, which they know. */
  readonly at?: string;
  readonly name: string;
  readonly operator: string;
  readonly open: boolean;
  /** Everybody may look at the run. */
  readonly page: boolean;
  readonly host: string;
  readonly port: number;
  /** `host` or `host:port`. */
  readonly addresses: readonly string[];
  readonly cert: string | null;
  readonly key: string | null;
  readonly data: string | null;
  /** A size that is built in, an ONNX file, or a folder of Hugging Face. */
  readonly model: string;
  readonly stages: number | null;
  readonly steps: number | null;
  /** Whatever arithmetic is fastest on each computer, so that nothing can be repeated bit by bit. */
  readonly fast: boolean;
  /** How values travel between stages, as `readCodecs` reads it. */
  readonly codec: string;
  /** Of a step; null: as many as suit its lines, or as the run was begun with. */
  readonly microBatches: number | null;
  /** Sequences of each; null: the usual ones of a step are dealt, or it has more of the usual size. */
  readonly batch: number | null;
  /** That are expected at once: steps are made for so many; null: nobody has said. */
  readonly computers: number | null;
  /** Null: it counts test units. */
  readonly pay: ServedPay | null;
}

/**
 * `tah network serve`: the network's processes are children of this one. Ctrl-C or SIGTERM end them
 * with everything written; a second one at once. Gives the exit code.
 *
 * @throws Failure of the options and of the model
 */
export async function serveNetwork(
  options: ServeOptions,
  { say, json }: { say: (text: string) => void; json: boolean },
): Promise<number> {
  const served = servedOf(options);
  const place = ["--home", options.home, "--host", options.host, "--port", String(options.port)];
  if (options.batch !== null && options.microBatches === null)
    throw new Failure("bad-option", "--batch belongs to --micro-batches: give both, or neither.");
  const progress = json ? () => {} : say;
  // A large model takes minutes until the next sentence.
  progress(`Starting the network of ${options.home}.`);
  const { pay, home } = options;
  if (pay !== null) await setPayLimit(home, pay);
  const reach = reachOf(served.addresses);
  const asked = await askedRun(options, reach, progress);
  const words = place.concat(
    "--served",
    JSON.stringify(served),
    pay === null
      ? []
      : ["--payer", JSON.stringify(pay.payer), "--rao-per-teraflop", String(pay.raoPerTeraflop)],
    asked.words,
  );
  const child = fork(SERVE_SCRIPT, words, { stdio: ["ignore", "inherit", "inherit", "ipc"], execArgv: [] });
  let askedAt: number | null = null;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      // A launcher may hand on the Ctrl-C that has reached us already: only a later one is a second one.
      if (askedAt !== null && performance.now() - askedAt > SECOND_SIGNAL_AFTER_MS) child.kill("SIGKILL");
      askedAt ??= performance.now();
      child.kill("SIGTERM");
    });
  }
  let failure: Failure | null = null;
  let shown = false;
  child.on("message", (value) => {
    const message = serveToCli.parse(value);
    switch (message.type) {
      case "listening":
        if (shown) return json ? undefined : say("The orchestrator is back.");
        shown = true;
        return void firstWords(options, { ...asked, reach }, message, { say, json }).catch(
          (error: unknown) => {
            failure = error instanceof Failure ? error : new Failure("internal", String(error));
            child.kill("SIGTERM");
          },
        );
      case "reading":
        return json ? undefined : say(loadingText(message.progress));
      case "trouble":
        return json ? undefined : say(`The orchestrator has ended and is started again: ${message.message}`);
      case "note":
        return json ? undefined : say(message.text);
      case "failed":
        failure = new Failure(message.code, message.message);
        return undefined;
      case "stopped":
        return json ? undefined : say("Stopped. Serving again continues where it was.");
    }
  });
  const code = await new Promise<number | null>((done) => child.once("close", done));
  if (failure !== null) throw failure;
  return code ?? 1;
}

async function firstWords(
  options: ServeOptions,
  { arithmetic, stagesOf, mostStages, usual, reach }: AskedRun & { readonly reach: Reach },
  { url, log }: { url: string; log: string },
  { say, json }: { say: (text: string) => void; json: boolean },
): Promise<void> {
  const { home, at = "" } = options;
  const client = OperatorClient.of(home);
  const status = await client.status();
  const { invitations } = await client.invitations();
  const now = Date.now();
  const isOpen = (row: (typeof invitations)[number]): boolean =>
    row.revokedAt === null && row.used < row.uses && (row.expiresAt === null || row.expiresAt * 1000 > now);
  const made = options.open || invitations.some(isOpen) ? null : await client.invite(FIRST_INVITATION);
  const line = options.open ? (await client.openInvitation()).invitation : (made?.invitation ?? null);
  const { codecs, dealt } = status;
  const begun = {
    arithmetic,
    stagesOf,
    ...(mostStages !== undefined && { mostStages }),
    ...(codecs !== undefined && { codecs }),
  };
  const { codec, computers } = options;
  const { sumsShare } = await import("./sums-share.ts");
  if (json) {
    const { network, keySha256, addresses } = status;
    const step =
      dealt === undefined
        ? null
        : {
            ...dealt,
            expected: (await import("./micro-batches.ts")).expected(begun, dealt, reach, computers),
            sums: sumsShare(begun, dealt, reach, { usual: usual ?? alike(dealt), codec, computers }),
          };
    say(JSON.stringify({ url, network, keySha256, addresses, log, invitation: line, step }));
    return;
  }
  say(`${status.name} is served at ${status.addresses.join(", ")} (${status.run.name}).`);
  const who = reachText(reach, Number(new URL(url).port || "443"));
  if (who !== null) say(who);
  say(status.run.detail);
  if (dealt !== undefined) {
    const { dealtFor, microBatchText } = await import("./micro-batches.ts");
    const best = usual === null ? null : dealtFor(begun, usual, reach, computers);
    say(`Steps have ${microBatchText(begun, dealt, reach, { best, computers })}`);
    const sums = sumsShare(begun, dealt, reach, { usual: usual ?? alike(dealt), codec, computers });
    if (sums !== null) say(sums.text);
  }
  const run = codecs === undefined ? { arithmetic } : { arithmetic, codecs };
  say(`Values between slices travel ${codecText(run, options.codec, reach)}`);
  if (made !== null) say(`\n${inviteText(made)}`);
  else if (line !== null)
    say(`\n${invitationText(line)}\nAnybody who has this line, or the address, can come in.`);
  else say("Earlier invitations are still good; each names the addresses that held when it was made.");
  if (options.page) say(`\nEverybody may look at ${url}/ (with a certificate of your own: --cert).`);
  say(
    `\nIn another terminal: \`tah network status${at}\`, and \`invite\`, \`invites\`, \`revoke\` likewise.`,
  );
  say(`Log: ${log}\nCtrl-C ends it; serving again continues where it was.`);
}

/** @throws Failure `bad-address`, `bad-option` */
export function servedOf(options: ServeOptions): ServedNetwork {
  const { name, operator, open, page, host, cert, key, pay } = options;
  if ((cert === null) !== (key === null))
    throw new Failure("bad-option", "--cert and --key belong together: give both, or neither.");
  const certificate =
    cert === null || key === null ? null : { certFile: resolve(cert), keyFile: resolve(key) };
  const given = options.addresses.map(parseAddress);
  const addresses = given.length > 0 ? given : ownAddresses(host).map((own) => ({ host: own, port: null }));
  const parsed = servedNetwork.safeParse({
    name,
    operator,
    open,
    page,
    addresses: addresses.slice(0, MOST_ADDRESSES),
    certificate,
    ...(pay === null ? {} : { pays: pay.payer.pays }),
  });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Failure(
    "bad-option",
    `--${String(issue?.path[0] ?? "name")} cannot be used: ${issue?.message ?? "unknown form"}.`,
  );
}

function parseAddress(text: string): ServedNetwork["addresses"][number] {
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const number = port === undefined ? null : Number(port);
  if (host !== undefined && (number === null || (number >= 1 && number <= 65_535)))
    return { host, port: number };
  throw new Failure(
    "bad-address",
    `"${text.slice(0, 80)}" is no address. Say for example train.example.org, 203.0.113.7:7440 or [2001:db8::1]:7440.`,
  );
}

/** What this computer knows of itself: good in its own home network, and outside without a router. */
function ownAddresses(host: string): string[] {
  if (host !== "0.0.0.0" && host !== "::") return [host];
  const outside = Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).flatMap(({ family, internal, address }) => (family === "IPv4" && !internal ? [address] : [])),
  );
  return outside.length === 0 ? ["127.0.0.1"] : outside;
}

/** Null: the model is the operator's own. */
function sizedRun({ model, stages, fast }: ServeOptions, codecs: LinkCodecs): SizedRun | null {
  if (!Object.hasOwn(MODEL_SIZES, model)) return null;
  return {
    size: model as ModelSize,
    stages: stages ?? USUAL_STAGES,
    arithmetic: fast ? "fast" : DEFAULT_ARITHMETIC.strangers,
    codecs,
  };
}

/** What is to be trained, for the child that serves it. */
interface AskedRun extends Pick<DealtRun, "arithmetic" | "stagesOf" | "mostStages"> {
  readonly words: readonly string[];
  /** Of which it is known what would be dealt best; null: it was begun as that is, or cannot be dealt otherwise. */
  readonly usual: Dealt | null;
}

/** A model that is built in, or a file that is planned here. */
async function askedRun(options: ServeOptions, reach: Reach, say: (text: string) => void): Promise<AskedRun> {
  const { home, data, model, stages, steps, fast, codec, microBatches, batch, computers } = options;
  const isAlone = reach === "computer";
  const codecs = readCodecs(codec, isAlone);
  const sized = sizedRun(options, codecs);
  if (sized !== null) {
    const usual = MODEL_SIZES[sized.size];
    const said =
      microBatches === null
        ? null
        : batch === null
          ? dealtInto(microBatches, usual)
          : { batch, microBatches };
    const { builtIn, dealtFor } = await import("./micro-batches.ts");
    const run = builtIn(sized);
    const { mostStages } = run;
    if (mostStages !== undefined && sized.stages > mostStages)
      say(
        `--stages ${sized.stages}: this model cannot be divided into more than ${plural(mostStages, "slice")}, so it has as many.`,
      );
    if (said !== null) run.stagesOf(said.batch);
    const chosen = said === null ? dealtFor(run, usual, reach, computers) : null;
    const words = [
      "--model",
      model,
      ...(data === null ? [] : ["--data", resolve(data)]),
      ...(steps === null ? [] : ["--steps", String(steps)]),
      ...(stages === null ? [] : ["--stages", String(stages)]),
      ...(fast ? [] : [`--${DEFAULT_ARITHMETIC.strangers}`]),
      "--codec",
      codec,
      ...(isAlone ? ["--chosen-codec", "f32"] : []),
      ...(said === null ? [] : ["--dealt", JSON.stringify(said)]),
      ...(chosen === null ? [] : ["--chosen-dealt", JSON.stringify(chosen)]),
    ];
    return { words, ...run, usual };
  }
  if (!existsSync(model))
    throw new Failure(
      "model-missing",
      `--model is default, tiny, an ONNX file, or a folder of Hugging Face; there is no ${resolve(model)}.`,
    );
  if (data === null || steps === null)
    throw new Failure(
      "bad-option",
      "A model of your own needs --data and --steps: what it is trained on, and how long.",
    );
  const { dealtFor } = await import("./micro-batches.ts");
  const { planTraining } = await import("./training-plan.ts");
  const folder = join(home, "run");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, "run.json");
  const {
    run,
    stages: cut,
    corpusFile,
    modelFiles,
    folder: opened,
    notes,
  } = await planTraining(
    {
      model,
      data,
      steps,
      stages,
      microBatches: microBatches ?? USUAL_MICRO_BATCHES,
      ...(microBatches === null && {
        deal: (usual: RunSpec, stagesOf: DealtRun["stagesOf"]) =>
          dealtFor({ ...usual, stagesOf }, usual, reach, computers),
      }),
      learningRate: 3e-4,
      seed: 1,
      batch,
      sequence: null,
      sizes: {},
      tokens: null,
      scores: null,
      fixed: {},
      column: null,
      include: [],
      exclude: [],
      freeze: [],
      train: [],
      arithmetic: fast ? "fast" : WANTED[DEFAULT_ARITHMETIC.strangers],
      codecs,
      before: runIn(file),
      keepsCodecs: codec === AUTO,
    },
    folder,
    { cache: join(home, "corpus"), onProgress: sayProgress(say) },
  );
  opened?.close();
  for (const note of notes) say(note);
  writeFileSync(file, JSON.stringify({ run, corpusFile, modelFiles } satisfies RunFile), { mode: 0o600 });
  const stagesOf = (its: number): typeof cut => {
    if (its === run.batch) return cut;
    throw new Failure("bad-option", `Its slices were cut for micro-batches of ${run.batch}.`);
  };
  return { words: ["--run", file], arithmetic: run.arithmetic, stagesOf, usual: null };
}

/** The least step of micro-batches of that size: of one. */
function alike({ batch }: Dealt): Dealt {
  return { batch, microBatches: 1 };
}

/** What was served from this file before; null: nothing that can be read. */
function runIn(file: string): RunSpec | null {
  try {
    return runFile.parse(JSON.parse(readFileSync(file, "utf8"))).run;
  } catch {
    return null;
  }
}
