import type { Page } from "@playwright/test";
import { ALWAYS } from "../src-protocol/policy.ts";
import { audit } from "./audit.ts";
import type { DaemonProcess } from "./daemon-process.ts";
import { expect, goTo, SCREENS, stepsLater, test } from "./fixture.ts";

/** @param part of the page alone; else all of it */
async function seriousProblems(page: Page, part?: string): Promise<string[]> {
  // A menu that still fades in has the contrast of a ghost.
  await page.waitForFunction(() =>
    document.getAnimations().every(({ playState }) => playState !== "running"),
  );
  return (await audit(page, part))
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

/** 640 is a window of 1280 at 200 % zoom, 360 one of 720. */
const WIDTHS = [720, 640, 360];

/** How far a screen scrolls sideways, at each width. */
async function sideways(page: Page): Promise<number[]> {
  const beyond: number[] = [];
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    beyond.push(
      await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
    );
  }
  return beyond;
}

const OF_ALL_STATES = ["Home", "Schedule", "Earnings"] as const;

/** Paused, as it is now, and then outside of its hours. */
async function whileWaiting(page: Page, daemon: DaemonProcess): Promise<void> {
  await goTo(page, "Home");
  await expect(page.getByTestId("state")).toHaveText("Paused");
  expect(await seriousProblems(page), "Home, paused").toEqual([]);
  await daemon.call("policy.setRules", { rules: { ...ALWAYS, schedule: "windows", windows: [] } });
  await daemon.call("policy.resume", {});
  await expect(page.getByTestId("state")).toHaveText("Waiting");
  for (const screen of OF_ALL_STATES) {
    await goTo(page, screen);
    expect(await seriousProblems(page), `${screen}, waiting`).toEqual([]);
  }
}

/** The page has lost the daemon, and shows what it knew. */
async function whileOffline(page: Page): Promise<void> {
  let cut: (() => Promise<void>) | undefined;
  await page.routeWebSocket("**/rpc", async (socket) => {
    if (cut !== undefined) return socket.close();
    socket.connectToServer();
    cut = () => socket.close();
  });
  await page.reload();
  await goTo(page, "Earnings");
  await expect(page.getByRole("table").last()).toBeVisible();
  await cut?.();
  await expect(page.getByRole("main").getByText("Connection lost.")).toBeVisible();
  for (const screen of OF_ALL_STATES) {
    await goTo(page, screen);
    expect(await seriousProblems(page), `${screen}, offline`).toEqual([]);
  }
  await goTo(page, "Home");
  const dial = page.getByRole("region", { name: "Day and night" });
  await expect(dial).toContainText("No connection");
  await expect(dial).not.toContainText("Working");
}

for (const theme of ["dark", "light"] as const) {
  test(`every screen is open to everybody in the ${theme} theme`, async ({ dashboard, daemon }) => {
    test.setTimeout(240_000);
    await dashboard.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    await stepsLater(daemon, 20);
    for (const screen of SCREENS) {
      await goTo(dashboard, screen);
      // Home is looked through while it trains. The others are the same when it does not, and all is quicker.
      if (screen === "Schedule") await daemon.call("policy.pause", { minutes: 30, by: "dashboard" });
      if (screen === "Schedule") await dashboard.getByLabel("Only when I'm asleep").check();
      if (screen === "Earnings") await expect(dashboard.getByRole("table").last()).toBeVisible();
      expect(await seriousProblems(dashboard), screen).toEqual([]);
      // Widths are the same in both themes.
      if (theme === "dark") expect(await sideways(dashboard), screen).toEqual(WIDTHS.map(() => 0));
      await dashboard.setViewportSize({ width: 1280, height: 860 });
    }
    // Each state with a theme: what is drawn is the same, and colours are those of above.
    if (theme === "dark") await whileWaiting(dashboard, daemon);
    else await whileOffline(dashboard);
  });

  test(`menu, dialog and table are open to everybody in the ${theme} theme`, async ({ dashboard }) => {
    await dashboard.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    await dashboard.getByRole("button", { name: "Show as table" }).click();
    expect(await seriousProblems(dashboard, "main table"), "table").toEqual([]);
    await dashboard.getByRole("button", { name: "Pause" }).click();
    await expect(dashboard.getByRole("menuitem", { name: "For 30 minutes" })).toBeVisible();
    expect(await seriousProblems(dashboard, "[role=menu]"), "menu").toEqual([]);
    await dashboard.getByRole("menuitem", { name: "For another time" }).click();
    await expect(dashboard.getByRole("dialog")).toBeVisible();
    expect(await seriousProblems(dashboard, "[role=dialog]"), "dialog").toEqual([]);
  });
}

test("the theme can be chosen and is remembered", async ({ dashboard }) => {
  await dashboard.emulateMedia({ colorScheme: "dark" });
  const background = () =>
    dashboard.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  expect(await background()).toBe("rgb(13, 17, 23)");
  await dashboard.getByRole("radio", { name: "Light" }).check();
  expect(await background()).toBe("rgb(247, 246, 243)");
  await dashboard.reload();
  await expect(dashboard.getByTestId("state")).toBeVisible();
  expect(await background()).toBe("rgb(247, 246, 243)");
});

test("nothing moves for who has asked for less motion", async ({ dashboard }) => {
  await dashboard.getByRole("button", { name: "Pause" }).click();
  await expect(dashboard.getByRole("menu")).toBeVisible();
  const moving = () =>
    dashboard.evaluate(
      () =>
        [...document.querySelectorAll("*")]
          .flatMap((element) => [null, "::before", "::after"].map((part) => getComputedStyle(element, part)))
          .filter(
            ({ transitionDuration, animationName, scrollBehavior }) =>
              /[1-9]/.test(transitionDuration) || animationName !== "none" || scrollBehavior === "smooth",
          ).length,
    );
  await dashboard.emulateMedia({ reducedMotion: "no-preference" });
  expect(await moving()).toBeGreaterThan(0);
  await dashboard.emulateMedia({ reducedMotion: "reduce" });
  expect(await moving()).toBe(0);
});
