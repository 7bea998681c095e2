import { expect, stepsLater, test } from "./fixture.ts";

// TAH_README_PICTURE=1 npx playwright test readme-picture: draws the picture of the README anew.
test("the picture of the README", async ({ dashboard, daemon }) => {
  test.setTimeout(240_000);
  await dashboard.emulateMedia({ colorScheme: "dark" });
  await dashboard.setViewportSize({ width: 1280, height: 950 });
  await expect
    .poll(async () => (await daemon.call("state.get", {})).run?.step ?? 0, { timeout: 200_000 })
    .toBeGreaterThan(80);
  await stepsLater(daemon, 1);
  await dashboard.screenshot({ path: "docs/dashboard.png" });
});
