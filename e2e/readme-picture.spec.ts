import type { Page } from "@playwright/test";
import { expect, goTo, stepsLater, test } from "./fixture.ts";

const SIZE = { width: 1280, height: 840 };

async function picture(page: Page, name: string): Promise<void> {
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.mouse.move(0, 0);
  await page.waitForTimeout(400);
  await page.screenshot({ path: `docs/${name}.png` });
}

// TAH_README_PICTURE=1 npm run e2e -- readme-picture: draws the three pictures of the README anew.
test("the pictures of the README", async ({ dashboard, daemon }) => {
  test.setTimeout(600_000);
  await dashboard.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await dashboard.setViewportSize(SIZE);
  await expect
    .poll(async () => (await daemon.call("state.get", {})).run?.step ?? 0, { timeout: 500_000 })
    .toBeGreaterThan(80);
  await stepsLater(daemon, 1);
  // What is counted by the hour is shown a moment later.
  await dashboard.reload();
  await expect(dashboard.getByTestId("earned")).not.toHaveText(/^(–|0)$/, { timeout: 40_000 });
  await picture(dashboard, "dashboard");

  await goTo(dashboard, "Schedule");
  await dashboard.getByLabel("Only when I'm asleep").check();
  await picture(dashboard, "schedule");

  await goTo(dashboard, "Earnings");
  await dashboard.getByRole("button", { name: /^Claim\b/ }).click();
  await expect(dashboard.getByText(/Paid: /)).toBeVisible();
  await dashboard.getByRole("radio", { name: "Today" }).check();
  await expect(dashboard.getByRole("region", { name: "Arrived, as a table" })).toBeVisible({
    timeout: 30_000,
  });
  await dashboard.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await picture(dashboard, "earnings");
});
