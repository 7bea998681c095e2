import { loadavg } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { chromium } from "@playwright/test";
import type { Page } from "@playwright/test";
import { startDaemon } from "../e2e/daemon-process.ts";
import type { DaemonProcess } from "../e2e/daemon-process.ts";
import browser from "../playwright.config.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { median } from "./median.ts";

const LOADS = 7;
const SETTLE_MS = 3_000;

export interface DashboardBenchResult {
  readonly loads: number;
  /** From the daemon's first byte to the state and what was earned on Home, milliseconds; the computer trains meanwhile. */
  readonly usableMs: number;
  readonly slowestMs: number;
  /** The same while it rests. */
  readonly usableAtRestMs: number;
  /** Code and styles that the page loads, in bytes of gzip. */
  readonly gzipBytes: number;
  /** Web Vitals, from the first paint on while numbers change; the largest of all loads. */
  readonly layoutShift: number;
  readonly load: number;
}

/** How soon Home says what it has to say. */
export async function benchDashboard(
  say: Progress,
  { runs = LOADS }: BenchOptions,
): Promise<DashboardBenchResult> {
  const daemon = await startDaemon("default");
  const chrome = await chromium.launch(browser.use?.launchOptions ?? {});
  try {
    const context = await chrome.newContext({ viewport: { width: 1280, height: 860 } });
    const page = await context.newPage();
    let gzipBytes = 0;
    page.on("response", (response) => {
      if (!/\.(js|css)$/.test(response.url())) return;
      void response.body().then((body) => (gzipBytes += gzipSync(body).length));
    });
    await page.addInitScript(watch);
    await page.goto(await daemon.loginUrl());
    await looked(page);
    await working(daemon);
    const packed = gzipBytes;
    const busy = await loads(page, runs, say);
    await daemon.call("policy.pause", { minutes: null, by: "dashboard" });
    await wait(SETTLE_MS);
    const resting = await loads(page, runs, say);
    return {
      loads: runs,
      usableMs: Math.round(median(busy.map(({ usableMs }) => usableMs))),
      slowestMs: Math.round(Math.max(...busy.map(({ usableMs }) => usableMs))),
      usableAtRestMs: Math.round(median(resting.map(({ usableMs }) => usableMs))),
      gzipBytes: packed,
      layoutShift: Number(Math.max(...busy.map(({ shift }) => shift)).toFixed(4)),
      load: Number((loadavg()[0] ?? 0).toFixed(1)),
    };
  } finally {
    await chrome.close();
    await daemon.stop();
  }
}

interface Seen {
  usableMs: number;
  shift: number;
}

async function loads(page: Page, runs: number, say: Progress): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (let run = 0; run < runs; run += 1) {
    await page.reload();
    const one = await looked(page);
    say(`usable after ${Math.round(one.usableMs)} ms`);
    seen.push(one);
  }
  return seen;
}

async function looked(page: Page): Promise<Seen> {
  await page.waitForFunction(
    () => (globalThis as unknown as { seen: { usableMs: number } }).seen.usableMs > 0,
  );
  await wait(SETTLE_MS);
  return page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen);
}

async function working(daemon: DaemonProcess): Promise<void> {
  while (((await daemon.call("state.get", {})).run?.step ?? 0) < 3) await wait(500);
}

/** In the page, before anything of it runs. */
function watch(): void {
  const seen = { usableMs: 0, shift: 0 };
  Object.assign(globalThis, { seen });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as unknown as { value: number }[]) seen.shift += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  const observer = new MutationObserver(() => {
    const told = ["state", "earned"].every(
      (name) => document.querySelector(`[data-testid=${name}]`) !== null,
    );
    if (!told) return;
    const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
    seen.usableMs = performance.now() - (navigation?.responseStart ?? 0);
    observer.disconnect();
  });
  observer.observe(document, { childList: true, subtree: true, characterData: true });
}
