import { Row, Rows } from "../parts/rows.tsx";
import { chooseProvider } from "../../src-protocol/provider-choice.ts";
import { say } from "../../src-protocol/say.ts";
import { useEffect, useState } from "react";
import { PROVIDER_NAMES, type ProvidersReport } from "../../src-protocol/providers.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { count } from "../parts/format.ts";
import { useAction } from "../parts/use-action.ts";
import styles from "./settings.module.css";

const LOOK_EVERY_MS = 400;

/** What this computer trains with, why, and a test of everything again. */
export function ComputesCard() {
  const connection = useDashboard(({ connection }) => connection);
  const [report, setReport] = useState<ProvidersReport | null>(null);
  const { busy, failure, run } = useAction();
  const isTesting = report?.phase === "testing";
  useEffect(() => {
    if (connection !== "open") return;
    const look = () =>
      void getBridge()
        .call("providers.get", {})
        .then(setReport, () => undefined);
    look();
    if (!isTesting) return;
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [connection, isTesting]);

  return (
    <section className={controls["card"]} aria-labelledby="computes-title">
      <div className={controls["cardHead"]}>
        <h2 id="computes-title" className={controls["cardTitle"]}>
          {say("What computes")}
        </h2>
        {report !== null && report.phase !== "off" && (
          <button
            type="button"
            className={controls["button"]}
            aria-disabled={busy !== null || isTesting}
            onClick={() =>
              isTesting ||
              void run("test", async () => setReport(await getBridge().call("providers.test", {})))
            }
          >
            {isTesting ? say("Testing …") : say("Test again")}
          </button>
        )}
      </div>
      {report !== null && <Report report={report} />}
      {failure !== null && <FailureNotice failure={failure} />}
    </section>
  );
}

function Report({ report: { phase, provider, machine, results, choice } }: { report: ProvidersReport }) {
  const told = choice === null ? null : chooseProvider(results);
  const measured = results.find((result) => result.provider === provider)?.outcome;
  return (
    <>
      <output className={styles["text"]}>
        {phase === "off" &&
          say("The processor. Train at Home was started without the test of what else there is.")}
        {phase === "waiting" && say("The processor. What else there is gets tested when training may run.")}
        {phase === "testing" &&
          say(
            "Testing: {count, plural, one {# result} other {# results}} so far. The processor trains meanwhile.",
            { count: results.length },
          )}
        {phase === "tested" && told?.text}
      </output>
      <Rows>
        {machine !== null && (
          <Row name={say("Processor")}>
            {say("{processor}; each worker uses {count, plural, one {# thread} other {# threads}}", {
              processor: machine.processor,
              count: machine.threads,
            })}
          </Row>
        )}
        {measured?.kind === "right" && (
          <Row name={say("Measured")}>
            {say("{gflops} GFLOP/s in a stage's matrix products, forward and backward", {
              gflops: count(measured.gflops),
            })}
          </Row>
        )}
        {(told?.aside ?? []).map(({ provider: other, text }) => (
          <Row key={other} name={say(PROVIDER_NAMES[other])}>
            {text}
          </Row>
        ))}
      </Rows>
    </>
  );
}
