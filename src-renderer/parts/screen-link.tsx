import type { ReactNode } from "react";
import type { Screen } from "../screen.ts";

/** A link within a sentence; the sentence gives its words. */
export function ScreenLink({ to, children }: { to: Screen; children?: ReactNode }) {
  return <a href={`#${to}`}>{children}</a>;
}
