import { defineConfig } from "@playwright/test";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const root = process.getuid?.() === 0;
const executablePath = systemChromium();

export default defineConfig({
  testDir: "e2e",
  // Pictures are drawn on request only.
  testIgnore: [
    ...(process.env["TAH_README_PICTURE"] === undefined ? ["readme-picture.spec.ts"] : []),
    ...(process.env["TAH_SCREENS"] === undefined ? ["screens.spec.ts"] : []),
  ],
  // A folder of its own: Playwright empties it, and other runners leave their reports next to it.
  outputDir: "test-results/browser",
  // The tests share one daemon, and a computer that trains at the same time.
  workers: 1,
  // A retry would hide a race.
  retries: 0,
  forbidOnly: true,
  // A busy computer takes many times as long as a quiet one.
  timeout: 120_000,
  expect: { timeout: 40_000 },
  reporter: [["list"], ["json", { outputFile: "test-results/playwright.json" }]],
  use: {
    browserName: "chromium",
    viewport: { width: 1280, height: 860 },
    // Recording every step takes as long again as the step; a failure is looked at with TAH_TRACE=1.
    trace: process.env["TAH_TRACE"] === undefined ? "off" : "retain-on-failure",
    screenshot: "only-on-failure",
    launchOptions: {
      ...(executablePath === undefined ? {} : { executablePath }),
      // Chromium's sandbox does not start as root.
      chromiumSandbox: !root,
      args: [
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});

/** `TAH_CHROMIUM`, else a Chromium or Chrome on the path; undefined: Playwright's own. */
function systemChromium(): string | undefined {
  const named = process.env["TAH_CHROMIUM"];
  if (named !== undefined && named !== "") return named;
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((folder) =>
      ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].map((name) =>
        join(folder, name),
      ),
    )
    .find((path) => existsSync(path));
}
