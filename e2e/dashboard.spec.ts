import { gzipSync } from "node:zlib";
import { type Page } from "@playwright/test";
import { audit } from "./audit.ts";
import { expect, goTo, stepsLater, test } from "./fixture.ts";

/** The cell of the week grid in the night that begins on a day, half hours after noon. */
async function cellBox(page: Page, day: number, cell: number) {
  const box = await page
    .getByRole("grid")
    .getByRole("row")
    .nth(day)
    .getByRole("gridcell")
    .nth(cell)
    .boundingBox();
  if (box === null) throw new Error("the grid is not shown");
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

async function paint(page: Page, from: [day: number, cell: number], to: [day: number, cell: number]) {
  // A click on Save may have scrolled the page, and then the top line lies over the grid.
  await page.evaluate(() => window.scrollTo(0, 0));
  const start = await cellBox(page, ...from);
  const end = await cellBox(page, ...to);
  await page.mouse.move(start.x, start.y);
  await page.mouse.down();
  await page.mouse.move(end.x, end.y, { steps: 4 });
  await page.mouse.up();
}

/** Of the page's own record of what moved. */
interface Shift {
  readonly value: number;
  readonly startTime: number;
  readonly sources: readonly { node: Node | null; previousRect: DOMRect; currentRect: DOMRect }[];
}

/** Three days from now, so that no clock reaches it while the test runs. */
function farDay(): number {
  return (((new Date().getDay() + 6) % 7) + 3) % 7;
}

test("the loss falls while it trains, as a line, as a number and as a table", async ({
  dashboard,
  daemon,
}) => {
  await stepsLater(daemon, 40);
  await expect(dashboard.getByTestId("state")).toHaveText("Working");
  await expect(dashboard.getByTestId("loss-plot").locator("canvas")).toBeVisible();
  await expect(dashboard.getByText(/↓ \d+\.\d+ since it knew nothing/)).toBeVisible();
  const { points } = await daemon.call("run.history", {});
  expect(points.at(-1)?.loss).toBeLessThan((points[0]?.loss ?? 0) - 0.5);

  await dashboard.getByRole("button", { name: "Show as table" }).click();
  const rows = dashboard.getByRole("region", { name: "Loss as a table" }).getByRole("row");
  expect(await rows.count()).toBeGreaterThan(10);
  const newest = Number(await rows.nth(1).getByRole("cell").nth(1).textContent());
  const oldest = Number(await rows.last().getByRole("cell").nth(1).textContent());
  expect(newest).toBeLessThan(oldest - 0.5);
});

test("the page is small, and nothing jumps while it loads and its numbers change", async ({
  daemon,
  page,
}) => {
  const parts: Promise<number>[] = [];
  page.on("response", (response) => {
    if (/\.(js|css)$/.test(response.url())) parts.push(response.body().then((body) => gzipSync(body).length));
  });
  await page.addInitScript(() => {
    const sum = { shift: 0, moved: [] as string[] };
    Object.assign(window, { sum });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as unknown as Shift[]) {
        sum.shift += entry.value;
        const nodes = entry.sources.map(
          ({ node, previousRect: a, currentRect: b }) =>
            `${node?.textContent?.slice(0, 40)} ${a.x},${a.y},${a.width},${a.height} → ${b.x},${b.y},${b.width},${b.height}`,
        );
        sum.moved.push(
          `${entry.value.toFixed(4)} at ${Math.round(entry.startTime)} ms: ${nodes.join(" | ")}`,
        );
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(await daemon.loginUrl());
  await expect(page.getByTestId("loss-plot").locator("canvas")).toBeVisible();
  await stepsLater(daemon, 60);
  const { shift, moved } = await page.evaluate(
    () => (window as unknown as { sum: { shift: number; moved: string[] } }).sum,
  );
  // Web Vitals: the sum of shares of the page that moved, by how far.
  expect(shift, moved.join("\n")).toBeLessThan(0.01);
  const packed = (await Promise.all(parts)).reduce((sum, bytes) => sum + bytes, 0);
  expect(packed).toBeGreaterThan(50_000);
  expect(packed, "code and styles, in bytes of gzip").toBeLessThan(350_000);
  process.stdout.write(
    `layout shift ${shift.toFixed(4)}, code and styles ${Math.round(packed / 1000)} kB of gzip\n`,
  );
});

test("Home shows every slice of the model, mine as mine, neighbours as neighbours", async ({ dashboard }) => {
  const slices = dashboard.getByRole("region", { name: "The model" }).getByRole("listitem");
  await expect(slices).toHaveCount(3);
  await expect(slices.filter({ hasText: /you$/ })).toHaveCount(1);
  await expect(slices.filter({ hasText: "a neighbour on this computer" })).toHaveCount(2);
});

test("a schedule is painted, saved and obeyed", async ({ dashboard, daemon }) => {
  await goTo(dashboard, "Schedule");
  await dashboard.getByLabel("My own hours").check();
  // It begins with the nights, which are cleared as they are painted.
  // Tonight's, or in the night the next one's.
  await expect(dashboard.getByTestId("preview")).toContainText("23:00–07:00");
  await paint(dashboard, [0, 22], [6, 37]);
  await expect(dashboard.getByTestId("preview")).toContainText("it never runs by itself");
  await paint(dashboard, [farDay(), 28], [farDay(), 35]);
  await expect(dashboard.getByTestId("preview")).toContainText("02:00–06:00");
  await expect(dashboard.getByText("Not saved yet.")).toBeVisible();
  await dashboard.getByRole("button", { name: "Save" }).click();

  await expect(dashboard.getByTestId("state")).toHaveText("Waiting");
  await expect(dashboard.getByTestId("reason")).toContainText("outside your schedule");
  const { rules } = await daemon.call("state.get", {});
  expect(rules.windows).toEqual([{ days: [expect.any(String)], from: "02:00", to: "06:00" }]);

  // A block may cross the days, and a second drag over painted hours clears them.
  await paint(dashboard, [0, 0], [6, 47]);
  await expect(dashboard.getByTestId("preview")).toContainText("Every hour is chosen");
  await dashboard.getByRole("button", { name: "Save" }).click();
  await expect(dashboard.getByTestId("state")).toHaveText("Working");
  await expect(dashboard.getByTestId("reason")).toContainText("inside your schedule");
  await paint(dashboard, [0, 0], [6, 47]);
  await expect(dashboard.getByTestId("preview")).toContainText("it never runs by itself");
  await dashboard.getByRole("button", { name: "Undo" }).click();
  await expect(dashboard.getByTestId("preview")).toContainText("Every hour is chosen");
});

test("a schedule is painted without a mouse", async ({ dashboard, daemon }) => {
  const keys = dashboard.keyboard;
  const tabTo = async (what: ReturnType<Page["getByRole"]>) => {
    for (let presses = 0; presses < 80; presses += 1) {
      if (await what.evaluate((element) => element === document.activeElement)) return;
      await keys.press("Tab");
    }
    throw new Error("Tab does not reach it");
  };
  await tabTo(dashboard.getByRole("link", { name: "Schedule" }));
  await keys.press("Enter");
  await expect(dashboard.getByRole("heading", { level: 1, name: "Schedule" })).toBeFocused();
  await tabTo(dashboard.getByLabel("Any time"));
  await keys.press("ArrowDown");
  await keys.press("ArrowDown");
  await expect(dashboard.getByLabel("My own hours")).toBeChecked();
  // Choosing "asleep" on the way has filled the nights.
  const cell = (name: RegExp) => dashboard.getByRole("gridcell", { name });
  await tabTo(cell(/^Monday 23:00/));
  await keys.press("Space");
  await expect(cell(/^Monday 23:00/)).toHaveAttribute("aria-selected", "false");
  await keys.press("Home");
  await expect(cell(/^Monday 12:00/)).toBeFocused();
  await keys.press("Space");
  await keys.press("Shift+ArrowRight");
  await keys.press("Shift+ArrowDown");
  await expect(cell(/^Tuesday 12:30/)).toHaveAttribute("aria-selected", "true");
  await tabTo(dashboard.getByRole("button", { name: "Save" }));
  await keys.press("Enter");
  await expect
    .poll(async () => (await daemon.call("state.get", {})).rules.windows)
    .toContainEqual({
      days: ["mon", "tue"],
      from: "12:00",
      to: "13:00",
    });
});

test("hours are given in words, to the minute", async ({ dashboard, daemon }) => {
  await goTo(dashboard, "Schedule");
  await dashboard.getByLabel("My own hours").check();
  await dashboard.getByRole("button", { name: "Remove hours 1" }).click();
  await dashboard.getByRole("button", { name: "Add hours" }).click();
  await dashboard.getByRole("button", { name: "Sun" }).click();
  await dashboard.getByLabel("From").fill("2215");
  await dashboard.getByLabel("To", { exact: true }).fill("later");
  await expect(dashboard.getByText("A time like 23:00")).toBeVisible();
  await dashboard.getByLabel("To", { exact: true }).fill("6:10");
  await dashboard.getByLabel("To", { exact: true }).blur();
  await dashboard.getByRole("switch", { name: "Nobody uses the computer" }).click();
  await dashboard.getByLabel("after").fill("25");
  await expect(dashboard.getByTestId("preview")).toContainText("22:15–06:10");
  await expect(dashboard.getByTestId("preview")).toContainText("after 25 minutes without mouse or keyboard");
  await dashboard.getByRole("button", { name: "Save" }).click();
  await expect(dashboard.getByText("Saved. It applies from now on.")).toBeVisible();
  const { rules } = await daemon.call("state.get", {});
  expect(rules).toMatchObject({
    schedule: "windows",
    windows: [{ days: ["mon", "tue", "wed", "thu", "fri", "sat"], from: "22:15", to: "06:10" }],
    onlyWhenIdle: true,
    idleMinutes: 25,
  });
});

test("pausing stops the work with an end in sight, resuming goes on", async ({ dashboard, daemon }) => {
  await expect(dashboard.getByTestId("state")).toHaveText("Working");
  await dashboard.getByRole("button", { name: "Pause" }).click();
  await dashboard.getByRole("menuitem", { name: "For 30 minutes" }).click();
  await expect(dashboard.getByTestId("state")).toHaveText("Paused");
  await expect(dashboard.getByTestId("reason")).toContainText(/^Until \d\d:\d\d\. Then it goes on\.$/);
  await expect(dashboard.getByRole("region", { name: "Why" })).toContainText("You paused it");
  const stopped = (await daemon.call("state.get", {})).run?.step;

  await dashboard.getByRole("button", { name: "End pause" }).click();
  await expect(dashboard.getByTestId("state")).toHaveText("Working");
  await expect.poll(async () => (await daemon.call("state.get", {})).run?.step).toBeGreaterThan(stopped ?? 0);
});

test("a pause of one's own length, and a start against the schedule", async ({ dashboard, daemon }) => {
  await dashboard.getByRole("button", { name: "Pause" }).click();
  await dashboard.getByRole("menuitem", { name: "For another time" }).click();
  await dashboard.getByLabel("Hours").fill("0");
  await dashboard.getByLabel("Minutes").fill("0");
  await dashboard.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
  await expect(dashboard.getByRole("dialog").getByRole("alert")).toContainText("at least one minute");
  await dashboard.getByLabel("Minutes").fill("45");
  await dashboard.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
  await expect(dashboard.getByTestId("state")).toHaveText("Paused");
  const { override } = await daemon.call("state.get", {});
  expect((override?.until ?? 0) - (override?.since ?? 0)).toBe(45 * 60_000);
  await dashboard.getByRole("button", { name: "End pause" }).click();

  const { rules } = await daemon.call("state.get", {});
  await daemon.call("policy.setRules", { rules: { ...rules, schedule: "windows", windows: [] } });
  await expect(dashboard.getByTestId("state")).toHaveText("Waiting");
  await dashboard.getByRole("button", { name: "Start now" }).click();
  await dashboard.getByRole("menuitem", { name: "For 2 hours" }).click();
  await expect(dashboard.getByTestId("state")).toHaveText("Working");
  await expect(dashboard.getByTestId("reason")).toContainText("You started it");
  await dashboard.getByRole("button", { name: "Pause" }).click();
  await dashboard.getByRole("menuitem", { name: "Back to my schedule" }).click();
  await expect(dashboard.getByTestId("state")).toHaveText("Waiting");
});

test("what was earned is claimed, once, and marked as worth nothing", async ({ dashboard, daemon }) => {
  const before = (await daemon.call("earnings.claims", {})).claims;
  await goTo(dashboard, "Earnings");
  await expect(dashboard.getByText("Test units, worth nothing.")).toBeVisible();
  await expect(dashboard.getByTestId("accrued")).not.toHaveText("0", { timeout: 30_000 });
  await dashboard.getByRole("button", { name: /^Claim [\d.]+ test units$/ }).click();
  await expect(dashboard.getByText(/Paid: [\d.]+ test units for [\d,]+ receipts\./)).toBeVisible();
  await expect(dashboard.getByTestId("claimed")).not.toHaveText("0");
  await expect(
    dashboard.getByRole("region", { name: "Receipts as a table" }).first().getByRole("row").nth(1),
  ).toBeVisible();
  const { claims } = await daemon.call("earnings.claims", {});
  expect(claims.length).toBeGreaterThan(before.length);
  expect(claims.map(({ asset }) => asset)).toEqual(claims.map(() => "test"));
  // The table's first row is its head.
  const rows = dashboard.getByRole("region", { name: "Claims as a table" }).getByRole("row");
  await expect(rows).toHaveCount(claims.length + 1);
  // No receipt is paid for twice.
  const paid = claims.reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n);
  expect((await daemon.call("state.get", {})).earnings.claimedRao).toBe(paid.toString());

  // What electricity costs is taken off by the price that is entered, and no more when it is left out.
  const form = dashboard.getByRole("form", { name: "Electricity" });
  await form.getByLabel("Price of a kWh").fill("much");
  await form.getByRole("button", { name: "Save" }).click();
  await expect(form.getByRole("alert")).toContainText("That is no price of a kWh");
  await form.getByLabel("Price of a kWh").fill("0,30");
  await form.getByLabel("Watts").fill("120");
  await form.getByRole("button", { name: "Save" }).click();
  await expect(dashboard.getByText("Electricity, about")).toBeVisible();
  const { rules } = await daemon.call("state.get", {});
  expect(rules.electricity).toEqual({ pricePerKwh: 0.3, watts: 120 });
  await form.getByRole("button", { name: "Leave it out" }).click();
  await expect(dashboard.getByText("Electricity, about")).toHaveCount(0);
});

test("a refused claim says why, in the daemon's words", async ({ dashboard }) => {
  const words = "The network does not answer, so nothing was claimed. Nothing is lost: try again later.";
  await dashboard.routeWebSocket("**/rpc", (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const { id, method } = JSON.parse(String(message)) as { id: number; method: string };
      if (method !== "earnings.claim") server.send(message);
      else
        socket.send(JSON.stringify({ type: "error", id, error: { code: "network-away", message: words } }));
    });
  });
  await dashboard.reload();
  await goTo(dashboard, "Earnings");
  await expect(dashboard.getByTestId("accrued")).not.toHaveText("0", { timeout: 30_000 });
  await dashboard.getByRole("button", { name: /^Claim\b/ }).click();
  await expect(dashboard.getByRole("alert")).toHaveText(words);
});

test("a lost connection is said, and found again by itself", async ({ dashboard }) => {
  let cut: (() => Promise<void>) | undefined;
  await dashboard.routeWebSocket("**/rpc", (socket) => {
    socket.connectToServer();
    cut = () => socket.close();
  });
  await dashboard.reload();
  await expect(dashboard.getByTestId("state")).toBeVisible();
  await cut?.();
  await expect(
    dashboard.getByText("Connection lost. What you see is from before. Trying again …"),
  ).toBeVisible();
  await expect(dashboard.getByTestId("state")).toBeVisible();
  await expect(dashboard.getByText("Connection lost.")).toHaveCount(0);
});

test("a pause without an end says so, and ends when it is resumed", async ({ dashboard, daemon }) => {
  await dashboard.getByRole("button", { name: "Pause" }).click();
  await dashboard.getByRole("menuitem", { name: "Until I resume it", exact: true }).click();
  await expect(dashboard.getByTestId("state")).toHaveText("Paused");
  await expect(dashboard.getByTestId("reason")).toHaveText("Until you resume it.");
  await dashboard.getByRole("button", { name: "End pause" }).click();
  await expect.poll(async () => (await daemon.call("state.get", {})).override).toBeNull();
});

test("activity is looked through by what it is about, by keyboard, and the address remembers it", async ({
  dashboard,
  daemon,
}) => {
  await daemon.call("policy.pause", { minutes: 5, by: "dashboard" });
  await daemon.call("policy.resume", {});
  await goTo(dashboard, "Activity");
  const happened = dashboard.getByRole("region", { name: "What happened" });
  const entries = happened.getByRole("listitem");
  await expect(entries.filter({ hasText: "May work" }).first()).toBeVisible();
  await dashboard.getByRole("radio", { name: "Everything" }).focus();
  await dashboard.keyboard.press("ArrowRight");
  await dashboard.keyboard.press("ArrowRight");
  await expect(dashboard.getByRole("radio", { name: "By hand" })).toBeChecked();
  await expect(entries.filter({ hasText: "Paused" }).first()).toBeVisible();
  // What the rules and the training did is left out; a start of an earlier test may be there.
  await expect(entries.filter({ hasText: "Training" })).toHaveCount(0);
  await expect(dashboard).toHaveURL(/#activity\/hand$/);
  await dashboard.reload();
  await expect(dashboard.getByRole("radio", { name: "By hand" })).toBeChecked();
  await dashboard.getByRole("searchbox", { name: "Search the entries" }).fill("no such word");
  await expect(happened).toContainText("No entry has “no such word” in it.");
  await happened.getByRole("button", { name: "Show everything" }).click();
  await expect(entries.filter({ hasText: "May work" }).first()).toBeVisible();
  await dashboard.getByRole("radio", { name: "Network" }).check();
  await expect(happened).toContainText("Nothing of this kind yet.");
  await goTo(dashboard, "Activity");
  await expect(dashboard.getByRole("radio", { name: "Everything" })).toBeChecked();
});

test("a hard word is explained where it stands, by keyboard too, and all of them on a page", async ({
  dashboard,
}) => {
  const word = dashboard.getByRole("button", { name: "Held-out loss" });
  await word.focus();
  await dashboard.keyboard.press("Enter");
  const meaning = dashboard.getByRole("dialog", { name: "Held-out loss" });
  await expect(meaning).toContainText("text that the model never trains on");
  await dashboard.keyboard.press("Escape");
  await expect(meaning).toHaveCount(0);
  await expect(word).toBeFocused();
  await word.click();
  expect((await audit(dashboard, "[role=dialog]")).map(({ id }) => id)).toEqual([]);
  await meaning.getByRole("link", { name: "All words" }).click();
  await expect(dashboard.getByRole("heading", { level: 1, name: "Glossary" })).toBeVisible();
  await expect(dashboard.getByRole("term").filter({ hasText: "Slice" })).toBeVisible();
  expect((await audit(dashboard)).map(({ id }) => id)).toEqual([]);
});

test("the model writes a few words from its newest checkpoint", async ({ dashboard, daemon }) => {
  await stepsLater(daemon, 60);
  await goTo(dashboard, "Model");
  await dashboard.getByLabel("Begins with").fill("The ");
  await dashboard.getByRole("button", { name: "Let it write" }).click();
  await expect(dashboard.getByTestId("written")).toContainText("The ", { timeout: 60_000 });
  await expect(dashboard.getByText(/^After [\d,]+ steps\./)).toBeVisible();
  await dashboard.screenshot({ path: "test-results/screenshots/model-writes.png", fullPage: true });
});
