import { say } from "../../src-protocol/say.ts";
import type { OtherComputers as Told } from "../../src-protocol/own-computers.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { amount, count, unitOf } from "../parts/format.ts";
import { Heard } from "../parts/heard.tsx";
import { useRows } from "../parts/rows-of.ts";
import { Row, Rows } from "../parts/rows.tsx";

const ASK_EVERY_MS = 10_000;

/** The owner's computers that work for the same network, beside this one: what each does, and what it has pending. */
export function OtherComputers() {
  const connection = useDashboard(({ connection }) => connection);
  const id = useDashboard(({ state }) => state?.network.id);
  const isOpen = useDashboard(({ connection }) => connection === "open");
  const now = useNow(15_000);
  const ask = async () => [await getBridge().call("network.computers", {})];
  const { rows, failure } = useRows(ask, `${connection} ${id} ${now}`, ASK_EVERY_MS);
  const [told] = rows ?? [];
  return (
    <section className={controls["card"]} aria-labelledby="others-title">
      <div className={controls["cardHead"]}>
        <h2 id="others-title" className={controls["cardTitle"]}>
          {say("Other computers of mine")}
        </h2>
        <p className={controls["hint"]}>{say("in this network, as it sees them")}</p>
      </div>
      {failure !== null && isOpen && <FailureNotice failure={failure} />}
      {told !== undefined && <ComputerList told={told} />}
    </section>
  );
}

export function ComputerList({ told: { keys, asset } }: { told: Told }) {
  if (keys.length === 0)
    return (
      <p className={controls["empty"]}>
        {say(
          "None is known here. One appears when it works with the same key, or when your payout address has signed for both: under Wallet, “Does the network pay there?”.",
        )}
      </p>
    );
  return (
    <Rows testId="other-computers">
      {keys.map(({ hotkey, computers, accruedRao, receipts, isShared }) => (
        <Row key={hotkey} name={<CopyText text={hotkey} what={say("hotkey")} />}>
          {computers.length === 0 ? (
            <p>{say("Not connected now.")}</p>
          ) : (
            computers.map((computer) => (
              <p key={computer.sessionKey}>
                {doing(computer)}
                {computer.reach !== "" && (
                  <span className={controls["hint"]}>
                    {" "}
                    <Heard text={computer.reach} />
                  </span>
                )}
              </p>
            ))
          )}
          <p className={controls["hint"]}>
            {isShared
              ? say("works with the same key: what it earns is in this computer's figures")
              : say("{amount} {unit} pending, {count, plural, one {# receipt} other {# receipts}}", {
                  amount: amount(accruedRao),
                  unit: unitOf(asset),
                  count: receipts,
                })}
          </p>
        </Row>
      ))}
    </Rows>
  );
}

function doing({ stage, isLive }: Told["keys"][number]["computers"][number]): string {
  if (stage === null) return say("Connected, waits for a slice.");
  const slice = { slice: count(stage + 1) };
  return isLive ? say("Trains slice {slice}.", slice) : say("Gets slice {slice} ready.", slice);
}
