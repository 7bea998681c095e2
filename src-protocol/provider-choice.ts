import { decimals, number } from "./amounts.ts";
import { phrase, say } from "./say.ts";
import { LARGEST_ERROR, PROVIDER_NAMES } from "./providers.ts";
import type {
  Computed,
  ExecutionProvider,
  ProviderChoice,
  ProviderOutcome,
  ProviderResult,
} from "./providers.ts";

interface Candidate {
  readonly provider: ExecutionProvider;
  readonly gflops: number;
}

/**
 * The fastest provider that is right. The processor is what the others are measured against: it is
 * used where none is faster, also when its own speed is not known.
 */
export function chooseProvider(results: readonly ProviderResult[]): ProviderChoice {
  const right = results.flatMap(({ provider, outcome }) => {
    const checked = believed(outcome);
    return checked.kind === "right" ? [{ provider, gflops: checked.gflops }] : [];
  });
  const processor = right.find(({ provider }) => provider === "cpu") ?? null;
  const chosen =
    processor === null ? null : right.reduce((best, next) => (next.gflops > best.gflops ? next : best));
  const provider = chosen?.provider ?? "cpu";
  return {
    provider,
    text: choiceText(results, provider, chosen, processor),
    aside: results
      .filter((result) => result.provider !== provider)
      .map((result) => ({ provider: result.provider, text: asideText(result, chosen) })),
  };
}

/** Whether an owner should hear of it: not when there is simply nothing else than the processor. */
export function isNews({ outcome }: ProviderResult): boolean {
  return ["crash", "hang", "wrong", "nan"].includes(believed(outcome).kind);
}

/** SECURITY: a probe process runs foreign drivers. What it says of itself is held against the limits. */
function believed(outcome: ProviderOutcome): ProviderOutcome {
  return outcome.kind === "right" && outcome.error > LARGEST_ERROR
    ? { kind: "wrong", what: "results", tensor: "", error: outcome.error }
    : outcome;
}

function choiceText(
  results: readonly ProviderResult[],
  provider: ExecutionProvider,
  chosen: Candidate | null,
  processor: Candidate | null,
): string {
  if (chosen !== null && processor !== null && provider !== "cpu")
    return say("{name} is used: it is {times} times as fast as the processor.", {
      name: say(PROVIDER_NAMES[provider]),
      times: timesText(chosen.gflops / processor.gflops),
    });
  const fault = results.find((result) => result.provider !== "cpu" && isNews(result));
  if (fault !== undefined) return `${asideText(fault, chosen)} ${say("The processor is used instead.")}`;
  if (processor === null && results.length > 0)
    return say(
      "The processor is used: its own test did not end well, so nothing else could be compared with it.",
    );
  const slower = results.some((result) => result.provider !== "cpu" && result.outcome.kind === "right");
  return slower
    ? say("The processor is used: nothing else here is faster.")
    : say("The processor is used: there is nothing else here to train with.");
}

function asideText({ provider, outcome }: ProviderResult, chosen: Candidate | null): string {
  const name = say(PROVIDER_NAMES[provider]);
  const checked = believed(outcome);
  return checked.kind === "absent"
    ? say("{name} is not in this version.", { name })
    : say("{name} was left aside: {because}.", { name, because: becauseText(checked, chosen) });
}

function becauseText(
  outcome: Exclude<ProviderOutcome, { kind: "absent" }>,
  chosen: Candidate | null,
): string {
  switch (outcome.kind) {
    case "right":
      return chosen === null
        ? say("the processor could not be tested, so there is nothing to compare it with")
        : say("it is slower ({its} against {best})", {
            its: speed(outcome.gflops),
            best: speed(chosen.gflops),
          });
    case "refused":
      // SECURITY: a driver's own words; a terminal would take its control characters for commands.
      return outcome.detail.replaceAll(/\p{Cc}+/gu, " ");
    case "crash":
      return outcome.during === "test"
        ? say("its driver ended the test's process ({ending})", { ending: outcome.ending })
        : say("training with it failed more than once ({ending})", { ending: outcome.ending });
    case "hang":
      return say("it gave no answer in {seconds} seconds", { seconds: Math.round(outcome.seconds) });
    case "wrong":
      return say("it gave wrong {what} (error {error})", {
        what: say(COMPUTED[outcome.what]),
        error: errorText(outcome.error),
      });
    case "nan":
      return say("it gave {what} that are not numbers", { what: say(COMPUTED[outcome.what]) });
  }
}

const COMPUTED: Readonly<Record<Computed, string>> = {
  results: phrase("results"),
  gradients: phrase("gradients"),
  losses: phrase("losses"),
  parameters: phrase("parameters"),
};

function errorText(error: number): string {
  return error > 100 ? say("over 100") : number(Number(error.toPrecision(1)));
}

export function speed(gflops: number): string {
  return `${number(Number(gflops.toPrecision(gflops < 100 ? 2 : 3)))} GFLOP/s`;
}

function timesText(ratio: number): string {
  return ratio < 10 ? decimals(ratio, 1) : number(Math.round(ratio));
}
