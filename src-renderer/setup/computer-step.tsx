import { Row, Rows } from "../parts/rows.tsx";
import { chooseProvider } from "../../src-protocol/provider-choice.ts";
import { say } from "../../src-protocol/say.ts";
import { useEffect, useState } from "react";
import { PROVIDER_NAMES, type ProvidersReport } from "../../src-protocol/providers.ts";
import type { MethodResult } from "../../src-protocol/methods.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { count, rough } from "../parts/format.ts";
import { useAction } from "../parts/use-action.ts";
import { largestSlice, tokensPerSecond } from "./steps.ts";
import styles from "./setup.module.css";

const LOOK_EVERY_MS = 400;
/** What speeds are told in: a model of this many parameters. */
const YARDSTICK = 100e6;

/** Cores, memory, room; and, when it is asked for, a test of what it trains fastest with. */
export function ComputerStep() {
  const [computer, setComputer] = useState<MethodResult<"setup.computer"> | null>(null);
  const [report, setReport] = useState<ProvidersReport | null>(null);
  const { busy, failure, run } = useAction();
  useEffect(() => {
    void run("look", async () => {
      setComputer(await getBridge().call("setup.computer", {}));
      setReport(await getBridge().call("providers.get", {}));
    });
    // Once, when the step is shown.
    // oxlint-disable-next-line react/exhaustive-deps
  }, []);
  const isTesting = report?.phase === "testing";
  useEffect(() => {
    if (!isTesting) return;
    const timer = setInterval(() => {
      getBridge()
        .call("providers.get", {})
        .then(setReport, () => undefined);
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [isTesting]);
  const test = () => void run("test", async () => setReport(await getBridge().call("providers.test", {})));

  return (
    <>
      <section className={controls["card"]} aria-label={say("This computer")}>
        {computer === null ? (
          <p className={controls["hint"]}>{say("Looking …")}</p>
        ) : (
          <Rows>
            <Row name={say("Processor")}>
              {say("{processor}, {count, plural, one {# core} other {# cores}}", {
                processor: report?.machine?.processor ?? say("Processor"),
                count: computer.cores,
              })}
            </Row>
            <Row name={say("Memory")}>
              {say("{memory} GB: half of it holds a slice of about {parameters} parameters while it trains", {
                memory: (computer.memoryBytes / 1e9).toFixed(0),
                parameters: rough(Number(largestSlice(computer.memoryBytes).toPrecision(2))),
              })}
            </Row>
            <Row name={say("Free disk")}>
              {say("{size} GB", { size: (computer.freeDiskBytes / 1e9).toFixed(0) })}
            </Row>
          </Rows>
        )}
      </section>
      {report !== null && report.phase !== "off" && (
        <section className={controls["card"]} aria-labelledby="speed-title">
          <div className={controls["cardHead"]}>
            <h2 id="speed-title" className={controls["cardTitle"]}>
              {say("How fast is it?")}
            </h2>
            {report.phase !== "testing" && (
              <button
                type="button"
                className={controls["button"]}
                aria-disabled={busy !== null}
                onClick={test}
              >
                {report.phase === "tested" ? say("Test again") : say("Test it")}
              </button>
            )}
          </div>
          <Speed report={report} />
        </section>
      )}
      {failure !== null && <FailureNotice failure={failure} />}
    </>
  );
}

function Speed({ report: { phase, results, choice } }: { report: ProvidersReport }) {
  return (
    <>
      <output className={controls["hint"]}>
        {phase === "waiting" &&
          say(
            "It tries the processor and each graphics card, for about half a minute in all. You can leave it out: it is tested at the first start.",
          )}
        {phase === "testing" &&
          say("Testing … {count, plural, one {# result} other {# results}} so far.", {
            count: results.length,
          })}
        {phase === "tested" && choice !== null && chooseProvider(results).text}
      </output>
      {phase === "testing" && <progress className={styles["bar"]} aria-label={say("Testing")} />}
      <ul className={styles["results"]}>
        {results.map(({ provider, outcome }) =>
          outcome.kind === "absent" ? null : (
            <li key={provider}>
              <span>{say(PROVIDER_NAMES[provider])}</span>
              <span>
                {outcome.kind === "right"
                  ? say("about {tokens} tokens a second, of a model of 100M parameters", {
                      tokens: count(Number(tokensPerSecond(outcome.gflops, YARDSTICK).toPrecision(2))),
                    })
                  : say("cannot be used here")}
              </span>
            </li>
          ),
        )}
      </ul>
    </>
  );
}
