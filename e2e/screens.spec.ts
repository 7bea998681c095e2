import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { ALWAYS, ONLY_WHEN_ASLEEP, type Rules } from "../src-protocol/policy.ts";
import { startNewDaemon } from "./daemon-process.ts";
import { expect, goTo, SCREENS, stepsLater, test } from "./fixture.ts";

// `npm run e2e -- --screens`: pictures of every screen and state, in both themes and two sizes, to look at.
const FOLDER = join(import.meta.dirname, "artifacts");
const THEMES = ["dark", "light"] as const;
const SIZES = { desk: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } } as const;

/** In German a theme for each size is enough: words differ there, and not colours. */
const GERMAN = new Set(["dark-desk", "light-phone"]);

async function picture(page: Page, name: string): Promise<void> {
  for (const theme of THEMES) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      if (name.startsWith("german-") && !GERMAN.has(`${theme}-${size}`)) continue;
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await page.setViewportSize(viewport);
      await page.mouse.move(0, 0);
      await page.evaluate(() => window.scrollTo(0, 0));
      await page.waitForTimeout(250);
      await page.screenshot({ path: join(FOLDER, `${name}-${theme}-${size}.png`), fullPage: true });
    }
  }
}

/** What a screen shows last, when it has asked for more than the state. */
const ANSWERED: Partial<Record<(typeof SCREENS)[number], string>> = {
  Earnings: "main table",
  Wallet: "main [data-testid=hotkey]",
  Activity: "main time",
};

async function answered(page: Page, screen: (typeof SCREENS)[number]): Promise<void> {
  await expect(page.locator(ANSWERED[screen] ?? "main section").first()).toBeVisible();
}

/** Hours that are neither now nor soon, whatever the time is. */
function notNow(): Rules {
  const hour = (new Date().getHours() + 9) % 24;
  const text = (value: number) => `${String(value % 24).padStart(2, "0")}:00`;
  return {
    ...ALWAYS,
    schedule: "windows",
    windows: [
      {
        days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        from: text(hour),
        to: text(hour + 3),
      },
    ],
  };
}

test("pictures of every screen and state", async ({ dashboard, daemon }) => {
  // More than a hundred pictures, on a computer that trains meanwhile.
  test.setTimeout(1_500_000);
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  await stepsLater(daemon, 60);
  // What is counted by the hour is shown a moment later.
  await dashboard.reload();
  for (const screen of SCREENS) {
    await goTo(dashboard, screen);
    await answered(dashboard, screen);
    await picture(dashboard, `working-${screen.toLowerCase()}`);
  }
  for (const address of ["activity/network", "glossary"]) {
    await dashboard.evaluate((to) => window.location.assign(`#${to}`), address);
    await expect(dashboard.locator("main section").first()).toBeVisible();
    await picture(dashboard, `working-${address.replace("/", "-")}`);
  }

  const speak = async (language: string) => {
    await dashboard.evaluate((value) => localStorage.setItem("train-at-home.language", value), language);
    await dashboard.reload();
    await expect(dashboard.getByTestId("state")).toBeVisible();
  };
  await speak("de");
  for (const screen of SCREENS) {
    await dashboard.locator(`nav a[href="#${screen.toLowerCase()}"]`).click();
    await answered(dashboard, screen);
    await picture(dashboard, `german-${screen.toLowerCase()}`);
  }
  await speak("en");

  await goTo(dashboard, "Earnings");
  await dashboard.getByRole("button", { name: /^Claim\b/ }).click();
  await expect(dashboard.getByText(/Paid: /)).toBeVisible();
  await dashboard.getByRole("radio", { name: "Today" }).check();
  await picture(dashboard, "claimed-earnings");

  await daemon.call("policy.pause", { minutes: 45, by: "dashboard" });
  await expect(dashboard.getByTestId("state")).toHaveText("Paused");
  await expect.poll(async () => (await daemon.call("state.get", {})).node.phase).toBe("paused");
  await goTo(dashboard, "Home");
  await dashboard.waitForTimeout(1500);
  await picture(dashboard, "paused-home");
  await dashboard.getByRole("button", { name: "Start now" }).click();
  await expect(dashboard.getByRole("menu")).toBeVisible();
  await picture(dashboard, "menu-home");
  await dashboard.keyboard.press("Escape");
  await goTo(dashboard, "Wallet");
  await dashboard.getByRole("button", { name: "Make a key …" }).click();
  await picture(dashboard, "dialog-wallet");
  await dashboard.keyboard.press("Escape");
  await goTo(dashboard, "Home");

  await daemon.call("policy.resume", {});
  await daemon.call("policy.setRules", { rules: notNow() });
  await expect(dashboard.getByTestId("state")).toHaveText("Waiting");
  await dashboard.waitForTimeout(1500);
  await picture(dashboard, "waiting-home");

  await goTo(dashboard, "Schedule");
  await dashboard.getByLabel("Only when I'm asleep").check();
  await picture(dashboard, "asleep-schedule");
  await daemon.call("policy.setRules", { rules: ONLY_WHEN_ASLEEP });
  await daemon.call("policy.setRules", { rules: ALWAYS });
  await stepsLater(daemon, 20);
  await dashboard.evaluate(() => window.location.assign("#home"));

  let cut: (() => Promise<void>) | undefined;
  await dashboard.routeWebSocket("**/rpc", async (socket) => {
    if (cut === undefined) {
      socket.connectToServer();
      cut = () => socket.close();
    } else await socket.close();
  });
  await dashboard.reload();
  await expect(dashboard.getByTestId("loss-plot").locator("canvas")).toBeVisible();
  await dashboard.waitForTimeout(1500);
  await cut?.();
  await expect(dashboard.getByText(/not answering/)).toBeVisible({ timeout: 20_000 });
  for (const screen of ["Home", "Earnings"] as const) {
    await goTo(dashboard, screen);
    await picture(dashboard, `offline-${screen.toLowerCase()}`);
  }

  const first = await startNewDaemon("tiny");
  try {
    await dashboard.context().clearCookies();
    // A page of its own: the other one's socket stays cut.
    const page = await dashboard.context().newPage();
    await page.goto(first.url);
    await expect(page.getByTestId("signed-out")).toBeVisible();
    await picture(page, "signed-out");
    await page.goto(await first.loginUrl());
    for (const step of ["welcome", "computer", "when", "key", "network", "summary"]) {
      await expect(page.locator("main section, main fieldset").first()).toBeVisible();
      await picture(page, `first-${step}`);
      const buttons = page.locator("main > div:last-of-type > button");
      if (step !== "summary") await (step === "welcome" ? buttons.first() : buttons.last()).click();
    }
  } finally {
    await first.stop();
  }
  process.stdout.write(`${readdirSync(FOLDER).length} pictures in e2e/artifacts\n`);
});
