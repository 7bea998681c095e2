import { Failure } from "../../src-protocol/failure.ts";
import { PROVIDERS } from "../../src-protocol/providers.ts";
import type {
  ExecutionProvider,
  ProbedMachine,
  ProviderChoice,
  ProviderResult,
  ProvidersFile,
  ProvidersReport,
} from "../../src-protocol/providers.ts";
import { chooseProvider, isNews } from "../../src-protocol/provider-choice.ts";
import type { Probed } from "./providers-probe.ts";

export interface ProvidersPorts {
  /** Null: this daemon uses the processor and tests nothing. */
  readonly machine: ProbedMachine | null;
  /** What an earlier daemon found out. */
  read(): ProvidersFile | null;
  write(file: ProvidersFile): void;
  /** Tries one provider in a process of its own. Rejects when the signal is given, with no process left. */
  probe(provider: ExecutionProvider, signal: AbortSignal): Promise<Probed>;
  /** What this computer's worker shall compute with from its next start on. */
  onProvider(provider: ExecutionProvider): void;
  /** Something worth a line for a person. */
  onNote(text: string): void;
  onFault(error: unknown): void;
  now(): number;
}

/** Graphics drivers start anew after a sleep or an update, and take one worker with them. */
const CRASHES_FORGIVEN = 1;

/**
 * What this computer trains with: the processor until a faster provider has been found to be right.
 * The test is taken at the first start on a machine and kept, and runs only while training may run.
 */
export class Providers {
  readonly #ports: ProvidersPorts;
  #known: ProvidersFile | null = null;
  #choice: ProviderChoice | null = null;
  #working = false;
  #testing: AbortController | null = null;
  /** Results of a test under way. */
  #partial: readonly ProviderResult[] = [];
  #crashes = 0;

  constructor(ports: ProvidersPorts) {
    this.#ports = ports;
    const { machine } = ports;
    const kept = machine === null ? null : ports.read();
    if (kept !== null && same(kept.machine, machine)) this.#keep(kept);
  }

  /** While a test runs nothing trains on what it measures. */
  get provider(): ExecutionProvider {
    return this.#testing === null ? (this.#choice?.provider ?? "cpu") : "cpu";
  }

  report(): ProvidersReport {
    const { machine } = this.#ports;
    const testing = this.#testing !== null;
    return {
      phase: machine === null ? "off" : testing ? "testing" : this.#known === null ? "waiting" : "tested",
      provider: this.provider,
      at: testing ? null : (this.#known?.at ?? null),
      machine,
      results: [...(testing ? this.#partial : (this.#known?.results ?? []))],
      choice: testing ? null : this.#choice,
    };
  }

  /** Whether the policy lets this computer work now. A test that is cut short begins anew later. */
  working(working: boolean): void {
    this.#working = working;
    if (!working) this.stop();
    else if (this.#known === null) this.#begin();
    else this.#ports.onProvider(this.provider);
  }

  /**
   * Takes the test again. Throws a `Failure` when it may not run now; `wanted`: its owner asks for it in
   * the set-up, where nothing else runs yet.
   */
  again(wanted = false): ProvidersReport {
    if (this.#ports.machine === null)
      throw new Failure(
        "providers-off",
        "This Train at Home was started without the test of what it can compute with, and uses the processor.",
      );
    if (!this.#working && !wanted)
      throw new Failure(
        "providers-paused",
        "The test runs only while training may run, and it may not now. `tah why` says why; `tah start` starts it by hand.",
      );
    this.#begin();
    return this.report();
  }

  /** The worker has ended in a way that its provider may be the reason of. */
  trainingFailed(provider: ExecutionProvider, ending: string): void {
    this.#crashes += 1;
    if (this.#known === null || provider === "cpu" || provider !== this.provider) return;
    if (this.#crashes <= CRASHES_FORGIVEN) return;
    const outcome = { kind: "crash", ending: ending.slice(0, 500), during: "training" } as const;
    this.#finish({
      ...this.#known,
      results: this.#known.results.map((each) => (each.provider === provider ? { provider, outcome } : each)),
    });
  }

  /** Ends a test under way. */
  stop(): void {
    this.#testing?.abort(new Failure("providers-stopped", "The test was cut short."));
    this.#testing = null;
  }

  #begin(): void {
    const { machine } = this.#ports;
    if (machine === null || this.#testing !== null) return;
    const abort = new AbortController();
    this.#testing = abort;
    this.#partial = [];
    this.#ports.onProvider("cpu");
    this.#test(abort.signal).then(
      (results) => {
        if (abort.signal.aborted) return;
        this.#testing = null;
        this.#finish({ schema: "train-at-home/providers/v1", machine, at: this.#ports.now(), results });
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        this.#testing = null;
        this.#ports.onFault(error);
        this.#ports.onProvider(this.provider);
      },
    );
  }

  /** The processor first: it also says what else there is. One after another, so that each is measured alone. */
  async #test(signal: AbortSignal): Promise<ProviderResult[]> {
    const processor = await this.#ports.probe("cpu", signal);
    const results: ProviderResult[] = [{ provider: "cpu", outcome: processor.outcome }];
    for (const provider of PROVIDERS.filter((each) => each !== "cpu")) {
      this.#partial = [...results];
      if (processor.bundled === null) continue;
      const outcome = processor.bundled.includes(provider)
        ? (await this.#ports.probe(provider, signal)).outcome
        : ({ kind: "absent" } as const);
      results.push({ provider, outcome });
    }
    return results;
  }

  #finish(file: ProvidersFile): void {
    const before = this.#choice?.text;
    this.#crashes = 0;
    const choice = this.#keep(file);
    // Without the processor nothing was compared: a test that a full memory spoilt is taken again at the next start.
    if (file.results.some(({ provider, outcome }) => provider === "cpu" && outcome.kind === "right"))
      this.#ports.write(file);
    if (choice.text !== before && (choice.provider !== "cpu" || file.results.some(isNews)))
      this.#ports.onNote(choice.text);
    this.#ports.onProvider(choice.provider);
  }

  #keep(file: ProvidersFile): ProviderChoice {
    this.#known = file;
    this.#choice = chooseProvider(file.results);
    return this.#choice;
  }
}

function same(a: ProbedMachine, b: ProbedMachine | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
