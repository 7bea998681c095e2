import type { Page } from "@playwright/test";
import { audit } from "./audit.ts";
import { startNewDaemon } from "./daemon-process.ts";
import { expect, SCREENS, stepsLater, test } from "./fixture.ts";

const PHONE = { width: 360, height: 780 };

/** What is not a message: sentences and names of the daemon are marked as English, commands and keys are code. */
const OTHERS = '[lang="en"], code, option';
/** Letters that only the pseudo-language has. */
const PSEUDO = /[áéíóúñçšžýÁÉÍÓÚÑÇŠŽÝ]/;
/** Figures with their units, days as `Intl` shortens them, and marks. */
const PLAIN = /^[\d.,:–\s]*(ms|s|h|min|GB|MB|kB|Mbit\/s|Mon|Tue|Wed|Thu|Fri|Sat|Sun)?$/;

/** What a screen shows last, when it has asked for more than the state. */
const ANSWERED: Partial<Record<(typeof SCREENS)[number], string>> = {
  Earnings: "main table",
  Wallet: "main [data-testid=hotkey]",
  Activity: "main time",
};

/** What can be read on the page, or is read out, and is in no language that was chosen. */
async function notTranslated(page: Page): Promise<string[]> {
  const texts = await page.evaluate((others) => {
    const found: string[] = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const element = node.parentElement;
      if (element?.checkVisibility() === true && element.closest(others) === null)
        found.push(node.textContent ?? "");
    }
    for (const name of ["aria-label", "placeholder", "title"])
      for (const element of document.querySelectorAll(`[${name}]`))
        if (element.closest(others) === null) found.push(element.getAttribute(name) ?? "");
    return found.map((text) => text.trim());
  }, OTHERS);
  return texts.filter((text) => /\p{L}/u.test(text) && !PSEUDO.test(text) && !PLAIN.test(text));
}

async function sideways(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

async function speak(page: Page, language: string): Promise<void> {
  await page.evaluate((value) => localStorage.setItem("train-at-home.language", value), language);
  await page.reload();
  await expect(page.getByTestId("state")).toBeVisible();
}

/** Each screen in turn, in whatever language; its first answers of the daemon are there. */
async function eachScreen(page: Page, look: (screen: string) => Promise<void>): Promise<void> {
  for (const screen of SCREENS) {
    const link = page.locator(`nav a[href="#${screen.toLowerCase()}"]`);
    await link.click();
    await expect(link).toHaveAttribute("aria-current", "page");
    await expect(page.locator(ANSWERED[screen] ?? "main section").first()).toBeVisible();
    await look(screen);
  }
}

test("in a language that is longer, no screen keeps a word of English and none scrolls sideways on a phone", async ({
  dashboard,
  daemon,
}) => {
  test.setTimeout(180_000);
  await stepsLater(daemon, 2);
  await speak(dashboard, "pseudo");
  await eachScreen(dashboard, async (screen) => {
    expect(await notTranslated(dashboard), screen).toEqual([]);
  });
  await dashboard.setViewportSize(PHONE);
  await eachScreen(dashboard, async (screen) => {
    expect(await sideways(dashboard), screen).toBe(0);
  });
});

test("the first minutes and the sign-in page are in the language too", async ({ page }) => {
  test.setTimeout(120_000);
  const daemon = await startNewDaemon("tiny");
  try {
    await page.setViewportSize(PHONE);
    await page.addInitScript(() => localStorage.setItem("train-at-home.language", "pseudo"));
    await page.goto(daemon.url);
    await expect(page.getByTestId("signed-out")).toBeVisible();
    expect(await notTranslated(page), "sign-in").toEqual([]);
    await page.goto(await daemon.loginUrl());
    for (const step of ["welcome", "computer", "when", "key", "network", "summary"]) {
      await expect(page.locator("h1")).toBeVisible();
      await expect(page.locator("main section, main fieldset").first()).toBeVisible();
      expect(await notTranslated(page), step).toEqual([]);
      expect(await sideways(page), step).toBe(0);
      // The way on: the first button of the first step, and the last one of the others.
      const buttons = page.locator("main > div:last-of-type > button");
      if (step !== "summary") await (step === "welcome" ? buttons.first() : buttons.last()).click();
    }
  } finally {
    await daemon.stop();
  }
});

test("German is chosen in the settings, remembered, and left again", async ({ dashboard }) => {
  const main = dashboard.getByRole("main");
  const title = (name: string) => main.getByRole("heading", { level: 1, name });
  await dashboard.getByRole("link", { name: "Settings" }).click();
  await main.getByRole("combobox", { name: "Language" }).focus();
  await main.getByRole("combobox", { name: "Language" }).selectOption("Deutsch");
  await expect(title("Einstellungen")).toBeVisible();
  await expect(dashboard.locator("html")).toHaveAttribute("lang", "de");
  // Whoever chose it is still there.
  await expect(main.getByRole("combobox", { name: "Sprache" })).toBeFocused();
  await expect(dashboard.getByTestId("state")).toHaveText("Arbeitet");

  await dashboard.reload();
  await expect(title("Einstellungen")).toBeVisible();
  await dashboard.getByRole("link", { name: "Start", exact: true }).click();
  await expect(dashboard.getByTestId("reason")).toHaveText("Der Zeitplan erlaubt jede Zeit.");
  await expect(main.getByRole("heading", { name: "Heute" })).toBeVisible();

  await dashboard.getByRole("link", { name: "Einstellungen" }).click();
  await main.getByRole("combobox", { name: "Sprache" }).selectOption("English");
  await expect(title("Settings")).toBeVisible();
  await expect(dashboard.locator("html")).toHaveAttribute("lang", "en");
});

test("German breaks no rule of accessibility, and fits a phone", async ({ dashboard }) => {
  test.setTimeout(120_000);
  await speak(dashboard, "de");
  await eachScreen(dashboard, async (screen) => {
    // axe takes seconds a screen: of all of them it is asked in English, of those with the longest words here too.
    if (screen !== "home" && screen !== "settings") return;
    expect(
      (await audit(dashboard)).map(({ id }) => id),
      screen,
    ).toEqual([]);
  });
  await dashboard.setViewportSize(PHONE);
  await eachScreen(dashboard, async (screen) => {
    expect(await sideways(dashboard), screen).toBe(0);
  });
});

test.describe("a reader whose system is German", () => {
  test.use({ locale: "de-AT" });
  test("reads German, with its figures, without choosing it", async ({ dashboard }) => {
    await expect(dashboard.locator("html")).toHaveAttribute("lang", "de");
    await expect(dashboard.getByTestId("loss")).toHaveText(/^\d,\d{3}$/);
  });
});
