import { say } from "../../src-protocol/say.ts";
import { Dialog } from "@base-ui/react/dialog";
import { type FormEvent, useId, useState } from "react";
import controls from "../parts/controls.module.css";
import styles from "./custom-time.module.css";
import { customMinutes } from "./custom-minutes.ts";

export interface CustomTimeProps {
  kind: "pause" | "start";
  open: boolean;
  onOpenChange: (open: boolean) => void;
  onChoose: (minutes: number) => void;
}

/** Hours and minutes for a pause or a start. */
export function CustomTime({ kind, open, onOpenChange, onChoose }: CustomTimeProps) {
  const [hours, setHours] = useState("1");
  const [minutes, setMinutes] = useState("0");
  const [problem, setProblem] = useState<string | null>(null);
  const problemId = useId();

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const total = customMinutes(hours, minutes);
    if (typeof total === "string") return setProblem(total);
    setProblem(null);
    onOpenChange(false);
    onChoose(total);
  };

  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Backdrop className={controls["backdrop"]} />
        <Dialog.Popup className={controls["dialog"]}>
          <Dialog.Title>{kind === "pause" ? say("Pause for") : say("Run for")}</Dialog.Title>
          <Dialog.Description className={controls["hint"]}>
            {kind === "pause"
              ? say("Then your schedule applies again.")
              : say("Then your schedule applies again. Your safety rules hold all the time.")}
          </Dialog.Description>
          <form onSubmit={submit} noValidate>
            <div className={styles["fields"]}>
              <label>
                <span>{say("Hours")}</span>
                <input
                  className={controls["field"]}
                  type="number"
                  min="0"
                  max="168"
                  value={hours}
                  aria-describedby={problem === null ? undefined : problemId}
                  onChange={(event) => setHours(event.target.value)}
                />
              </label>
              <label>
                <span>{say("Minutes")}</span>
                <input
                  className={controls["field"]}
                  type="number"
                  min="0"
                  max="59"
                  value={minutes}
                  aria-describedby={problem === null ? undefined : problemId}
                  onChange={(event) => setMinutes(event.target.value)}
                />
              </label>
            </div>
            {problem !== null && (
              <p id={problemId} role="alert" className={styles["problem"]}>
                {problem}
              </p>
            )}
            <div className={controls["actions"]}>
              <Dialog.Close className={controls["button"]}>{say("Cancel")}</Dialog.Close>
              <button type="submit" className={`${controls["button"]} ${controls["primary"]}`}>
                {kind === "pause" ? say("Pause") : say("Start")}
              </button>
            </div>
          </form>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
