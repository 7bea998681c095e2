import { LARGEST_ERROR, PROVIDER_NAMES } from "../../src-protocol/providers.ts";
import type {
  ExecutionProvider,
  ProviderChoice,
  ProviderOutcome,
  ProviderResult,
} from "../../src-protocol/providers.ts";

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
  if (chosen !== null && processor !== null && provider !== "cpu") {
    const times = timesText(chosen.gflops / processor.gflops);
    return `${PROVIDER_NAMES[provider]} is used: it is ${times} as fast as the processor.`;
  }
  const fault = results.find((result) => result.provider !== "cpu" && isNews(result));
  if (fault !== undefined) return `${asideText(fault, chosen)} The processor is used instead.`;
  if (processor === null && results.length > 0)
    return "The processor is used: its own test did not end well, so nothing else could be compared with it.";
  const slower = results.some((result) => result.provider !== "cpu" && result.outcome.kind === "right");
  return slower
    ? "The processor is used: nothing else here is faster."
    : "The processor is used: there is nothing else here to train with.";
}

function asideText({ provider, outcome }: ProviderResult, chosen: Candidate | null): string {
  const name = PROVIDER_NAMES[provider];
  const aside = (because: string): string => `${name} was left aside: ${because}.`;
  const checked = believed(outcome);
  switch (checked.kind) {
    case "right":
      return chosen === null
        ? aside("the processor could not be tested, so there is nothing to compare it with")
        : aside(`it is slower (${speed(checked.gflops)} against ${speed(chosen.gflops)})`);
    case "absent":
      return `${name} is not in this version.`;
    case "refused":
      // SECURITY: a driver's own words; a terminal would take its control characters for commands.
      return aside(checked.detail.replaceAll(/\p{Cc}+/gu, " "));
    case "crash":
      return aside(
        checked.during === "test"
          ? `its driver ended the test's process (${checked.ending})`
          : `training with it failed more than once (${checked.ending})`,
      );
    case "hang":
      return aside(`it gave no answer in ${Math.round(checked.seconds)} seconds`);
    case "wrong":
      return aside(`it gave wrong ${checked.what} (error ${errorText(checked.error)})`);
    case "nan":
      return aside(`it gave ${checked.what} that are not numbers`);
  }
}

function errorText(error: number): string {
  return error > 100 ? "over 100" : String(Number(error.toPrecision(1)));
}

export function speed(gflops: number): string {
  return `${Number(gflops.toPrecision(gflops < 100 ? 2 : 3))} GFLOP/s`;
}

function timesText(ratio: number): string {
  return `${ratio < 10 ? ratio.toFixed(1) : Math.round(ratio)} times`;
}
