import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import { LINK_KINDS, linkReach } from "../../src-protocol/link-report.ts";
import type { LabNet } from "./lab-net.ts";
import { spawnIn } from "./lab-process.ts";

const PORT = 7440;
const STARTS_WITHIN_MS = 240_000;
const LOOK_MS = 100;
const TAH = join(import.meta.dirname, "..", "..", "src-cli", "tah.ts");
const DAEMON = join("..", "..", "src-daemon", "main.ts");

const homeState = z.object({
  phase: z.string(),
  detail: z.string(),
  problem: z.string().nullable(),
  reach: linkReach.nullable(),
  links: z.array(
    z.object({
      side: z.enum(["previous", "next"]),
      kind: z.enum(LINK_KINDS),
      transport: z.string(),
      roundTripMs: z.number().nullable(),
    }),
  ),
  step: z.int(),
  tokensPerStep: z.int(),
  recoveries: z.int(),
});
export type HomeState = z.infer<typeof homeState>;
const told = z.union([
  z.object({ state: homeState }),
  z.object({ point: z.object({ step: z.int(), at: z.number() }) }),
]);

export interface TrainingPlace {
  /** Where `tah network serve` runs, and the address at which the homes find it. */
  readonly orchestrator: { readonly space: string; readonly host: string };
  /** One daemon in each. */
  readonly homes: readonly string[];
  readonly model: "default" | "tiny";
}

/** A network as its operator serves it, and homes that have joined it by its invitation, each with its own daemon. */
export class LabTraining {
  readonly #processes: ChildProcess[] = [];
  readonly #states = new Map<string, HomeState>();
  readonly #daemons = new Map<string, ChildProcess>();
  /** Unix milliseconds at which each step was finished, as the first home that is awake heard of it. */
  readonly finished = new Map<number, number>();

  static async start(net: LabNet, name: string, place: TrainingPlace): Promise<LabTraining> {
    const training = new LabTraining();
    try {
      await training.#start(join(net.folder, name), place);
      return training;
    } catch (error) {
      training.close();
      throw error;
    }
  }

  state(space: string): HomeState | null {
    return this.#states.get(space) ?? null;
  }

  /** Its daemon, which has started all else of a home. */
  daemon(space: string): ChildProcess {
    const daemon = this.#daemons.get(space);
    if (daemon === undefined) throw new Failure("lab-training", `No daemon runs in ${space}.`);
    return daemon;
  }

  get step(): number {
    return Math.max(0, ...this.finished.keys());
  }

  get tokensPerStep(): number {
    return Math.max(0, ...[...this.#states.values()].map(({ tokensPerStep }) => tokensPerStep));
  }

  get recoveries(): number {
    return Math.max(0, ...[...this.#states.values()].map(({ recoveries }) => recoveries));
  }

  /** @throws Failure `lab-training` with what the homes say meanwhile */
  async reach(step: number, withinMs = STARTS_WITHIN_MS): Promise<void> {
    const until = performance.now() + withinMs;
    while (this.step < step) {
      if (performance.now() > until)
        throw new Failure(
          "lab-training",
          `Step ${step} was not reached in time: ${JSON.stringify([...this.#states.values()])}`,
        );
      await wait(LOOK_MS);
    }
  }

  close(): void {
    for (const child of this.#processes) child.kill("SIGKILL");
  }

  async #start(folder: string, { orchestrator, homes, model }: TrainingPlace): Promise<void> {
    mkdirSync(folder, { recursive: true });
    const { space, host } = orchestrator;
    const served = join(folder, "served");
    const words = `network serve --json --host 0.0.0.0 --port ${PORT} --address ${host}:${PORT} --stages ${homes.length} --model ${model}`;
    const operator = spawn(
      "ip",
      ["netns", "exec", space, process.execPath, TAH, ...words.split(" "), "--home", served],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#processes.push(operator);
    const invitation = await invitationOf(operator);
    for (const [index, home] of homes.entries()) {
      const data = join(folder, `home${index}`);
      const options = `--port 0 --no-neighbours --no-probe --exit-with-parent --yes --join ${invitation}`;
      const daemon = spawnIn(home, DAEMON, ["--home", data, ...options.split(" ")]);
      const watch = spawnIn(home, "lab-watch.ts", [data]);
      watch.on("message", (message) => this.#hear(home, told.parse(message)));
      this.#daemons.set(home, daemon);
      this.#processes.push(daemon, watch);
    }
  }

  #hear(home: string, message: z.infer<typeof told>): void {
    if ("state" in message) this.#states.set(home, message.state);
    else if (!this.finished.has(message.point.step)) this.finished.set(message.point.step, message.point.at);
  }
}

function invitationOf(operator: ChildProcess): Promise<string> {
  let said = "";
  return new Promise((resolve, reject) => {
    const hear = (text: string): void => {
      said += text;
      const line = said.split("\n").find((each) => each.startsWith("{") && each.endsWith("}"));
      if (line === undefined) return;
      const served = z.object({ invitation: z.string() }).safeParse(JSON.parse(line));
      if (served.success) resolve(served.data.invitation);
      else reject(new Failure("lab-training", `The network was not served: ${line.slice(0, 500)}`));
    };
    operator.stdout?.setEncoding("utf8").on("data", hear);
    operator.stderr?.setEncoding("utf8").on("data", hear);
    operator.once("exit", (code) =>
      reject(new Failure("lab-training", `The network ended with ${code}: ${said.slice(-500)}`)),
    );
  });
}
