import { say } from "../../src-protocol/say.ts";
import controls from "./controls.module.css";

/** The end of a form: back, or what it is for. */
export function FormActions({
  submit,
  isReady = true,
  isBusy,
  onCancel,
}: {
  /** On the button, and while it is being done. */
  submit: string;
  isReady?: boolean;
  isBusy: boolean;
  onCancel: () => void;
}) {
  return (
    <div className={controls["actions"]}>
      <button type="button" className={controls["button"]} onClick={onCancel}>
        {say("Cancel")}
      </button>
      <button
        type="submit"
        className={`${controls["button"]} ${isReady ? controls["primary"] : ""}`}
        aria-disabled={!isReady || isBusy}
      >
        {submit}
      </button>
    </div>
  );
}
