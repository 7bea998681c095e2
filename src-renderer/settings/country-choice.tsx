import { COUNTRIES, type Country, countryName } from "../../src-protocol/countries.ts";
import { say, spokenLocale } from "../../src-protocol/say.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import styles from "./settings.module.css";

/** Where this computer stands is said to nobody before its owner chooses it here, and can be taken back. */
export function CountryChoice({ country }: { country: Country | null }) {
  const isOpen = useDashboard(({ connection }) => connection === "open");
  const { busy, failure, run } = useAction();
  const choose = (chosen: Country | null) =>
    void run("choose", async () => {
      const { state, draft } = useDashboard.getState();
      if (state === null) return;
      await getBridge().call("policy.setRules", { rules: { ...state.rules, country: chosen } });
      // Hours that are being changed on the schedule keep what was chosen here.
      if (draft !== null) useDashboard.setState({ draft: { ...draft, country: chosen } });
    });
  return (
    <div className={styles["country"]}>
      <label className={styles["choice"]}>
        <span>{say("This computer stands in")}</span>
        <select
          className={controls["field"]}
          value={country ?? ""}
          disabled={!isOpen || busy !== null}
          onChange={({ target }) => choose(target.value === "" ? null : target.value)}
        >
          <option value="">{say("not said")}</option>
          {named(spokenLocale()).map(({ code, name }) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <p className={controls["hint"]}>
        {say(
          "Whoever operates your network may show on a public page how many computers are in which country. Yours is counted there only if you choose one, and as long as it is connected.",
        )}
      </p>
      {failure !== null && <FailureNotice failure={failure} />}
    </div>
  );
}

function named(locale: string): { code: Country; name: string }[] {
  const inOrder = new Intl.Collator(locale);
  return COUNTRIES.map((code) => ({ code, name: countryName(code, locale) })).toSorted((a, b) =>
    inOrder.compare(a.name, b.name),
  );
}
