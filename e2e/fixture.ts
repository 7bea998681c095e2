import { test as base, expect, type Page } from "@playwright/test";
import { ALWAYS } from "../src-protocol/policy.ts";
import { type DaemonProcess, startDaemon } from "./daemon-process.ts";

export { expect };

/** By the names of their links, in order. */
export const SCREENS = [
  "Home",
  "Schedule",
  "Earnings",
  "Model",
  "Network",
  "Wallet",
  "Activity",
  "Settings",
] as const;

interface Given {
  /** Signed in, on Home, with the daemon's first state shown and the default rules. */
  dashboard: Page;
}

/** One daemon for all tests of a runner process; every test finds it with its default rules. */
export const test = base.extend<Given, { daemon: DaemonProcess }>({
  daemon: [
    // Playwright reads the names of what a fixture needs from its first parameter: none here.
    // oxlint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const daemon = await startDaemon(process.env["TAH_README_PICTURE"] === undefined ? "tiny" : "default");
      try {
        await use(daemon);
      } finally {
        await daemon.stop();
      }
    },
    { scope: "worker", timeout: 90_000 },
  ],
  dashboard: async ({ daemon, page }, use) => {
    await daemon.call("policy.resume", {});
    await daemon.call("policy.setRules", { rules: ALWAYS });
    await page.goto(await daemon.loginUrl());
    await expect(page.getByTestId("state")).toBeVisible();
    await use(page);
  },
});

/** Goes to a screen by its link, as a person would. */
export async function goTo(page: Page, screen: (typeof SCREENS)[number]): Promise<void> {
  await page.getByRole("navigation", { name: "Screens" }).getByRole("link", { name: screen }).click();
  await expect(page.getByRole("heading", { level: 1, name: screen })).toBeAttached();
}

/** Waits until the daemon has finished `steps` more steps. */
export async function stepsLater(daemon: DaemonProcess, steps: number): Promise<void> {
  const step = async () => (await daemon.call("state.get", {})).run?.step ?? 0;
  const before = await step();
  await expect.poll(step, { timeout: 45_000 }).toBeGreaterThanOrEqual(before + steps);
}
