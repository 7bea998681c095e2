import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { type DaemonProcess, startNewDaemon } from "./daemon-process.ts";

const PICTURES = "test-results/screenshots";

/** What a reader of the screen hears of what has the focus; nothing while that is outside of the page's controls. */
const focusedName = (page: Page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    if (element === null || element === document.body) return "";
    const name = element.getAttribute("aria-label") ?? element.closest("label")?.textContent;
    return (name ?? element.textContent).trim();
  });

/**
 * Tab until a control of this name has the focus, as somebody without a mouse does: once it is there,
 * for behind the last control the focus leaves the page, and comes back with the next press.
 */
async function tabTo(page: Page, name: string): Promise<void> {
  await expect(page.getByText(name).first()).toBeVisible();
  for (let press = 0; press < 40; press += 1) {
    await page.keyboard.press("Tab");
    if ((await focusedName(page)).startsWith(name)) return;
  }
  throw new Error(`Nothing of the name ${name} is reached with Tab.`);
}

async function press(page: Page, name: string): Promise<void> {
  await tabTo(page, name);
  await page.keyboard.press("Enter");
}

async function look(page: Page, name: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(
    serious.map(({ id }) => id),
    name,
  ).toEqual([]);
  await page.screenshot({ path: `${PICTURES}/first-run-${name}.png`, fullPage: true });
}

const phaseOf = async (daemon: DaemonProcess) => (await daemon.call("state.get", {})).run?.phase ?? null;

test("from an empty data folder to the first earnings, by keyboard alone", async ({ page }) => {
  test.setTimeout(120_000);
  const daemon = await startNewDaemon("tiny");
  try {
    await page.emulateMedia({ reducedMotion: "reduce" });
    await page.goto(await daemon.loginUrl());
    await expect(page.getByRole("heading", { level: 1 })).toContainText("while you sleep");
    await look(page, "welcome");
    // Before the yes there is no run, no file of one, and nothing that computes.
    const before = await daemon.call("state.get", {});
    expect(before.decision).toEqual({ action: "pause", reasons: ["not-set-up"], nextChange: null });
    expect(before).toMatchObject({ run: null, network: { url: null } });

    await press(page, "Set it up");
    await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
    await expect(page.getByText(/parameters while it trains/)).toBeVisible();
    await press(page, "Test it");
    await expect(page.getByText(/tokens a second/).first()).toBeVisible({ timeout: 60_000 });
    await look(page, "computer");

    await press(page, "Continue");
    await expect(page.getByTestId("preview")).toContainText("23:00–07:00");
    await look(page, "when");
    await tabTo(page, "Only when I'm asleep");
    await page.keyboard.press("ArrowDown");
    await expect(page.getByTestId("preview")).toContainText("It may run at any hour.");

    await press(page, "Continue");
    await expect(page.getByText("It was made on this computer", { exact: false })).toBeVisible();
    await look(page, "key");
    await press(page, "Continue");
    await look(page, "network");
    await press(page, "Continue");
    await expect(page.getByText("Test units. They are worth nothing", { exact: false })).toBeVisible();
    await look(page, "summary");
    expect(await phaseOf(daemon)).toBeNull();

    await press(page, "Yes, begin");
    await expect(page.getByTestId("state")).toHaveText("Working", { timeout: 60_000 });
    await expect
      .poll(async () => BigInt((await daemon.call("state.get", {})).earnings.accruedRao) > 0n, {
        timeout: 30_000,
      })
      .toBe(true);
    await expect(page.getByTestId("earned")).not.toHaveText(/^(–|0)$/, { timeout: 40_000 });
  } finally {
    await daemon.stop();
  }
});

test("“Just show me” is one click", async ({ page }) => {
  const daemon = await startNewDaemon("tiny", "--no-probe");
  try {
    await page.goto(await daemon.loginUrl());
    await page.getByRole("button", { name: "Just show me" }).click();
    await expect(page.getByTestId("state")).toHaveText("Working", { timeout: 60_000 });
  } finally {
    await daemon.stop();
  }
});
