import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../src-protocol/failure.ts";
import { PROVIDER_NAMES } from "../src-protocol/providers.ts";
import type { ProviderOutcome, ProvidersReport } from "../src-protocol/providers.ts";
import type { ApiClient } from "./api-client.ts";

const LOOK_EVERY_MS = 200;

/** What `tah providers` prints: what this computer trains with, and what became of everything else. */
export function providersText(report: ProvidersReport): string {
  const { phase, results, choice, machine, at } = report;
  switch (phase) {
    case "off":
      return "The processor is used. This Train at Home was started without the test of other things to train with.";
    case "waiting":
      return "The processor is used. The test of what else there is to train with comes when training may run.";
    case "testing":
      return `Testing what this computer trains fastest with: ${results.length} of them done. The processor is used meanwhile.`;
    case "tested": {
      const lines = [choice?.text ?? ""];
      for (const { provider, outcome } of results) {
        const reason = choice?.aside.find((aside) => aside.provider === provider)?.text;
        const mark = provider === choice?.provider ? "*" : " ";
        lines.push(`${mark} ${provider.padEnd(7)}${figures(outcome).padEnd(16)}${reason ?? used(provider)}`);
      }
      if (machine !== null && at !== null)
        lines.push(
          `Tested ${new Date(at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })} with ONNX Runtime ${machine.onnxruntime} on ${machine.processor}, ${machine.threads} ${machine.threads === 1 ? "thread" : "threads"}.`,
          "`tah providers --again` tests again.",
        );
      return lines.join("\n");
    }
  }
}

function used(provider: keyof typeof PROVIDER_NAMES): string {
  return `${PROVIDER_NAMES[provider]} is used.`;
}

function figures(outcome: ProviderOutcome): string {
  return outcome.kind === "right" ? `${Number(outcome.gflops.toPrecision(3))} GFLOP/s` : "";
}

/**
 * Has everything tested again and waits for the end.
 *
 * @throws Failure `providers-cut-short` when a pause ended it without a result
 */
export async function testedAgain(
  client: Pick<ApiClient, "call">,
  pause: () => Promise<unknown> = () => wait(LOOK_EVERY_MS),
): Promise<ProvidersReport> {
  const before = (await client.call("providers.get", {})).at;
  let report = await client.call("providers.test", {});
  while (report.phase === "testing") {
    await pause();
    report = await client.call("providers.get", {});
  }
  if (report.phase === "waiting" || (report.at !== null && report.at === before))
    throw new Failure(
      "providers-cut-short",
      "The test was cut short, as training may not run any more: what was known before still holds. " +
        "`tah why` says why; run `tah providers --again` later.",
    );
  return report;
}
