import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { _electron, expect, test as base, type ElectronApplication, type Page } from "@playwright/test";
import { electronBinary } from "../scripts/electron-binary.ts";
import { ensureRenderer } from "../scripts/renderer.ts";
import { buildShell } from "../scripts/shell-bundle.ts";
import { CONTRACT } from "../src-main/electron-double/contract.ts";
import { PAGE } from "../src-main/origin.ts";
import type { ShellBridge } from "../src-protocol/shell-bridge.ts";

/**
 * The shell on the real Electron. Where its binary is absent these are skipped, and say so; the
 * main-process logic tests in `src-main` run on a double, and do not take the place of these.
 */
const ROOT = join(import.meta.dirname, "..");
const binary = electronBinary();
const asRoot = process.platform === "linux" && process.getuid?.() === 0;
const whyNot =
  binary === null
    ? "the Electron binary is not installed (node node_modules/electron/install.js downloads it)"
    : asRoot
      ? "Electron's sandbox does not start as root"
      : null;

interface Desktop {
  app: ElectronApplication;
  page: Page;
}

const test = base.extend<{ desktop: Desktop }>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of what it needs here
  desktop: async ({}, use) => {
    await ensureRenderer(ROOT, () => {});
    await buildShell(ROOT);
    const home = mkdtempSync(join(tmpdir(), "tah desktop "));
    const app = await _electron.launch({
      executablePath: binary ?? "",
      args: [ROOT],
      env: { ...environment(), TAH_HOME: join(home, "data"), XDG_CONFIG_HOME: join(home, "config") },
    });
    try {
      await use({ app, page: await app.firstWindow() });
    } finally {
      await app.evaluate(({ app }) => app.quit()).catch(() => {});
      await app.close().catch(() => {});
      rmSync(home, { recursive: true, force: true, maxRetries: 10 });
    }
  },
});

// Once, by the runner that lists the tests: a suite that is skipped whole runs no hook.
if (whyNot !== null && process.env["TEST_WORKER_INDEX"] === undefined)
  process.stdout.write(`The Electron suite is skipped: ${whyNot}.\n`);
test.skip(whyNot !== null, whyNot ?? "");

test("opens the dashboard, connected with a daemon that it has started", async ({
  desktop: { app, page },
}) => {
  expect(page.url()).toBe(PAGE);
  await expect(page.getByTestId("state")).toBeVisible({ timeout: 45_000 });
  const versions = await app.evaluate(() => ({ ...process.versions }));
  process.stdout.write(
    `Electron ${versions["electron"]}, Node ${versions.node}, Chromium ${versions["chrome"]}\n`,
  );
});

test("the page has no Node, and three functions of the shell", async ({ desktop: { page } }) => {
  const seen = await page.evaluate(() => ({
    node: ["require", "process", "module", "Buffer"].filter((name) => name in globalThis),
    bridge: Object.keys((globalThis as unknown as { trainAtHome: object }).trainAtHome).sort(),
  }));
  expect(seen).toEqual({ node: [], bridge: ["call", "onConnection", "onMessage"] });
});

test("the page has no network, no permissions and cannot be led away", async ({ desktop: { app, page } }) => {
  const tried = await page.evaluate(async () => {
    const outcome = (attempt: Promise<unknown>) => attempt.then(() => "allowed").catch(() => "refused");
    return {
      fetch: await outcome(fetch("https://example.org/")),
      file: await outcome(fetch("file:///etc/hostname")),
      outside: await outcome(
        fetch("app://train-at-home/..%2fpackage.json").then((it) => it.ok || Promise.reject()),
      ),
      camera: await outcome(navigator.mediaDevices.getUserMedia({ video: true })),
      clipboard: await outcome(navigator.clipboard.readText()),
      opened: window.open("https://user:secret@example.org/") === null ? "refused" : "allowed",
    };
  });
  expect(new Set(Object.values(tried))).toEqual(new Set(["refused"]));
  await page.evaluate(() => (window.location.href = "https://example.org/?next=app://train-at-home/"));
  expect(page.url()).toBe(PAGE);
  expect(await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows().length)).toBe(1);
});

test("methods that are not in the table are refused", async ({ desktop: { page } }) => {
  for (const method of ["constructor", "__proto__", "evidence.report", "no.such"]) {
    const answer = await page.evaluate(
      (method) => (globalThis as unknown as { trainAtHome: ShellBridge }).trainAtHome.call(method, {}),
      method,
    );
    expect(answer).toMatchObject({ error: { code: "no-such-method" } });
  }
});

test("the double's rules are the real Electron's", async ({ desktop: { app } }) => {
  for (const { name, tried, comesTo } of CONTRACT)
    expect(await app.evaluate(tried as never), name).toEqual(comesTo);
});

test("closing the window hides it, and a second start shows it again", async ({ desktop: { app, page } }) => {
  await expect(page.getByTestId("state")).toBeVisible({ timeout: 45_000 });
  const visible = () =>
    app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows().map((window) => window.isVisible()));
  await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.close());
  await expect.poll(visible).toEqual([false]);
  await app.evaluate(({ app }) => app.emit("second-instance"));
  await expect.poll(visible).toEqual([true]);
});

test("Quit ends the daemon too", async ({ desktop: { app, page } }) => {
  await expect(page.getByTestId("state")).toBeVisible({ timeout: 45_000 });
  // It asks first whether work should go on; nobody is here to answer.
  await app.evaluate(({ dialog }) => {
    dialog.showMessageBox = async () => ({ response: 0, checkboxChecked: false });
  });
  const closed = app.waitForEvent("close");
  await app.evaluate(({ app }) => app.quit());
  await closed;
});

function environment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
