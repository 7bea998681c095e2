import { say } from "../../src-protocol/say.ts";
import { Menu } from "@base-ui/react/menu";
import { useState } from "react";
import controls from "../parts/controls.module.css";
import { CustomTime } from "./custom-time.tsx";
import { ChevronIcon } from "../parts/icons.tsx";
import { type PauseChoice, pauseChoices } from "../../src-protocol/pause-choices.ts";

export interface PauseMenuProps {
  kind: "pause" | "start";
  /** Stands beside the main action. */
  isSecond?: boolean;
  onChoose: (minutes: number) => void;
  /** A pause without an end: at once, or when the step in hand is finished. */
  onPause?: (when: "now" | "after-step") => void;
  /** Offered when a manual start is what makes it run. */
  onBackToSchedule?: () => void;
}

/** Pause ▾ or Start now ▾. A start always has an end; a pause has one, or says that it has none. */
export function PauseMenu({ kind, isSecond = false, onChoose, onPause, onBackToSchedule }: PauseMenuProps) {
  const [open, setOpen] = useState(false);
  const [custom, setCustom] = useState(false);
  const [choices, setChoices] = useState<readonly PauseChoice[]>([]);
  const look = `${controls["button"]} ${kind === "start" && !isSecond ? controls["primary"] : ""}`;
  const change = (opens: boolean) => {
    // "Until 07:00" must be right when the menu opens, not when the page was drawn.
    if (opens) setChoices(pauseChoices(Date.now()));
    setOpen(opens);
  };
  return (
    <>
      <Menu.Root open={open} onOpenChange={change}>
        <Menu.Trigger className={look}>
          {kind === "pause" ? say("Pause") : say("Start now")}
          <ChevronIcon />
        </Menu.Trigger>
        <Menu.Portal>
          <Menu.Positioner className={controls["positioner"]} sideOffset={6} align="end">
            <Menu.Popup className={controls["popup"]}>
              {choices.map(({ label, minutes }) => (
                <Menu.Item key={label} className={controls["item"]} onClick={() => onChoose(minutes)}>
                  {label}
                </Menu.Item>
              ))}
              <Menu.Item className={controls["item"]} onClick={() => setCustom(true)}>
                {say("For another time …")}
              </Menu.Item>
              {onPause !== undefined && (
                <>
                  <Menu.Item className={controls["item"]} onClick={() => onPause("now")}>
                    {say("Until I resume it")}
                  </Menu.Item>
                  <Menu.Item className={controls["item"]} onClick={() => onPause("after-step")}>
                    {say("After this step, until I resume it")}
                  </Menu.Item>
                </>
              )}
              {onBackToSchedule !== undefined && (
                <>
                  <Menu.Separator className={controls["separator"]} />
                  <Menu.Item className={controls["item"]} onClick={onBackToSchedule}>
                    {say("Back to my schedule")}
                  </Menu.Item>
                </>
              )}
            </Menu.Popup>
          </Menu.Positioner>
        </Menu.Portal>
      </Menu.Root>
      <CustomTime kind={kind} open={custom} onOpenChange={setCustom} onChoose={onChoose} />
    </>
  );
}
