import { say } from "../../src-protocol/say.ts";
import { useId } from "react";
import controls from "../parts/controls.module.css";
import styles from "./wallet.module.css";

export interface Typed {
  readonly password: string;
  readonly again: string;
}
export const NOTHING_TYPED: Typed = { password: "", again: "" };

/** A new password, typed twice. */
export function NewPassword({
  typed,
  onChange,
  isOptional = false,
}: {
  typed: Typed;
  onChange: (typed: Typed) => void;
  isOptional?: boolean;
}) {
  const id = useId();
  return (
    <div className={styles["fields"]}>
      <Field
        id={`${id}-first`}
        label={isOptional ? say("Password (may be left empty)") : say("Password")}
        value={typed.password}
        onChange={(password) => onChange({ ...typed, password })}
      />
      {(!isOptional || typed.password !== "") && (
        <Field
          id={`${id}-again`}
          label={say("The same again")}
          value={typed.again}
          onChange={(again) => onChange({ ...typed, again })}
        />
      )}
    </div>
  );
}

function Field({
  id,
  label,
  value,
  onChange,
}: {
  id: string;
  label: string;
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <p>
      <label htmlFor={id} className={controls["hint"]}>
        {label}
      </label>
      <input
        id={id}
        type="password"
        autoComplete="new-password"
        maxLength={1024}
        className={controls["field"]}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </p>
  );
}

/** A password that opens what there is. */
export function OldPassword({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const id = useId();
  return (
    <p className={styles["fields"]}>
      <label htmlFor={id} className={controls["hint"]}>
        {say("Its password")}
      </label>
      <input
        id={id}
        type="password"
        autoComplete="off"
        maxLength={1024}
        className={controls["field"]}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </p>
  );
}
