import type { ReactNode } from "react";
import controls from "./controls.module.css";

/** A table that may scroll within its box: the box can be reached and scrolled without a mouse. */
export function TableBox({ name, children }: { name: string; children: ReactNode }) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- see above
    <section className={controls["tableBox"]} tabIndex={0} aria-label={name}>
      <table className={controls["table"]}>{children}</table>
    </section>
  );
}
