import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";

type Violations = Awaited<ReturnType<AxeBuilder["analyze"]>>["violations"];

/** Which of axe's rules the page, or a part of it, breaks. */
export async function audit(page: Page, part?: string): Promise<Violations> {
  // Else axe opens a page of its own to put the results of frames together, which takes longer than the rest: there are none.
  const axe = new AxeBuilder({ page }).setLegacyMode(true);
  return (await (part === undefined ? axe : axe.include(part)).analyze()).violations;
}
