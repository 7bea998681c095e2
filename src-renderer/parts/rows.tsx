import type { ReactNode } from "react";
import styles from "./rows.module.css";

/** Names and what they are, a line each. */
export function Rows({ children, testId }: { children: ReactNode; testId?: string }) {
  return (
    <dl className={styles["rows"]} data-testid={testId}>
      {children}
    </dl>
  );
}

export function Row({ name, children }: { name: ReactNode; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
