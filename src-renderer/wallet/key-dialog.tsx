import { Dialog } from "@base-ui/react/dialog";
import { type ReactNode, useState } from "react";
import controls from "../parts/controls.module.css";
import styles from "./wallet.module.css";

/** A button that opens a dialog; what was typed in it is gone when it closes. */
export function KeyDialog({
  open,
  title,
  children,
}: {
  /** On the button. */
  open: string;
  title: string;
  children: (close: () => void) => ReactNode;
}) {
  const [isOpen, setOpen] = useState(false);
  return (
    <Dialog.Root open={isOpen} onOpenChange={setOpen}>
      <Dialog.Trigger className={controls["button"]}>{open}</Dialog.Trigger>
      <Dialog.Portal>
        <Dialog.Backdrop className={controls["backdrop"]} />
        <Dialog.Popup className={`${controls["dialog"]} ${styles["dialog"]}`}>
          <Dialog.Title>{title}</Dialog.Title>
          {isOpen && children(() => setOpen(false))}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
