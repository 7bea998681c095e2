import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useState } from "react";
import type { PricedAsset, Prices } from "../../src-protocol/price.ts";
import type { Rules } from "../../src-protocol/policy.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { type Asset, unitOf } from "../parts/format.ts";
import { useRows } from "../parts/rows-of.ts";
import { TextField } from "../parts/text-field.tsx";
import { useAction } from "../parts/use-action.ts";
import styles from "./price-card.module.css";
import { electricityOf, priceOf, type Typed } from "./price-words.ts";
import { withPoint } from "../../src-protocol/amounts.ts";

/** What electricity costs and what a unit is worth: entered by hand, never looked up. */
export function PriceCard() {
  const asset = useDashboard(({ state }) => state?.earnings.asset ?? "test");
  const rules = useDashboard(({ state }) => state?.rules ?? null);
  if (rules === null) return null;
  return (
    <section id="prices" className={controls["card"]} aria-labelledby="prices-title">
      <div className={controls["cardHead"]}>
        <h2 id="prices-title" className={controls["cardTitle"]}>
          {say("Electricity and prices")}
        </h2>
        <p className={controls["hint"]}>{say("as you enter them; nothing is looked up")}</p>
      </div>
      <div className={styles["forms"]}>
        <ElectricityForm key={JSON.stringify(rules.electricity)} known={rules.electricity} />
        {asset === "test" ? (
          <p className={controls["hint"]}>
            {say("Test units are worth nothing: a price for them cannot be entered.")}
          </p>
        ) : (
          <UnitPrice asset={asset} />
        )}
      </div>
    </section>
  );
}

type Electricity = Rules["electricity"];

function ElectricityForm({ known }: { known: Electricity }) {
  const fields = {
    price: known === null ? "" : withPoint(String(known.pricePerKwh)),
    watts: known === null || known.watts === null ? "" : withPoint(String(known.watts)),
  };
  const save = async (electricity: Electricity) => {
    const { state, draft } = useDashboard.getState();
    if (state === null) return;
    await getBridge().call("policy.setRules", { rules: { ...state.rules, electricity } });
    // Hours that are being changed on the schedule keep what was entered here.
    if (draft !== null) useDashboard.setState({ draft: { ...draft, electricity } });
  };
  return (
    <PriceForm
      title={say("Electricity")}
      about={say(
        "Then what electricity costs stands beside what was earned, and forecasts take it off. Watts are what work draws more than rest; where the computer measures them, the field may stay empty.",
      )}
      fields={fields}
      labels={{
        price: say("Price of a kWh, in your currency"),
        watts: say("Watts, empty: as measured"),
      }}
      isKnown={known !== null}
      typed={({ price, watts }) => electricityOf(price, watts)}
      save={save}
    />
  );
}

function UnitPrice({ asset }: { asset: Exclude<Asset, "test"> & PricedAsset }) {
  const [version, setVersion] = useState(0);
  const connection = useDashboard(({ connection }) => connection);
  const ask = async (): Promise<Prices[]> => [(await getBridge().call("price.get", {})).prices];
  const { rows, failure } = useRows(ask, `${connection} ${version}`, 0);
  const [known] = rows ?? [];
  if (failure !== null && connection === "open") return <FailureNotice failure={failure} />;
  if (known === undefined) return null;
  const entered = known[asset];
  return (
    <PriceForm
      key={`${asset} ${entered?.at}`}
      title={say("What 1 {unit} is worth", { unit: unitOf(asset) })}
      about={say("Then what has arrived is shown in your currency too, with this price's source and date.")}
      fields={{
        price: withPoint(entered?.price ?? ""),
        currency: entered?.currency ?? "",
        source: entered?.source ?? "",
      }}
      labels={{
        price: say("Price"),
        currency: say("Currency, such as EUR"),
        source: say("Read where"),
      }}
      isKnown={entered !== undefined}
      typed={({ price, currency, source }) => priceOf(price, currency, source)}
      save={async (price) => {
        await getBridge().call("price.set", { asset, entered: price });
        setVersion((before) => before + 1);
      }}
    />
  );
}

/** Fields that are saved together, taken back before that, or forgotten. */
function PriceForm<Field extends string, Value>({
  title,
  about,
  fields,
  labels,
  isKnown,
  typed,
  save,
}: {
  title: string;
  about: string;
  fields: Readonly<Record<Field, string>>;
  labels: Readonly<Record<Field, string>>;
  isKnown: boolean;
  typed: (fields: Readonly<Record<Field, string>>) => Typed<Value>;
  save: (value: Value | null) => Promise<void>;
}) {
  const [draft, setDraft] = useState(fields);
  const [refusal, setRefusal] = useState<string | null>(null);
  const { busy, failure, run } = useAction();
  const isOpen = useDashboard(({ connection }) => connection === "open");
  const names = Object.keys(labels) as Field[];
  const isChanged = names.some((name) => draft[name] !== fields[name]);
  const isReady = isChanged && isOpen && busy === null;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!isReady) return;
    const { value, refusal } = typed(draft);
    setRefusal(refusal ?? null);
    if (value !== undefined) await run("save", () => save(value));
  };
  const undo = () => {
    setDraft(fields);
    setRefusal(null);
  };
  return (
    <form className={styles["form"]} onSubmit={(event) => void submit(event)} noValidate aria-label={title}>
      <h3>{title}</h3>
      <p className={controls["hint"]}>{about}</p>
      <div className={styles["fields"]}>
        {names.map((name) => (
          <TextField
            key={name}
            label={labels[name]}
            maxLength={100}
            value={draft[name]}
            onChange={(text) => setDraft({ ...draft, [name]: text })}
          />
        ))}
      </div>
      {refusal !== null && <FailureNotice failure={{ code: "bad-price", message: refusal }} />}
      {failure !== null && <FailureNotice failure={failure} />}
      <div className={styles["actions"]}>
        <button
          type="submit"
          className={`${controls["button"]} ${isReady ? controls["primary"] : ""}`}
          aria-disabled={!isReady}
        >
          {busy === "save" ? say("Saving …") : say("Save")}
        </button>
        {isChanged && (
          <button type="button" className={controls["button"]} onClick={undo}>
            {say("Undo")}
          </button>
        )}
        {isKnown && !isChanged && (
          <button
            type="button"
            className={`${controls["button"]} ${controls["quiet"]}`}
            aria-disabled={!isOpen || busy !== null}
            onClick={() => void (isOpen && run("forget", () => save(null)))}
          >
            {say("Leave it out")}
          </button>
        )}
      </div>
    </form>
  );
}
