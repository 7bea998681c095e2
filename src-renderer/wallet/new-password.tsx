import { say } from "../../src-protocol/say.ts";
import { TextField } from "../parts/text-field.tsx";
import styles from "./wallet.module.css";

/** Characters of a password. */
const LONGEST = 1024;

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
  return (
    <div className={styles["fields"]}>
      <TextField
        type="password"
        autoComplete="new-password"
        maxLength={LONGEST}
        label={isOptional ? say("Password (may be left empty)") : say("Password")}
        value={typed.password}
        onChange={(password) => onChange({ ...typed, password })}
      />
      {(!isOptional || typed.password !== "") && (
        <TextField
          type="password"
          autoComplete="new-password"
          maxLength={LONGEST}
          label={say("The same again")}
          value={typed.again}
          onChange={(again) => onChange({ ...typed, again })}
        />
      )}
    </div>
  );
}

/** A password that opens what there is. */
export function OldPassword({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <TextField
      label={say("Its password")}
      type="password"
      maxLength={LONGEST}
      value={value}
      onChange={onChange}
    />
  );
}
